"""The contrastive loss against SupCon's equation 2 in loops; samples without a positive; the columns of a row."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from technique_bench import run_steps, tiny_parts
from torch.nn import functional

from hrm_core.techniques.contrastive import supervised_contrastive

TASKS = torch.tensor([4, 7, 4, 1, 4, 7])


def by_loops(pooled: torch.Tensor, tasks: list[int], temperature: float, which: int) -> float:
    unit = functional.normalize(pooled.double(), dim=-1)
    similar = [float(unit[which] @ other) / temperature for other in unit]
    others = [number for number in range(len(tasks)) if number != which]
    positives = [number for number in others if tasks[number] == tasks[which]]
    total = sum(math.exp(similar[number]) for number in others)
    terms = [-math.log(math.exp(similar[number]) / total) for number in positives]
    return sum(terms) / len(terms) if terms else 0.0


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_it_is_equation_two(temperature: float) -> None:
    pooled = torch.randn(6, 16, generator=torch.Generator().manual_seed(8))
    losses, found = supervised_contrastive(pooled, TASKS, temperature)
    assert found.tolist() == [True, True, True, False, True, True]
    expected = [by_loops(pooled, TASKS.tolist(), temperature, which) for which in range(6)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-4)
    assert losses[3].item() == 0.0


def test_its_gradient_draws_views_of_a_task_together() -> None:
    pooled = torch.randn(6, 16, generator=torch.Generator().manual_seed(9)).requires_grad_()
    supervised_contrastive(pooled, TASKS, 0.5)[0].sum().backward()  # type: ignore[no-untyped-call]
    assert pooled.grad is not None

    def closeness(points: torch.Tensor) -> float:
        unit = functional.normalize(points, dim=-1)
        return float(unit[1] @ unit[5])

    with torch.no_grad():
        assert closeness(pooled - 0.1 * pooled.grad) > closeness(pooled)


def test_a_slot_alone_has_no_loss_and_a_finite_gradient() -> None:
    pooled = torch.randn(1, 16).requires_grad_()
    losses, found = supervised_contrastive(pooled, torch.tensor([3]), 0.1)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    assert (losses.tolist(), found.tolist()) == ([0.0], [False])
    assert pooled.grad is not None
    assert pooled.grad.count_nonzero() == 0


def test_a_row_says_how_many_had_a_positive_and_begins_anew(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ("techniques.contrastive=on", "training.batch=24"))
    lane = parts.lanes[0]
    run_steps(parts, 1)
    same = (lane["task"][:, None] == lane["task"]).sum(1) > 1
    row: dict[str, Any] = {}
    parts.techniques.row(row)
    assert row["contrastive_positive_share"] == pytest.approx(same.float().mean().item())
    assert row["contrastive_loss"] > 0
    parts.techniques.row(row)
    assert row["contrastive_positive_share"] is None

"""Lion for the last part: its rule against a few lines, what stays, what is lowered, and runs that go on or back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from technique_bench import run_steps, tiny_parts
from technique_resume import assert_resumes, assert_same_state

from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.techniques.lion_swap import trunk_factor
from hrm_core.training.checkpoint import load_state, save_snapshot
from hrm_core.training.step import StepParts

SWAP = ("techniques.lion_swap.start=5", "techniques.lion_swap.warmup=4")


def lion(values: torch.Tensor, mean: torch.Tensor, gradient: torch.Tensor, rate: float, decay: float) -> None:
    """Chen et al. 2023, algorithm 2, with the decays of the plan."""
    direction = torch.sign(0.95 * mean + 0.05 * gradient)
    values -= rate * (direction + decay * values)
    mean.mul_(0.98).add_(0.02 * gradient)


def one_step(parts: StepParts, number: int) -> torch.Tensor:
    """A step of random gradients through the trunk's optimizer alone; returns them."""
    parts.techniques.before_step(number)
    generator = torch.Generator().manual_seed(number)
    gradients = torch.randn(parts.flat.values.numel(), generator=generator)
    parts.flat.gradients.copy_(gradients)
    parts.trunk.update(torch.tensor(1e-3), torch.tensor(1.0))
    return gradients


@pytest.mark.parametrize("kind", ["adamw", "muon", "adam_atan2"])
def test_from_the_swap_on_everything_takes_lion(kind: str, arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, (f"optimizer.kind={kind}", *SWAP))
    for number in range(5):
        one_step(parts, number)
    values, mean = parts.flat.values.clone(), torch.zeros_like(parts.flat.values)
    for number in range(5, 8):
        gradients = one_step(parts, number)
        lion(values, mean, gradients, 1e-3 * (number - 4) / 4, 0.01)
        # a sum within an ulp of 0 may take the other sign: at most a handful of numbers
        off = (parts.flat.values - values).abs() > 1e-6
        assert off.sum() <= 3
    state = parts.trunk.state()
    split = parts.trunk.split
    torch.testing.assert_close(state["first"], mean[split:], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(state["momentum"], mean[:split], rtol=1e-5, atol=1e-7)
    assert not state["second"].any()


def test_lion_from_the_start_is_the_same_rule(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ("optimizer.kind=lion", "optimizer.betas=0.95,0.98", "optimizer.weight_decay=0.01"))
    values, mean = parts.flat.values.clone(), torch.zeros_like(parts.flat.values)
    for number in range(3):
        lion(values, mean, one_step(parts, number), 1e-3, 0.01)
    assert ((parts.flat.values - values).abs() > 1e-6).sum() <= 3
    assert parts.trunk.state()["second"].numel() == 0


def test_warm_up_factor_and_lowering() -> None:
    assert [trunk_factor(step, 10, 4, 0.2, False) for step in (10, 11, 13, 99)] == pytest.approx([0.05, 0.1, 0.2, 0.2])
    assert trunk_factor(10, 10, 0, 1.0, False) == 1.0
    assert trunk_factor(99, 10, 4, 1.0, True) == 0.8


def test_the_swap_is_an_event_that_asks_for_a_new_capture(arc1_file: Path) -> None:
    events = run_steps(tiny_parts(arc1_file, SWAP), 8)
    assert [(event.name, event.recapture) for event in events] == [("optimizer_swapped", True)]
    assert events[0].fields == {"optimizer": "lion", "warmup": 4, "lr_factor": 1.0}


def test_before_the_swap_it_is_the_control_and_rows_keep_their_optimizer(arc1_file: Path) -> None:
    """At the swap's first step the rows of the samples move as the control's do: their rate has no part in it."""
    control, other = tiny_parts(arc1_file), tiny_parts(arc1_file, (*SWAP, "techniques.lion_swap.lr_factor=0.01"))
    run_steps(control, 6)
    run_steps(other, 6)
    assert torch.equal(control.model.rows.table, other.model.rows.table)
    assert not torch.equal(control.flat.values, other.flat.values)


def row_at(step: int, loss: float) -> dict[str, Any]:
    return {"step": step, "token_loss": loss, "lr": 1e-3}


def test_the_first_spike_after_the_swap_lowers_the_rate_once(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, SWAP)
    techniques = parts.techniques
    names: list[str] = []
    rates: list[float] = []
    for step in range(18):
        techniques.before_step(step)
        row = row_at(step + 1, 9.0 if step in (3, 10, 14) else 1.0)
        names += [event.name for event in techniques.row(row)]
        rates.append(row["lr"])
    assert names == ["loss_spike", "lion_lowered", "loss_spike"]  # the one of row 3 comes before any median is known
    assert rates == pytest.approx([1e-3] * 5 + [1e-3 * part for part in (0.25, 0.5, 0.75, 1, 1, 1)] + [0.8e-3] * 7)


def test_a_spike_long_after_the_swap_lowers_nothing(arc1_file: Path) -> None:
    techniques = tiny_parts(arc1_file, SWAP).techniques
    techniques.before_step(5)
    for step in range(1000, 1008):
        techniques.row(row_at(step, 1.0))
    assert [event.name for event in techniques.row(row_at(1008, 9.0))] == ["loss_spike"]


@pytest.mark.parametrize("start", [3, 8])
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_run_stopped_on_either_side_of_the_swap_goes_on_the_same(
    kind: str, start: int, arc1_file: Path, tmp_path: Path
) -> None:
    overrides = (f"optimizer.kind={kind}", f"techniques.lion_swap.start={start}", "techniques.lion_swap.warmup=5")
    parts = assert_resumes(arc1_file, tmp_path, overrides, stop=6, total=10)
    assert parts.trunk.rule.kind == "lion"


def test_going_back_to_before_the_swap_takes_the_first_optimizer_again(arc1_file: Path, tmp_path: Path) -> None:
    parts, other = tiny_parts(arc1_file, SWAP), tiny_parts(arc1_file, SWAP)
    run_steps(parts, 4)
    save_snapshot(tmp_path / "step-00000004", parts, ("task",), {"step": 4}, {"step": 4})
    run_steps(parts, 6, start=4)
    load_state(tmp_path / "step-00000004", parts)
    assert parts.trunk.rule.kind == "adamw"
    run_steps(parts, 6, start=4)
    run_steps(other, 10)
    assert_same_state(parts, other)


def test_lion_after_lion_is_refused() -> None:
    with pytest.raises(UserError, match=r"optimizer\.kind=adamw"):
        build_recipe("EXP-10", ["optimizer.kind=lion"])


def test_the_second_arm() -> None:
    lion_scaled = build_recipe("EXP-10b", []).recipe.techniques.lion_swap
    assert lion_scaled is not None
    assert (lion_scaled.lr_factor, lion_scaled.weight_decay) == (0.2, 0.5)

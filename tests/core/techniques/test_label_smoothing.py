"""Label smoothing against torch's cross entropy with it, and for stablemax against the formula, written out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from technique_bench import tiny_parts
from torch.nn import functional

from hrm_core.model.segment import Carry
from hrm_core.techniques.label_smoothing import spread_loss
from hrm_core.techniques.points import LossView
from hrm_core.training.step import StepParts
from triton_kernels.stablemax_loss import stablemax_loss

SHARE = 0.2


def smoothed(parts: StepParts, labels: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """What the step makes of the token loss."""
    lane, weights, config = parts.lanes[0], parts.model.cast(), parts.recipe.loss
    lane["labels"].copy_(labels)
    loss, _, _, exact = stablemax_loss(cells, weights.head, lane["labels"], config.kind, config.include_pad)
    view = LossView(lane, slice(None), Carry(cells, cells), cells, torch.zeros(len(cells), 2), loss, exact, weights)
    added = parts.techniques.loss(view)
    assert added is not None
    return parts.techniques.weigh(lane, slice(None), loss) + added


@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("kind", ["softmax", "stablemax"])
def test_the_loss_is_the_cross_entropy_with_a_smoothed_target(kind: str, include_pad: bool, arc1_file: Path) -> None:
    pad = str(include_pad).lower()
    parts = tiny_parts(arc1_file, (f"loss.label_smoothing={SHARE}", f"loss.kind={kind}", f"loss.include_pad={pad}"))
    generator = torch.Generator().manual_seed(6)
    cells = torch.randn(6, 49, 64, generator=generator)
    labels = torch.randint(0, 12, (6, 49), generator=generator)
    logits = cells @ parts.model.head.T
    stable = torch.where(logits >= 0, logits + 1, 1 / (1 - logits)).log()
    for found, row, label in zip(
        smoothed(parts, labels, cells), logits if kind == "softmax" else stable, labels, strict=True
    ):
        kept = slice(None) if include_pad else label != 0
        expected = functional.cross_entropy(row[kept], label[kept], label_smoothing=SHARE)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_sample_without_labels_costs_nothing() -> None:
    found = spread_loss(torch.randn(2, 4, 12), torch.zeros(2, 4, dtype=torch.int32), "stablemax", False)
    assert found.tolist() == [0.0, 0.0]

"""EXP-08: a small head predicts what kind of rule a task has, so that z_H has to know it.

Techniques room; points `rows`, `loss`, `row`. The plan: 16 to 32 dimensions, weight 0.1, dropped at
evaluation. Four classes a task, from its demonstrations only: symmetry of the outputs (10), whether objects are moved
(2), objects changed (0 to 4 or more), colours changed (0 to 3 or more). Cross-entropies in nats, averaged; one number a
sample, so that large grids count no more than small ones. Turning a sample turns its symmetry with it; the other three
stay.

Ours: a task's identity row alone can memorise its labels. So on a share of the admissions the model sees no row, and
the row gets no gradient; and a full validation scores the head on held-out pairs without rows, beside the commonest
class (`hrm_core/evaluation/rule_head.py`). Expected of the literature: little on scores, something for analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor

from hrm_core.data.rule_labels import RULE_CLASSES, rule_labels, turned_symmetries
from hrm_core.learning.lanes import LaneState
from hrm_core.model.embeddings import one_hot
from hrm_core.model.heads import by_descriptor, predicted_classes
from hrm_core.recipe.techniques import RuleHeadConfig
from hrm_core.techniques.points import Bench, Event, LossView, Plug
from hrm_core.techniques.purposes import BLANK_ROWS
from triton_kernels.hashing import hash32, uniform


def descriptor_losses(logits_BC: Tensor, labels_BN: Tensor) -> Tensor:
    """(B, 4) fp32 cross-entropies of logits (B, 21) with labels (B, 4) int64."""
    # A product with the one-hot row: its gradient needs no scatter, so the same bits come every time.
    losses = [
        -(logits.log_softmax(-1) * one_hot(labels_BN[:, place], logits.shape[1])).sum(-1)
        for place, logits in enumerate(by_descriptor(logits_BC))
    ]
    return torch.stack(losses, dim=1)


@final
class RuleDescriptors:
    """`sums`, fp64: segments, loss, right of each of the four descriptors."""

    def __init__(self, config: RuleHeadConfig, bench: Bench) -> None:
        self.config = config
        self.bench = bench
        device = bench.model.device
        self.labels = rule_labels(bench.dataset.tasks.descriptors).to(device)
        self.turned = turned_symmetries().to(device)
        self.sums = torch.zeros(2 + len(RULE_CLASSES), dtype=torch.float64, device=device)

    def labels_of(self, lane: LaneState, piece: slice) -> Tensor:
        """(B, 4) of the samples in these slots, as they are turned."""
        labels = self.labels[lane["task"][piece]]
        symmetry = self.turned[lane["dihedral"][piece], labels[:, 0]]
        return torch.cat([symmetry[:, None], labels[:, 1:]], dim=1)

    def blank(self, lane: LaneState, piece: slice) -> Tensor:
        """(B) bool: whose task row is not shown; one draw an admission, so the same in all segments of a sample."""
        words = hash32(self.bench.recipe.training.seed, BLANK_ROWS, lane.number, lane.entry(piece))
        return uniform(words) < self.config.blank_rows

    def rows(self, lane: LaneState, piece: slice, rows_BD: Tensor) -> Tensor:
        """The rows, zero where blank; so is their gradient."""
        return torch.where(self.blank(lane, piece)[:, None], 0.0, rows_BD)

    def logits(self, high_BTD: Tensor) -> Tensor:
        """What the head says."""
        head = self.bench.model.rule_head
        assert head is not None
        logits: Tensor = head(high_BTD)
        return logits

    def loss(self, view: LossView) -> Tensor:
        """The weighted mean of the four cross-entropies; counts them, without gradient."""
        logits, labels = self.logits(view.carry.high), self.labels_of(view.lane, view.piece)
        losses = descriptor_losses(logits, labels).mean(1)
        with torch.no_grad():
            self.sums[0] += len(labels)
            self.sums[1] += losses.detach().nan_to_num(0.0, 0.0, 0.0).double().sum()
            self.sums[2:] += (predicted_classes(logits) == labels).double().sum(0)
        return self.config.weight * losses

    def row(self, columns: dict[str, Any]) -> Sequence[Event]:
        """Means since the last row: loss in nats, and the share right of each descriptor, on training samples."""
        count, loss, *right = self.sums.tolist()
        self.sums.zero_()
        columns["rule_head_loss"] = loss / count if count else None
        for name, total in zip(RULE_CLASSES, right, strict=True):
            columns[f"rule_head_{name}"] = total / count if count else None
        return ()

    def plug(self) -> Plug:
        """Its points."""
        sums = {"sums": self.sums}
        return Plug(
            "rule_head", rows=self.rows, loss=self.loss, row=self.row, tensors=sums, summed=tuple(sums.values())
        )

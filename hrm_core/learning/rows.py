"""Update of the task identity rows that a step touched: sign-SGD (HRM's) or Adam, decay on touched rows only.

Learning room: row numbers (S) int64 and gradients (S, D) of the slots -> the table is changed in place. The gradient
of a row is summed over all slots that used it, then its sign is taken (HRM, published code). No `unique`, no
data-dependent shape: slots of the same row are summed by a (S, S) product, all but the first of them write to the
table's last row, which is scratch space.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from hrm_core.learning.optimizers import EPS
from hrm_core.recipe.learning import RowsConfig


def sum_by_row(index: Tensor, gradients: Tensor, scratch: int) -> tuple[Tensor, Tensor]:
    """(S) int64, (S, D) -> (target rows (S), duplicates sent to `scratch`; gradients (S, D) summed over equal rows)."""
    same = index[:, None] == index[None, :]
    summed = same.to(gradients.dtype) @ gradients
    earlier = torch.tril(same, diagonal=-1).any(dim=1)
    return torch.where(earlier, scratch, index), summed


@final
class RowsOptimizer:
    """Optimizer of an (R + 1, D) fp32 table whose last row is scratch space."""

    def __init__(self, config: RowsConfig, table: Tensor) -> None:
        self.config = config
        self.table = table
        adam = config.kind == "adam"
        self.first = torch.zeros_like(table) if adam else table.new_zeros(0)
        self.second = torch.zeros_like(table) if adam else table.new_zeros(0)
        self.count = table.new_zeros(table.shape[0], 1) if adam else table.new_zeros(0)

    def update(self, index: Tensor, gradients: Tensor, schedule: Tensor, keep: Tensor) -> None:
        """One step. schedule: 0-d factor of the trunk's schedule; keep: 0-d, 0 leaves every row as it was."""
        rate = schedule * keep * self.config.lr
        target, summed = sum_by_row(index, gradients, self.table.shape[0] - 1)
        rows = self.table[target]
        direction = self._adam(target, summed, keep) if self.config.kind == "adam" else torch.sign(summed)
        rows = rows * (1.0 - rate * self.config.weight_decay) - rate * direction
        self.table.index_copy_(0, target, rows)
        self.table[-1].zero_()

    def _adam(self, target: Tensor, gradient: Tensor, keep: Tensor) -> Tensor:
        beta1, beta2 = self.config.betas
        count = self.count[target] + keep
        first = torch.lerp(self.first[target], gradient, (1.0 - beta1) * keep)
        second = torch.lerp(self.second[target], gradient * gradient, (1.0 - beta2) * keep)
        self.count.index_copy_(0, target, count)
        self.first.index_copy_(0, target, first)
        self.second.index_copy_(0, target, second)
        for state in (self.count, self.first, self.second):
            state[-1].zero_()
        step = count.clamp(min=1.0)
        return first / (1.0 - beta1**step) / ((second / (1.0 - beta2**step)).sqrt() + EPS)

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs, by name."""
        return {"first": self.first, "second": self.second, "count": self.count}

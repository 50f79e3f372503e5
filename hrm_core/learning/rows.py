"""Update of the task identity rows that a step touched: sign-SGD (HRM's) or Adam, decay on touched rows only.

Learning room: row numbers (S) int64 and gradients (S, D) of the slots -> the table is changed in place. The gradient
of a row is summed over all slots that used it, then its sign is taken (HRM, published code). No `unique`, no
data-dependent shape; the table's last row is scratch space. Sums and signs are in `triton_kernels/fused_update`.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from hrm_core.recipe.learning import RowsConfig
from triton_kernels.fused_update import rows_sign_update
from triton_kernels.fused_update.reference import EPS, sum_by_row, write_rows

__all__ = ["RowsOptimizer", "sum_by_row"]


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
        config = self.config
        if config.kind == "sign_sgd":
            lr, decay = config.lr, config.weight_decay
            rows_sign_update(self.table, index, gradients, schedule, keep, lr=lr, weight_decay=decay)
            return
        target, summed = sum_by_row(index, gradients, self.table.shape[0] - 1)
        direction = self._adam(target, summed, keep)
        write_rows(self.table, target, direction, schedule * keep * config.lr, config.weight_decay)

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

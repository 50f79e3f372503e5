"""Contrastive loss: two samples of one task, as the slots happen to hold them, are closer than samples of two tasks.

Techniques room; point `loss`. SupCon (Khosla et al. 2020, arXiv 2004.11362, eq. 2) with the task as the class: z is the
mean of z_H over grid tokens, normalised; L_i = -1/|P| sum over p in P of log(exp(z_i z_p / t) / sum over a != i of
exp(z_i z_a / t)), P the other slots of the piece with i's task. Ours differs: no projection head, and no second view is
made: dihedral and colour views are those that the slots have anyway. So a sample without a positive has loss 0, and
with far fewer slots than tasks that is most of them: the column `contrastive_positive_share` says how many had one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hrm_core.recipe.techniques import ContrastiveConfig
from hrm_core.techniques.points import Bench, Event, LossView, Plug

APART = -1e9  # in place of a slot's similarity to itself: exp of it is 0, and a piece of one slot has no infinity


def supervised_contrastive(pooled_BD: Tensor, task_B: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(B, D) fp32 and the task of each -> (loss (B), 0 where there is no positive; has a positive (B) bool)."""
    itself = torch.eye(len(task_B), dtype=torch.bool, device=task_B.device)
    positive = (task_B[:, None] == task_B[None, :]) & ~itself
    unit = functional.normalize(pooled_BD, dim=-1)
    similar = (unit @ unit.mT / temperature).masked_fill(itself, APART)
    losses = (torch.logsumexp(similar, -1, keepdim=True) - similar) * positive
    count = positive.sum(-1)
    return losses.sum(-1) / count.clamp(min=1), count > 0


def contrastive(config: ContrastiveConfig, bench: Bench) -> Plug:
    """The loss of each piece, and its means since the last row."""
    sums = torch.zeros(3, dtype=torch.float64, device=bench.model.device)  # samples, with a positive, their loss

    def loss(view: LossView) -> Tensor:
        pooled = view.cells.float().mean(1)
        losses, found = supervised_contrastive(pooled, view.lane["task"][view.piece], config.temperature)
        with torch.no_grad():
            sums[0] += len(losses)
            sums[1] += found.sum()
            sums[2] += losses.detach().nan_to_num(0.0, 0.0, 0.0).sum()
        return config.weight * losses

    def row(columns: dict[str, Any]) -> Sequence[Event]:
        samples, found, total = sums.tolist()
        sums.zero_()
        columns["contrastive_loss"] = total / found if found else None
        columns["contrastive_positive_share"] = found / samples if samples else None
        return ()

    return Plug("contrastive", loss=loss, row=row, tensors={"sums": sums})

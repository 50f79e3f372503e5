"""Label smoothing: a share of the target is spread evenly over all tokens of the vocabulary.

Techniques room; points `weigh` and `loss`. Szegedy et al. 2016 (arXiv 1512.00567, sec. 7): (1 - eps) CE + eps times the
mean over the vocabulary of -log p, over counted labels only, mean per sample as the token loss is. Ours is the same for
stablemax, where p = s(z) / sum s(z). The `loss` of a metrics row stays the unsmoothed one. Logits are computed again
from the head's twelve rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hrm_core.learning.lanes import LaneState
from hrm_core.techniques.points import Bench, LossView, Plug
from triton_kernels.stablemax_loss.reference import counted_labels, head_logits, log_stable


def spread_loss(logits_BTV: Tensor, labels_BT: Tensor, kind: str, include_pad: bool) -> Tensor:
    """(B) fp32: mean over a sample's counted tokens of the mean over the vocabulary of -log p."""
    scores = log_stable(logits_BTV) if kind == "stablemax" else logits_BTV
    counted = counted_labels(labels_BT, include_pad)
    losses = (torch.logsumexp(scores, -1) - scores.mean(-1)).masked_fill(~counted, 0.0)
    return losses.sum(-1) / counted.sum(-1).clamp(min=1)


def label_smoothing(share: float, bench: Bench) -> Plug:
    """`share`: eps."""
    config, device = bench.recipe.loss, bench.model.device
    rest = torch.tensor(1.0 - share, device=device)

    def weigh(lane: LaneState, piece: slice) -> Tensor:
        return rest

    def loss(view: LossView) -> Tensor:
        logits = head_logits(view.cells, view.weights.head)
        return share * spread_loss(logits, view.lane["labels"][view.piece], config.kind, config.include_pad)

    return Plug("label_smoothing", weigh=weigh, loss=loss)

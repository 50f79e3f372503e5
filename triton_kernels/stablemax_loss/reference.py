"""Output head, token loss and counts in plain torch, fp32.

softmax: -log softmax(z)[label]. stablemax: s(z) = z + 1 for z >= 0, 1 / (1 - z) below; loss = log sum s(z) - log
s(z[label]) (Prieto et al. 2025, arXiv 2501.04697, sec. 5). log s is computed in one branch each way, so that neither
a large negative logit nor its gradient overflows; HRM computes this in fp64, which fp32 does not need.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def log_stable(logits: Tensor) -> Tensor:
    """log s(z) = sign(z) log(1 + |z|)."""
    return torch.sign(logits) * torch.log1p(logits.abs())


def token_loss(logits_BTV: Tensor, labels_BT: Tensor, kind: str) -> Tensor:
    """(B, T, V) fp32 logits and (B, T) int64 labels -> (B, T) fp32 losses; nothing is masked here."""
    scores = log_stable(logits_BTV) if kind == "stablemax" else logits_BTV
    return torch.logsumexp(scores, -1) - scores.gather(-1, labels_BT[..., None])[..., 0]


def stablemax_loss(
    hidden_BTD: Tensor, weight_head: Tensor, labels_BT: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `triton_kernels.stablemax_loss.stablemax_loss`."""
    logits = functional.linear(hidden_BTD, weight_head).float()
    labels = labels_BT.long()
    counted = torch.ones_like(labels, dtype=torch.bool) if include_pad else labels != 0
    count = counted.sum(-1)
    losses = token_loss(logits, labels, kind).masked_fill(~counted, 0.0)
    loss = losses.sum(-1) / count.clamp(min=1)
    with torch.no_grad():
        right = ((logits.argmax(-1) == labels) & counted).sum(-1)
    return loss, right, count, (right == count) & (count > 0)

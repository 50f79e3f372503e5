"""Output head, token loss and counts in plain torch, fp32 (fp64 for fp64 input), and the gradient as a formula.

softmax: -log softmax(z)[label]. stablemax: s(z) = z + 1 for z >= 0, 1 / (1 - z) below; loss = log sum s(z) - log
s(z[label]) (Prieto et al. 2025, arXiv 2501.04697, sec. 5). log s is computed in one branch each way, so that neither
a large negative logit nor its gradient overflows; HRM computes this in fp64, which fp32 does not need.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PAD = 0
FIRST_COLOR = 2


def log_stable(logits: Tensor) -> Tensor:
    """log s(z) = sign(z) log(1 + |z|). No sign is 0, so the slope is 1 / (1 + |z|) everywhere, also at 0."""
    sign = torch.copysign(logits.new_ones(()), logits.detach())
    return sign * torch.log1p(sign * logits)


def head_logits(hidden_BTD: Tensor, weight_head: Tensor) -> Tensor:
    """(B, T, V) logits, in fp32 at least."""
    logits = functional.linear(hidden_BTD, weight_head)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def counted_labels(labels_BT: Tensor, include_pad: bool) -> Tensor:
    """(B, T) bool: where the loss counts."""
    return torch.ones_like(labels_BT, dtype=torch.bool) if include_pad else labels_BT != PAD


def token_loss(logits_BTV: Tensor, labels_BT: Tensor, kind: str) -> Tensor:
    """(B, T, V) fp32 logits and (B, T) int64 labels -> (B, T) fp32 losses; nothing is masked here."""
    scores = log_stable(logits_BTV) if kind == "stablemax" else logits_BTV
    return torch.logsumexp(scores, -1) - scores.gather(-1, labels_BT[..., None])[..., 0]


def shape_right(guess_BT: Tensor, labels_BT: Tensor) -> Tensor:
    """See `triton_kernels.stablemax_loss.stablemax_loss_with_shape`."""
    inside = labels_BT != PAD
    agrees = (guess_BT >= FIRST_COLOR) == (labels_BT >= FIRST_COLOR)
    return (agrees | ~inside).all(-1) & inside.any(-1)


def _loss_of_logits(
    logits_BTV: Tensor, guess_BT: Tensor, labels_BT: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    labels = labels_BT.long()
    counted = counted_labels(labels, include_pad)
    count = counted.sum(-1)
    losses = token_loss(logits_BTV, labels, kind).masked_fill(~counted, 0.0)
    loss = losses.sum(-1) / count.clamp(min=1)
    right = ((guess_BT == labels) & counted).sum(-1)
    return loss, right, count, (right == count) & (count > 0)


def stablemax_loss(
    hidden_BTD: Tensor, weight_head: Tensor, labels_BT: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `triton_kernels.stablemax_loss.stablemax_loss`."""
    logits = head_logits(hidden_BTD, weight_head)
    return _loss_of_logits(logits, logits.detach().argmax(-1), labels_BT, kind, include_pad)


def stablemax_loss_with_shape(
    hidden_BTD: Tensor, weight_head: Tensor, labels_BT: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See `triton_kernels.stablemax_loss.stablemax_loss_with_shape`."""
    logits = head_logits(hidden_BTD, weight_head)
    guess = logits.detach().argmax(-1)
    counts = _loss_of_logits(logits, guess, labels_BT, kind, include_pad)
    return (*counts, shape_right(guess, labels_BT))


def stablemax_loss_gradient(
    d_loss: Tensor,
    hidden_BTD: Tensor,
    weight_head: Tensor,
    labels_BT: Tensor,
    count: Tensor,
    kind: str,
    include_pad: bool,
) -> tuple[Tensor, Tensor]:
    """d_loss (B), the forward's inputs and its count (B) -> d_hidden (B, T, D), d_head of each sample (B, V, D).

    d z = d_loss / count (p - onehot) l'(z), p = exp(l(z)) / sum exp(l(z)); l = log s for stablemax, l' = 1 / (1 + |z|),
    and l = z for softmax. d_head is in the dtype of the logits, d_hidden in that of hidden.
    """
    logits = head_logits(hidden_BTD, weight_head)
    labels = labels_BT.long()
    scores = log_stable(logits) if kind == "stablemax" else logits
    d_scores = scores.softmax(-1) - functional.one_hot(labels, logits.shape[-1])
    d_logits = d_scores / (1 + logits.abs()) if kind == "stablemax" else d_scores
    share = d_loss.to(logits.dtype) / count.clamp(min=1)
    weight_BT1 = (counted_labels(labels, include_pad) * share[:, None])[..., None]
    d_logits = d_logits * weight_BT1
    d_hidden = d_logits @ weight_head.to(logits.dtype)
    return d_hidden.to(hidden_BTD.dtype), d_logits.mT @ hidden_BTD.to(logits.dtype)

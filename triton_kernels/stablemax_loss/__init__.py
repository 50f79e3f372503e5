"""Output head, token loss, exactness and shape counts in one pass: public functions, by kernel or reference.

`runtime.choose` decides; `reference.py` is the formula in plain torch, `kernel.py` the same in Triton. Summing over
samples and what becomes of the counts is not here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.stablemax_loss import reference
from triton_kernels.stablemax_loss.autograd import stablemax_loss_forward

__all__ = ["stablemax_loss", "stablemax_loss_with_shape"]

KINDS = ("stablemax", "softmax")
COLUMNS = 16  # of the kernels' logits: the narrowest tile of a tensor core that holds the vocabulary
DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def stablemax_loss(
    hidden_BTD: Tensor,
    weight_head: Tensor,
    labels_BT: Tensor,
    kind: str = "stablemax",
    include_pad: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """hidden (B, T, D), head (V, D), labels (B, T) int32 -> (loss, right, count, exact), each (B).

    loss fp32: mean over a sample's counted tokens (labels that are not PAD = 0, or all with include_pad); right and
    count int64; exact bool: every counted token right, and at least one. kind: "stablemax" or "softmax".
    Labels are 0 .. V - 1: another makes the reference fail and the kernel's loss and gradient NaN.
    Raises ValueError for another kind or tensors that do not fit.
    """
    _validate(hidden_BTD, weight_head, labels_BT, kind)
    if _is_kernel(hidden_BTD, weight_head):
        loss, right, count, exact, _ = stablemax_loss_forward(hidden_BTD, weight_head, labels_BT, kind, include_pad)
        return loss, right, count, exact
    return reference.stablemax_loss(hidden_BTD, weight_head, labels_BT, kind, include_pad)


def stablemax_loss_with_shape(
    hidden_BTD: Tensor,
    weight_head: Tensor,
    labels_BT: Tensor,
    kind: str = "stablemax",
    include_pad: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """As `stablemax_loss`, and shape (B) bool: at every label that is not PAD, the prediction (argmax of the logits)
    is a colour (2 or more) where the label is a colour, and EOS or PAD where the label is EOS; and there is such a
    label. Which colour does not matter, nor what is predicted where the label is PAD, whatever include_pad is.

    It is enough for the decoded grid to have the target's height and width, wherever it lies: all its cells are
    colours and the row under it and the column right of it are not. It is not necessary, as a decoder can get over a
    lone colour in the row of EOS; so the mean of shape is at most the shape accuracy of an evaluation, and at least
    the mean of exact.
    """
    _validate(hidden_BTD, weight_head, labels_BT, kind)
    if _is_kernel(hidden_BTD, weight_head):
        results: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
        results = stablemax_loss_forward(hidden_BTD, weight_head, labels_BT, kind, include_pad)
        return results
    return reference.stablemax_loss_with_shape(hidden_BTD, weight_head, labels_BT, kind, include_pad)


def _validate(hidden: Tensor, head: Tensor, labels: Tensor, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"stablemax_loss: kind {kind!r}; allowed are 'stablemax' and 'softmax'")
    shapes = f"hidden {tuple(hidden.shape)}, head {tuple(head.shape)}, labels {tuple(labels.shape)}"
    if hidden.dim() != 3 or head.dim() != 2 or hidden.shape[:2] != labels.shape or head.shape[1] != hidden.shape[2]:
        raise ValueError(f"stablemax_loss: {shapes}; needs (B, T, D), (V, D), (B, T)")
    if hidden.shape[1] == 0 or head.shape[0] == 0:
        raise ValueError(f"stablemax_loss: {shapes}; needs at least one token and one row of the head")
    if not hidden.device == head.device == labels.device:
        devices = f"hidden on {hidden.device}, head on {head.device}, labels on {labels.device}"
        raise ValueError(f"stablemax_loss: {devices}; needs one device")
    if hidden.dtype != head.dtype or not hidden.is_floating_point():
        raise ValueError(f"stablemax_loss: hidden {hidden.dtype}, head {head.dtype}; needs one floating dtype")
    if labels.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"stablemax_loss: labels {labels.dtype}; allowed are torch.int32 and torch.int64")


def _is_kernel(hidden: Tensor, head: Tensor) -> bool:
    problem = None
    if hidden.dtype not in DTYPES:
        problem = f"the kernels take fp16, bf16 and fp32, not {hidden.dtype}"
    elif head.shape[0] > COLUMNS:
        problem = f"the kernels take a vocabulary of at most {COLUMNS}, not {head.shape[0]}"
    return runtime.choose("stablemax_loss", hidden, {"D": hidden.shape[-1]}, problem).kernel

"""`hrm::stablemax_loss_forward` and `_backward`: the operation as torch sees it, with its gradient.

Where a kernel can be launched it is; elsewhere the same values come from the reference formula, so that `opcheck` and
`torch.compile` work on any machine. Kept for the backward: hidden, head, labels and the count of each sample; the
logits are computed again. The launcher is imported where it launches: there need be no Triton elsewhere.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.stablemax_loss import reference


@torch.library.custom_op("hrm::stablemax_loss_forward", mutates_args=())
def stablemax_loss_forward(
    hidden: Tensor, head: Tensor, labels: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(B) each: loss, right, count, exact, shape; see `stablemax_loss_with_shape`."""
    if runtime.launches(hidden):
        from triton_kernels.stablemax_loss import launcher

        return launcher.stablemax_loss_forward(hidden, head, labels, kind, include_pad)
    return reference.stablemax_loss_with_shape(hidden, head, labels, kind, include_pad)


@stablemax_loss_forward.register_fake
def _(
    hidden: Tensor, head: Tensor, labels: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    batch = hidden.shape[0]
    loss = hidden.new_empty(batch, dtype=torch.promote_types(hidden.dtype, torch.float32))
    right, count = (hidden.new_empty(batch, dtype=torch.int64) for _ in range(2))
    exact, shape = (hidden.new_empty(batch, dtype=torch.bool) for _ in range(2))
    return loss, right, count, exact, shape


@torch.library.custom_op("hrm::stablemax_loss_backward", mutates_args=())
def stablemax_loss_backward(
    d_loss: Tensor, hidden: Tensor, head: Tensor, labels: Tensor, count: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, Tensor]:
    """d_loss (B) -> d_hidden (B, T, D) and each sample's share (B, V, D) of d_head."""
    if runtime.launches(hidden):
        from triton_kernels.stablemax_loss import launcher

        return launcher.stablemax_loss_backward(d_loss, hidden, head, labels, count, kind, include_pad)
    return reference.stablemax_loss_gradient(d_loss, hidden, head, labels, count, kind, include_pad)


@stablemax_loss_backward.register_fake
def _(
    d_loss: Tensor, hidden: Tensor, head: Tensor, labels: Tensor, count: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, Tensor]:
    share = hidden.new_empty((hidden.shape[0], *head.shape), dtype=torch.promote_types(hidden.dtype, torch.float32))
    return hidden.new_empty(hidden.shape), share


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    hidden, head, labels, ctx.kind, ctx.include_pad = inputs
    ctx.save_for_backward(hidden, head, labels, output[2])


def _gradient(ctx: Any, d_loss: Tensor, *of_counts: Tensor | None) -> tuple[Tensor, Tensor, None, None, None]:
    hidden, head, labels, count = ctx.saved_tensors
    d_hidden, shares = stablemax_loss_backward(d_loss, hidden, head, labels, count, ctx.kind, ctx.include_pad)
    # A sum in one fixed order, where atomic additions would give another result at every run.
    return d_hidden, shares.sum(0).to(head.dtype), None, None, None


stablemax_loss_forward.register_autograd(_gradient, setup_context=_setup)

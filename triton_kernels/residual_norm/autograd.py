"""`hrm::residual_norm_forward` and `hrm::residual_norm_backward`: custom operations that opcheck, compile and capture.

(N, I), (D, I), (N, D) -> y (N, D), rstd (N) fp32. Where no kernel can be launched they give the same values in plain
torch: sums in fp32 (float64 for float64), rounded once. Kept for the backward: branch, weight, y, rstd; the sum before
the norm is y / rstd. The three products of the backward are torch's. Not differentiable twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from triton_kernels import runtime


def wide(x: Tensor) -> Tensor:
    """In the dtype that sums are kept in: fp32, or float64 for float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def plain_forward(branch: Tensor, weight: Tensor, residual: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """What the forward kernel computes, in plain torch."""
    total = wide(residual) + functional.linear(wide(branch), wide(weight))
    rstd = (total.square().mean(-1) + eps).rsqrt()
    return (total * rstd[:, None]).to(residual.dtype), rstd


@torch.library.custom_op("hrm::residual_norm_forward", mutates_args=())
def residual_norm_forward(branch: Tensor, weight: Tensor, residual: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """rmsnorm(residual + branch @ weight^T) -> (y, rstd)."""
    if runtime.launches(residual):
        from triton_kernels.residual_norm import launcher

        return launcher.forward(branch, weight, residual, eps)
    return plain_forward(branch, weight, residual, eps)


def empty_outputs(residual: Tensor) -> tuple[Tensor, Tensor]:
    """Shapes and dtypes of (y, rstd) for rows like these."""
    rstd_dtype = torch.promote_types(residual.dtype, torch.float32)
    y = residual.new_empty(residual.shape)
    return y, residual.new_empty(residual.shape[:1], dtype=rstd_dtype)


@residual_norm_forward.register_fake
def _(branch: Tensor, weight: Tensor, residual: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return empty_outputs(residual)


@torch.library.custom_op("hrm::residual_norm_backward", mutates_args=())
def residual_norm_backward(d_y: Tensor, y: Tensor, rstd: Tensor) -> Tensor:
    """d_total = rstd (d_y - y mean(d_y y)): the gradient of the sum before the norm."""
    if runtime.launches(y):
        from triton_kernels.residual_norm import launcher

        return launcher.backward(d_y, y, rstd)
    wide_d_y, wide_y = wide(d_y), wide(y)
    mean = (wide_d_y * wide_y).mean(-1, keepdim=True)
    return (rstd[:, None] * (wide_d_y - wide_y * mean)).to(y.dtype)


@residual_norm_backward.register_fake
def _(d_y: Tensor, y: Tensor, rstd: Tensor) -> Tensor:
    return y.new_empty(y.shape)


def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    """Keeps branch, weight, y, rstd."""
    branch, weight, _residual, _eps = inputs
    ctx.save_for_backward(branch, weight, *output)


def backward(ctx: Any, d_y: Tensor, d_rstd: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of branch, weight, residual, eps. rstd is for this function only: its gradient is not used."""
    branch, weight, y, rstd = ctx.saved_tensors
    d_total = residual_norm_backward(d_y, y, rstd)
    needs_branch, needs_weight = ctx.needs_input_grad[:2]
    return (
        d_total @ weight if needs_branch else None,
        d_total.t() @ branch if needs_weight else None,
        d_total,
        None,
    )


residual_norm_forward.register_autograd(backward, setup_context=setup_context)

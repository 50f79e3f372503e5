"""`hrm::swiglu_forward` and `hrm::swiglu_backward`: custom operations that opcheck, compile and capture.

x (N, D), gate_up (2 I, D), down (D, I) -> y (N, D), rstd (N) fp32. Kept for the backward: x, y, rstd and the weights,
nothing of width I: gate and up are computed again. Where no kernel can be launched they give the same values in plain
torch, in fp32 with `inner` rounded as the kernels round it. Not differentiable twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from triton_kernels import runtime
from triton_kernels.residual_norm.autograd import empty_outputs, plain_forward, residual_norm_backward, wide


def plain_gate_and_up(x: Tensor, gate_up: Tensor) -> tuple[Tensor, Tensor]:
    """x Wg^T and x Wu^T before any rounding."""
    gate, up = (functional.linear(wide(x), wide(weight)) for weight in gate_up.chunk(2))
    return gate, up


@torch.library.custom_op("hrm::swiglu_forward", mutates_args=())
def swiglu_forward(x: Tensor, gate_up: Tensor, down: Tensor, eps: float, recorded: bool) -> tuple[Tensor, Tensor]:
    """rmsnorm(x + (silu(x Wg^T) (x Wu^T)) Wd^T) -> (y, rstd). recorded: whether a backward may follow."""
    if runtime.launches(x):
        from triton_kernels.swiglu import launcher

        return launcher.forward(x, gate_up, down, eps, recorded)
    gate, up = plain_gate_and_up(x, gate_up)
    return plain_forward((functional.silu(gate) * up).to(x.dtype), down, x, eps)


@swiglu_forward.register_fake
def _(x: Tensor, gate_up: Tensor, down: Tensor, eps: float, recorded: bool) -> tuple[Tensor, Tensor]:
    return empty_outputs(x)


@torch.library.custom_op("hrm::swiglu_backward", mutates_args=())
def swiglu_backward(d_inner: Tensor, x: Tensor, gate_up: Tensor) -> tuple[Tensor, Tensor]:
    """(d_gate_up (N, 2 I), inner (N, I)) from the gradient of inner = silu(x Wg^T) (x Wu^T)."""
    if runtime.launches(x):
        from triton_kernels.swiglu import launcher

        return launcher.inner_backward(d_inner, x, gate_up)
    gate, up = plain_gate_and_up(x, gate_up)
    sigmoid, slope = gate.sigmoid(), wide(d_inner)
    silu = gate * sigmoid
    d_gate = slope * up * (sigmoid + silu * (1 - sigmoid))
    return torch.cat((d_gate, slope * silu), -1).to(x.dtype), (silu * up).to(x.dtype)


@swiglu_backward.register_fake
def _(d_inner: Tensor, x: Tensor, gate_up: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty((x.shape[0], gate_up.shape[0])), x.new_empty(d_inner.shape)


def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    """Keeps x, gate_up, down, y, rstd."""
    x, gate_up, down, _eps, _recorded = inputs
    ctx.save_for_backward(x, gate_up, down, *output)


def backward(ctx: Any, d_y: Tensor, d_rstd: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of x, gate_up, down, eps, recorded. rstd is for this function only: its gradient is not used."""
    x, gate_up, down, y, rstd = ctx.saved_tensors
    d_total = residual_norm_backward(d_y, y, rstd)
    d_gate_up, inner = swiglu_backward(d_total @ down, x, gate_up)
    needs_x, needs_gate_up, needs_down = ctx.needs_input_grad[:3]
    return (
        torch.addmm(d_total, d_gate_up, gate_up) if needs_x else None,
        d_gate_up.t() @ x if needs_gate_up else None,
        d_total.t() @ inner if needs_down else None,
        None,
        None,
    )


swiglu_forward.register_autograd(backward, setup_context=setup_context)

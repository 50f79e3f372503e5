"""The gated MLP of a post-norm block with its residual and norm: public function; plain-torch reference beside it."""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.residual_norm import check_same, kernel_problem
from triton_kernels.swiglu import reference
from triton_kernels.swiglu.autograd import swiglu_forward

__all__ = ["swiglu"]


def swiglu(state_BTD: Tensor, weight_gate_up: Tensor, weight_down: Tensor, eps: float = 1e-5) -> Tensor:
    """rmsnorm(x + (silu(gate) * up) @ down^T): x (B, T, D), gate_up (2 I, D), down (D, I) -> (B, T, D).

    Rows of weight_gate_up: gate first, then up. No biases. Raises ValueError where the shapes do not fit, dtypes or
    devices differ, or there is no token. Where no gradient is recorded the whole MLP can be one kernel.
    """
    hidden = state_BTD.shape[-1]
    inner = weight_down.shape[-1]
    if weight_gate_up.shape != (2 * inner, hidden) or weight_down.shape != (hidden, inner):
        raise ValueError(
            f"swiglu: state {tuple(state_BTD.shape)}, gate_up {tuple(weight_gate_up.shape)}, down "
            f"{tuple(weight_down.shape)}; needs (B, T, D), (2 I, D), (D, I)"
        )
    check_same("swiglu", state=state_BTD, gate_up=weight_gate_up, down=weight_down)
    problem = kernel_problem(state_BTD, inner)
    if not runtime.choose("swiglu", state_BTD, {"D": hidden}, problem).kernel:
        return reference.swiglu(state_BTD, weight_gate_up, weight_down, eps)
    wanted = state_BTD.requires_grad or weight_gate_up.requires_grad or weight_down.requires_grad
    recorded = torch.is_grad_enabled() and wanted
    y: Tensor = swiglu_forward(state_BTD.reshape(-1, hidden), weight_gate_up, weight_down, eps, recorded)[0]
    return y.view(state_BTD.shape)

"""Projection, residual and RMSNorm in one operation: public function; reference in plain torch beside it."""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.residual_norm import reference
from triton_kernels.residual_norm.autograd import residual_norm_forward

__all__ = ["residual_norm"]

# What the kernels are compiled and checked for: inner widths in steps of their K tile, up to the widest MLP.
INNER_STEP, INNER_MAX = 64, 1536
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def check_same(op: str, **tensors: Tensor) -> None:
    """ValueError unless all have the first one's dtype and device, and none is empty."""
    first = next(iter(tensors.values()))
    for name, tensor in tensors.items():
        if tensor.numel() == 0:
            raise ValueError(f"{op}: {name} {tuple(tensor.shape)} is empty; needs at least one token")
        if tensor.dtype != first.dtype or tensor.device != first.device:
            kinds = ", ".join(f"{key} {value.dtype} on {value.device}" for key, value in tensors.items())
            raise ValueError(f"{op}: {kinds}; needs one dtype and one device")


def kernel_problem(x: Tensor, inner: int) -> str | None:
    """Why no kernel can take rows like x with this inner width; None where one can."""
    if x.dtype not in KERNEL_DTYPES:
        return f"no kernel for {x.dtype}"
    if x.dtype == torch.float32 and x.device.type == "cuda":
        return "no kernel for torch.float32 on a GPU: the tiles are those of 16-bit numbers"
    if inner % INNER_STEP or inner > INNER_MAX:
        return f"inner width {inner} is no multiple of {INNER_STEP} up to {INNER_MAX}"
    return None


def residual_norm(branch_BTI: Tensor, weight: Tensor, residual_BTD: Tensor, eps: float = 1e-5) -> Tensor:
    """rmsnorm(residual + branch @ weight^T): branch (B, T, I), weight (D, I), residual (B, T, D) -> (B, T, D).

    No gain, no bias. Raises ValueError where the shapes do not fit, dtypes or devices differ, or there is no token.
    """
    inner, hidden = branch_BTI.shape[-1], residual_BTD.shape[-1]
    if weight.shape != (hidden, inner) or branch_BTI.shape[:-1] != residual_BTD.shape[:-1]:
        raise ValueError(
            f"residual_norm: branch {tuple(branch_BTI.shape)}, weight {tuple(weight.shape)}, residual "
            f"{tuple(residual_BTD.shape)}; needs (B, T, I), (D, I), (B, T, D)"
        )
    check_same("residual_norm", branch=branch_BTI, weight=weight, residual=residual_BTD)
    problem = kernel_problem(residual_BTD, inner)
    if not runtime.choose("residual_norm", residual_BTD, {"D": hidden}, problem).kernel:
        return reference.residual_norm(branch_BTI, weight, residual_BTD, eps)
    y: Tensor = residual_norm_forward(branch_BTI.reshape(-1, inner), weight, residual_BTD.reshape(-1, hidden), eps)[0]
    return y.view(residual_BTD.shape)

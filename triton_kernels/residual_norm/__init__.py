"""Projection, residual and RMSNorm in one operation: public function; reference in plain torch beside it."""

from __future__ import annotations

from torch import Tensor

from triton_kernels.residual_norm import reference

__all__ = ["residual_norm"]


def residual_norm(branch_BTI: Tensor, weight: Tensor, residual_BTD: Tensor, eps: float = 1e-5) -> Tensor:
    """rmsnorm(residual + branch @ weight^T): branch (B, T, I), weight (D, I), residual (B, T, D) -> (B, T, D).

    No gain, no bias. Raises ValueError where the shapes do not fit.
    """
    if (
        weight.shape != (residual_BTD.shape[-1], branch_BTI.shape[-1])
        or branch_BTI.shape[:-1] != residual_BTD.shape[:-1]
    ):
        raise ValueError(
            f"residual_norm: branch {tuple(branch_BTI.shape)}, weight {tuple(weight.shape)}, residual "
            f"{tuple(residual_BTD.shape)}; needs (B, T, I), (D, I), (B, T, D)"
        )
    return reference.residual_norm(branch_BTI, weight, residual_BTD, eps)

"""Launches of the projection + residual + RMSNorm kernels: allocates the outputs, computes the grid.

Input: contiguous or not, (N, I), (D, I), (N, D) tensors of one dtype on one device that `runtime.launches` allows;
output: new tensors. Shapes are checked by the public function, not here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.launch import Meta, launch
from triton_kernels.residual_norm.kernel import residual_norm_backward_kernel, residual_norm_forward_kernel


def row_widths(hidden: int) -> tuple[int, int]:
    """A row in two parts, the largest power of two and the rest: 256 -> (256, 0), 384 -> (256, 128)."""
    left = 1 << (hidden.bit_length() - 1)
    return left, hidden - left


def fitted(meta: Meta, **widths: int) -> Meta:
    """The row with each named tile cut to divide its width, so that no tile runs over an edge: BK 128, I 192 -> 64."""
    cut = {name: math.gcd(meta.blocks[name], width) for name, width in widths.items()}
    return meta._replace(blocks={**meta.blocks, **cut})


def forward(branch: Tensor, weight: Tensor, residual: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """rmsnorm(residual + branch @ weight^T) -> (y (N, D) in residual's dtype, rstd (N) fp32)."""
    branch, weight, residual = branch.contiguous(), weight.contiguous(), residual.contiguous()
    rows, hidden = residual.shape
    inner = branch.shape[-1]
    row = launch("residual_norm", "residual_norm_forward", runtime.arch_of(residual.device), D=hidden)
    meta = fitted(row, BK=inner)
    y = torch.empty_like(residual)
    rstd = torch.empty(rows, dtype=torch.float32, device=residual.device)
    left, right = row_widths(hidden)
    grid = (-(-rows // meta.blocks["BM"]),)
    residual_norm_forward_kernel[grid](
        branch, weight, residual, y, rstd, rows, eps, INNER=inner, D0=left, D1=right, **meta.options()
    )
    return y, rstd


def backward(d_y: Tensor, y: Tensor, rstd: Tensor) -> Tensor:
    """Gradient of the sum before the norm, (N, D), from y's gradient."""
    d_y, y, rstd = d_y.contiguous(), y.contiguous(), rstd.contiguous()
    rows, hidden = y.shape
    meta = launch("residual_norm", "residual_norm_backward", runtime.arch_of(y.device), D=hidden)
    d_total = torch.empty_like(y)
    width = 1 << (hidden - 1).bit_length()
    grid = (-(-rows // meta.blocks["BM"]),)
    residual_norm_backward_kernel[grid](d_y, y, rstd, d_total, rows, D=hidden, WIDTH=width, **meta.options())
    return d_total

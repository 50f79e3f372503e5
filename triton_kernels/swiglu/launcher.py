"""Launches of the gated MLP's kernels: allocates the outputs, computes the grid, picks the whole-MLP kernel.

Input: (N, D) rows, weights (2 I, D) and (D, I), of one dtype on one device that `runtime.launches` allows; output: new
tensors. Shapes are checked by the public function, not here. The down projection is `residual_norm`'s launcher.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.launch import Meta, find, launch
from triton_kernels.residual_norm import launcher as residual_norm_launcher
from triton_kernels.residual_norm.launcher import fitted, row_widths
from triton_kernels.swiglu.kernel import gate_up_backward_kernel, gate_up_forward_kernel, whole_mlp_forward_kernel


def forward(x: Tensor, gate_up: Tensor, down: Tensor, eps: float, recorded: bool) -> tuple[Tensor, Tensor]:
    """(y (N, D), rstd (N) fp32): in one kernel where nothing is recorded and there is a row for it, else in two.

    A row of an older architecture does not count: with sm_89's an H200 took 0.45 ms where two kernels take 0.18.
    """
    arch = runtime.arch_of(x.device)
    row = None if recorded else find("swiglu", "whole_mlp", arch, D=x.shape[-1])
    if row is not None and row.arch == arch:
        return whole_mlp(x, gate_up, down, eps)
    return residual_norm_launcher.forward(inner_forward(x, gate_up), down, x, eps)


def tiles(meta: Meta, rows: int, inner: int) -> tuple[int]:
    """Grid of the gate_up kernels: row blocks times column blocks in one axis, whose length has no low limit."""
    return (-(-rows // meta.blocks["BM"]) * (inner // meta.blocks["BN"]),)


def inner_forward(x: Tensor, gate_up: Tensor) -> Tensor:
    """silu(gate) * up, (N, I)."""
    x, gate_up = x.contiguous(), gate_up.contiguous()
    rows, hidden = x.shape
    inner = gate_up.shape[0] // 2
    row = launch("swiglu", "gate_up_forward", runtime.arch_of(x.device), D=hidden)
    meta = fitted(row, BN=inner, BK=hidden)
    out = torch.empty(rows, inner, dtype=x.dtype, device=x.device)
    gate_up_forward_kernel[tiles(meta, rows, inner)](x, gate_up, out, rows, INNER=inner, D=hidden, **meta.options())
    return out


def inner_backward(d_inner: Tensor, x: Tensor, gate_up: Tensor) -> tuple[Tensor, Tensor]:
    """(d_gate_up (N, 2 I), inner (N, I)) from inner's gradient; gate and up are computed again."""
    d_inner, x, gate_up = d_inner.contiguous(), x.contiguous(), gate_up.contiguous()
    rows, hidden = x.shape
    inner = gate_up.shape[0] // 2
    row = launch("swiglu", "gate_up_backward", runtime.arch_of(x.device), D=hidden)
    meta = fitted(row, BN=inner, BK=hidden)
    d_gate_up = torch.empty(rows, 2 * inner, dtype=x.dtype, device=x.device)
    again = torch.empty_like(d_inner)
    gate_up_backward_kernel[tiles(meta, rows, inner)](
        x, gate_up, d_inner, d_gate_up, again, rows, INNER=inner, D=hidden, **meta.options()
    )
    return d_gate_up, again


def whole_mlp(x: Tensor, gate_up: Tensor, down: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """(y, rstd) with nothing of width I in memory."""
    x, gate_up, down = x.contiguous(), gate_up.contiguous(), down.contiguous()
    rows, hidden = x.shape
    y = torch.empty_like(x)
    rstd = torch.empty(rows, dtype=torch.float32, device=x.device)
    inner = down.shape[-1]
    meta = fitted(launch("swiglu", "whole_mlp", runtime.arch_of(x.device), D=hidden), BI=inner)
    left, right = row_widths(hidden)
    grid = (-(-rows // meta.blocks["BM"]),)
    whole_mlp_forward_kernel[grid](
        x, gate_up, down, y, rstd, rows, eps, INNER=inner, D0=left, D1=right, **meta.options()
    )
    return y, rstd

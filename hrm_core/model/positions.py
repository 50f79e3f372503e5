"""Rotary position tables for the prefix tokens and the cells of a canvas.

Model room: (side, prefix tokens, head_dim) -> (cos, sin), each (T, head_dim) with T = prefix + side * side, angles
repeated for the two members of a pair and sin carrying the signs (-, +), as `triton_kernels.recurrent_attention`
wants them. Su et al. 2021 (arXiv 2104.09864); the axial form gives half of the pairs to the row and half to the
column, so that a cell's position does not depend on the canvas. Ours: cells at (row + 1, column + 1), prefix token j
at (0, -j).
"""

from __future__ import annotations

import torch
from torch import Tensor


def coordinates(side: int, prefix: int) -> Tensor:
    """(T, 2) fp64 (row, column) of the prefix tokens, then of the cells in raster order."""
    cells = torch.cartesian_prod(torch.arange(1, side + 1), torch.arange(1, side + 1)).double().reshape(-1, 2)
    heads = torch.stack([torch.zeros(prefix), -torch.arange(prefix).float()], dim=-1).double()
    return torch.cat([heads, cells])


def rotary_tables(
    side: int, prefix: int, head_dim: int, kind: str, theta: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """cos and signed sin, (T, head_dim) each. kind: "rope2d" (axial) or "rope1d" (raster index, HRM's)."""
    if kind == "rope2d":
        place = coordinates(side, prefix)
        quarter = head_dim // 4
        frequency = theta ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
        angle = torch.cat([place[:, :1] * frequency, place[:, 1:] * frequency], dim=-1)
    else:
        half = head_dim // 2
        frequency = theta ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(prefix + side * side, dtype=torch.float64)[:, None] * frequency
    cos = angle.cos().repeat_interleave(2, dim=-1)
    sin = torch.stack([-angle.sin(), angle.sin()], dim=-1).flatten(-2)
    return cos.to(device, dtype), sin.to(device, dtype)

"""Launches the kernels of `stablemax_loss`: allocates results, one program a sample.

hidden (B, T, D) may be a part hidden[:, prefix:] of a longer tensor: its samples then lie further apart than they are
long, which the kernels are told; anything less regular is copied first. Shapes are checked by the public function.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from triton_kernels.launch import launch
from triton_kernels.runtime import arch_of
from triton_kernels.stablemax_loss.kernel import stablemax_loss_backward_kernel, stablemax_loss_forward_kernel

OP = "stablemax_loss"


def dense_rows(hidden_BTD: Tensor) -> tuple[Tensor, int]:
    """hidden, or a copy, whose rows follow each other within a sample; and how many rows apart samples begin."""
    width = hidden_BTD.shape[-1]
    apart, row, column = hidden_BTD.stride()
    if (row, column) != (width, 1) or apart % width:
        hidden_BTD = hidden_BTD.contiguous()
    return hidden_BTD, hidden_BTD.stride(0) // width


def launch_options(kernel: str, hidden_BTD: Tensor) -> dict[str, int]:
    """Tile sizes and options of a launch. The table is for two-byte numbers; fp32 takes half the rows and one stage."""
    options = launch(OP, kernel, arch_of(hidden_BTD.device), D=hidden_BTD.shape[-1]).options()
    if hidden_BTD.element_size() > 2:
        options |= {"BM": max(16, options["BM"] // 2), "num_stages": 1}
    return options


def stablemax_loss_forward(
    hidden_BTD: Tensor, weight_head: Tensor, labels_BT: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(B) each: loss fp32, right and count int64, exact and shape bool."""
    hidden_BTD, rows_apart = dense_rows(hidden_BTD)
    batch, tokens, width = hidden_BTD.shape
    device = hidden_BTD.device
    loss = torch.empty(batch, dtype=torch.float32, device=device)
    right, count = (torch.empty(batch, dtype=torch.int64, device=device) for _ in range(2))
    exact, shape = (torch.empty(batch, dtype=torch.bool, device=device) for _ in range(2))
    if batch:
        stablemax_loss_forward_kernel[(batch,)](
            hidden_BTD,
            weight_head.contiguous(),
            labels_BT.contiguous(),
            loss,
            right,
            count,
            exact,
            shape,
            tokens,
            rows_apart,
            D=width,
            V=weight_head.shape[0],
            BD=triton.next_power_of_2(width),
            STABLEMAX=kind == "stablemax",
            INCLUDE_PAD=include_pad,
            **launch_options("forward", hidden_BTD),
        )
    return loss, right, count, exact, shape


def stablemax_loss_backward(
    d_loss: Tensor,
    hidden_BTD: Tensor,
    weight_head: Tensor,
    labels_BT: Tensor,
    count: Tensor,
    kind: str,
    include_pad: bool,
) -> tuple[Tensor, Tensor]:
    """d_hidden (B, T, D) in hidden's dtype, and the share of each sample in d_head, (B, V, D) fp32."""
    hidden_BTD, rows_apart = dense_rows(hidden_BTD)
    batch, tokens, width = hidden_BTD.shape
    vocabulary = weight_head.shape[0]
    d_hidden = torch.empty((batch, tokens, width), dtype=hidden_BTD.dtype, device=hidden_BTD.device)
    d_head = torch.empty((batch, vocabulary, width), dtype=torch.float32, device=hidden_BTD.device)
    if batch:
        stablemax_loss_backward_kernel[(batch,)](
            hidden_BTD,
            weight_head.contiguous(),
            labels_BT.contiguous(),
            count,
            d_loss.contiguous(),
            d_hidden,
            d_head,
            tokens,
            rows_apart,
            D=width,
            V=vocabulary,
            BD=triton.next_power_of_2(width),
            STABLEMAX=kind == "stablemax",
            INCLUDE_PAD=include_pad,
            **launch_options("backward", hidden_BTD),
        )
    return d_hidden, d_head

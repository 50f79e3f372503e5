"""Launches the lay kernel: outputs, grid, launch row. Arguments are those of `reference`, checked and contiguous."""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import launch, runtime
from triton_kernels.lay.kernel import lay_kernel


def lay(
    input: Tensor,
    target: Tensor,
    sizes: Tensor,
    index: Tensor,
    dihedral: Tensor,
    colors: Tensor,
    offset: Tensor,
) -> tuple[Tensor, Tensor]:
    """As `reference.lay`."""
    cells = input.shape[1] * input.shape[2]
    tokens = torch.empty(index.shape[0], cells, dtype=torch.int32, device=input.device)
    labels = torch.empty_like(tokens)
    _launch(input, target, sizes, index, dihedral, colors, offset, None, tokens, labels)
    return tokens, labels


def lay_into(
    input: Tensor,
    target: Tensor,
    sizes: Tensor,
    index: Tensor,
    dihedral: Tensor,
    colors: Tensor,
    offset: Tensor,
    halted: Tensor,
    tokens: Tensor,
    labels: Tensor,
) -> None:
    """As `reference.lay_into`; tokens and labels change in place."""
    _launch(input, target, sizes, index, dihedral, colors, offset, halted, tokens, labels)


def _launch(
    input: Tensor,
    target: Tensor,
    sizes: Tensor,
    index: Tensor,
    dihedral: Tensor,
    colors: Tensor,
    offset: Tensor,
    halted: Tensor | None,
    tokens: Tensor,
    labels: Tensor,
) -> None:
    side = input.shape[1]
    meta = launch.launch("lay", "lay", runtime.arch_of(input.device))
    grid = (index.shape[0], -(-side * side // meta.blocks["BLOCK"]))
    lay_kernel[grid](
        input,
        target,
        sizes,
        index,
        dihedral,
        colors,
        offset,
        halted,
        tokens,
        labels,
        side,
        MASKED=halted is not None,
        **meta.options(),
    )

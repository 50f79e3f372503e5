"""Lay pairs on the canvas of a lane: gather, dihedral, colours, translation, tokens. Public functions.

`lay` returns new rows; `lay_into` writes into those of halted slots. Kernel or reference: `runtime.choose`; the same
integers from either, and nothing is read back to the host. That `index` names rows of the pairs, and colours are 0..9,
is the caller's word: checking would read them back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.lay import autograd, reference
from triton_kernels.lay.reference import EOS, FIRST_COLOR, PAD

__all__ = ["EOS", "FIRST_COLOR", "PAD", "lay", "lay_into"]


def lay(
    input: Tensor,
    target: Tensor,
    sizes: Tensor,
    index: Tensor,
    dihedral: Tensor,
    colors: Tensor,
    offset: Tensor,
) -> tuple[Tensor, Tensor]:
    """Lay S pairs on their canvas; returns (tokens, labels), each (S, side * side) int32.

    input, target: (N, side, side) uint8; sizes: (N, 4) int64, heights and widths (input, then target);
    index: (S) int64 rows of the pairs; dihedral: (S) int64 0..7; colors: (S, 10) int64, the new colour of each colour;
    offset: (S, 2) int64 row and column of the grid's corner, applied as given (cells beyond the canvas are cut off).
    A target that is larger than the canvas gives labels that are PAD throughout.
    """
    _check("lay", input, target, sizes, index, dihedral, colors, offset)
    problem = _problem(input, target, sizes, index, dihedral, colors, offset)
    if not runtime.choose("lay", input, {}, problem).kernel:
        return reference.lay(input, target, sizes, index, dihedral, colors, offset)
    views = (values.contiguous() for values in (index, dihedral, colors, offset))
    tokens, labels = autograd.lay(input, target, sizes.contiguous(), *views)
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
    """As `lay`, into tokens and labels (S, side * side) int32, in place and only for slots with halted (S) bool."""
    _check("lay_into", input, target, sizes, index, dihedral, colors, offset)
    slots, cells = index.shape[0], input.shape[1] * input.shape[2]
    _check_shape("lay_into", "halted", halted, (slots,), input.device)
    for name, rows in (("tokens", tokens), ("labels", labels)):
        _check_shape("lay_into", name, rows, (slots, cells), input.device)
        if rows.dtype != torch.int32:
            raise ValueError(f"lay_into: {name} is {rows.dtype}; needs torch.int32")
    if halted.dtype != torch.bool:
        raise ValueError(f"lay_into: halted is {halted.dtype}; needs torch.bool")
    problem = _problem(input, target, sizes, index, dihedral, colors, offset)
    if not (tokens.is_contiguous() and labels.is_contiguous()):
        problem = "tokens or labels are not contiguous"
    if not runtime.choose("lay", input, {}, problem).kernel:
        reference.lay_into(input, target, sizes, index, dihedral, colors, offset, halted, tokens, labels)
        return
    views = (values.contiguous() for values in (index, dihedral, colors, offset, halted))
    autograd.lay_into(input, target, sizes.contiguous(), *views, tokens, labels)


def _check_shape(function: str, name: str, tensor: Tensor, shape: tuple[int, ...], device: torch.device) -> None:
    if tensor.shape != shape or tensor.device != device:
        raise ValueError(
            f"{function}: {name} {tuple(tensor.shape)} on {tensor.device}; needs {shape} on {device}, as input has"
        )


def _check(
    function: str,
    input: Tensor,
    target: Tensor,
    sizes: Tensor,
    index: Tensor,
    dihedral: Tensor,
    colors: Tensor,
    offset: Tensor,
) -> None:
    if input.dim() != 3 or input.shape[1] != input.shape[2] or input.shape[1] == 0:
        raise ValueError(f"{function}: input {tuple(input.shape)}; needs (N, side, side) with a side above 0")
    if index.dim() != 1:
        raise ValueError(f"{function}: index {tuple(index.shape)}; needs (S)")
    pairs, slots = input.shape[0], index.shape[0]
    shapes: dict[str, tuple[Tensor, tuple[int, ...]]] = {
        "target": (target, tuple(input.shape)),
        "sizes": (sizes, (pairs, 4)),
        "index": (index, (slots,)),
        "dihedral": (dihedral, (slots,)),
        "colors": (colors, (slots, 10)),
        "offset": (offset, (slots, 2)),
    }
    for name, (tensor, shape) in shapes.items():
        _check_shape(function, name, tensor, shape, input.device)
    if slots and not pairs:
        raise ValueError(f"{function}: input {tuple(input.shape)} has no pairs for {slots} slots")


def _problem(
    input: Tensor,
    target: Tensor,
    sizes: Tensor,
    index: Tensor,
    dihedral: Tensor,
    colors: Tensor,
    offset: Tensor,
) -> str | None:
    if index.shape[0] == 0:
        return "no slots"
    if input.dtype != torch.uint8 or target.dtype != torch.uint8:
        return f"{input.dtype} input, {target.dtype} target: uint8 only"
    if any(values.dtype != torch.int64 for values in (sizes, index, dihedral, colors, offset)):
        return "sizes, index, dihedral, colors and offset: int64 only"
    if not (input.is_contiguous() and target.is_contiguous()):
        return "input or target is not contiguous"  # a copy of all pairs for a few slots would cost more
    return None

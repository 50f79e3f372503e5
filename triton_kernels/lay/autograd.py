"""The lay kernel as torch operations, `hrm::lay` and `hrm::lay_into`: integers in and out, so there is no gradient.

Where no kernel can be launched (a CPU that does not interpret) they run the reference, so that they compile, trace and
pass `opcheck` anywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.lay import reference


@torch.library.custom_op("hrm::lay", mutates_args=())
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
    if not runtime.launches(input):
        return reference.lay(input, target, sizes, index, dihedral, colors, offset)
    from triton_kernels.lay import launcher

    return launcher.lay(input, target, sizes, index, dihedral, colors, offset)


@lay.register_fake
def _(
    input: Tensor,
    target: Tensor,
    sizes: Tensor,
    index: Tensor,
    dihedral: Tensor,
    colors: Tensor,
    offset: Tensor,
) -> tuple[Tensor, Tensor]:
    tokens = input.new_empty(index.shape[0], input.shape[1] * input.shape[2], dtype=torch.int32)
    return tokens, torch.empty_like(tokens)


@torch.library.custom_op("hrm::lay_into", mutates_args=("tokens", "labels"))
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
    """As `reference.lay_into`: tokens and labels change in place."""
    arguments = (input, target, sizes, index, dihedral, colors, offset, halted, tokens, labels)
    if not runtime.launches(input):
        reference.lay_into(*arguments)
        return
    from triton_kernels.lay import launcher

    launcher.lay_into(*arguments)


@lay_into.register_fake
def _(
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
    return None

"""What is measured of `stablemax_loss`: loss and counts alone, and with both gradients, of 101, 325 and 901 tokens.

hidden is hidden[:, 1:] of a longer tensor, as the step calls it. Peers: the reference eager, and on CUDA compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.benchmarking import Specimen
from triton_kernels.stablemax_loss import reference
from triton_kernels.stablemax_loss.autograd import stablemax_loss_forward

HIDDEN = 256
VOCABULARY = 12
# Tokens -> samples on a CPU; on a GPU always GPU_BATCH.
CPU_BATCH = {101: 16, 325: 8, 901: 4}
GPU_BATCH = 64

Inputs = tuple[Tensor, Tensor, Tensor]
Function = Callable[[Tensor, Tensor, Tensor, str, bool], tuple[Tensor, ...]]


def inputs(device: torch.device, dtype: torch.dtype, batch: int, tokens: int) -> Inputs:
    """hidden, head, labels; the last third of every sample is PAD."""
    random = torch.Generator().manual_seed(tokens)
    hidden = torch.randn(batch, tokens + 1, HIDDEN, generator=random).to(device, dtype)[:, 1:]
    head = (torch.randn(VOCABULARY, HIDDEN, generator=random) / HIDDEN**0.5).to(device, dtype)
    labels = torch.randint(1, VOCABULARY, (batch, tokens), generator=random, dtype=torch.int32)
    labels[:, 2 * tokens // 3 :] = 0
    return hidden, head, labels.to(device)


def measure(function: Function, given: Inputs) -> tuple[Tensor, ...]:
    """Loss and counts; nothing recorded."""
    with torch.no_grad():
        return function(*given, "stablemax", False)


def train(function: Function, given: Inputs) -> tuple[Tensor, ...]:
    """Gradients of hidden and head of the sum of the losses."""
    hidden, head, labels = given
    leaves = [hidden.detach().requires_grad_(), head.detach().requires_grad_()]
    loss, *_ = function(leaves[0], leaves[1], labels, "stablemax", False)
    return torch.autograd.grad(loss.sum(), leaves)


def error(call: Callable[[Function, Inputs], tuple[Tensor, ...]], given: Inputs) -> float:
    """Largest relative error of the kernels' loss, or gradients, against the reference in fp32."""
    hidden, head, labels = given
    found = call(stablemax_loss_forward, given)
    exact = call(reference.stablemax_loss_with_shape, (hidden.float(), head.float(), labels))
    pairs = [(a.double(), b.double()) for a, b in zip(found, exact, strict=True) if a.is_floating_point()]
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


def specimen(call: Callable[[Function, Inputs], tuple[Tensor, ...]], given: Inputs) -> Specimen:
    """One shape in one direction."""
    hidden, head, labels = given
    plain = reference.stablemax_loss_with_shape
    peers: dict[str, Callable[[], object]] = {"reference": partial(call, plain, given)}
    launches = runtime.launches(hidden)
    if launches:
        peers["kernel"] = partial(call, stablemax_loss_forward, given)
    if hidden.device.type == "cuda":
        peers["compile"] = partial(call, torch.compile(plain), given)
    batch, tokens, width = hidden.shape
    product = 2.0 * batch * tokens * width * VOCABULARY
    moved = hidden.numel() * hidden.element_size() + 4.0 * labels.numel() + head.numel() * head.element_size()
    trains = call is train
    if trains:
        # Read twice and written once; the shares of d_head are written and read again.
        moved = 2 * moved + hidden.numel() * hidden.element_size() + 8.0 * batch * head.numel()
    return Specimen(
        op="stablemax_loss",
        shape=f"{batch} x {tokens} x {width}",
        direction="forward and backward" if trains else "forward",
        flops=4 * product if trains else product,
        bytes=moved,
        peers=peers,
        check=partial(error, call, given) if launches else None,
    )


def specimens(device: torch.device, dtype: torch.dtype) -> list[Specimen]:
    """Three lengths, forward alone and with the backward."""
    listed: list[Specimen] = []
    for tokens, batch in CPU_BATCH.items():
        given = inputs(device, dtype, GPU_BATCH if device.type == "cuda" else batch, tokens)
        listed += [specimen(measure, given), specimen(train, given)]
    return listed

"""Specimens for timing: the attention's output projection with residual and norm, hidden 256, three grid sizes.

Peers over the same tensors: the kernel's operation, the reference run eagerly, and on a GPU the compiled reference.
"forward+backward" is both in one call: so each peer keeps what it keeps, and a captured graph holds all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.benchmarking import Specimen
from triton_kernels.residual_norm import reference
from triton_kernels.residual_norm.autograd import residual_norm_forward

HIDDEN = 256
TOKENS = (101, 325, 901)
EPS = 1e-5
Function = Callable[..., Tensor]
Call = Callable[[Function, tuple[Tensor, ...], Tensor], tuple[Tensor, ...]]
# (direction, call, FLOPs, bytes)
Plan = tuple[str, Call, float, float]


def no_grad(function: Function, leaves: tuple[Tensor, ...], d_y: Tensor) -> tuple[Tensor, ...]:
    """(y,) of function(*leaves, eps), nothing recorded."""
    with torch.no_grad():
        return (function(*leaves, EPS),)


def forward(function: Function, leaves: tuple[Tensor, ...], d_y: Tensor) -> tuple[Tensor, ...]:
    """(y,), recorded for a backward that does not come."""
    return (function(*leaves, EPS).detach(),)


def forward_backward(function: Function, leaves: tuple[Tensor, ...], d_y: Tensor) -> tuple[Tensor, ...]:
    """(y, the gradient of each leaf)."""
    y = function(*leaves, EPS)
    return (y.detach(), *torch.autograd.grad(y, leaves, d_y))


def lazily_compiled(function: Function) -> Function:
    """torch.compile at the first call, so that a list of specimens costs nothing.

    Of a copy with a code object of its own: recompilations are counted by it, and torch gives up at eight.
    """
    assert isinstance(function, FunctionType)
    own = FunctionType(function.__code__.replace(), function.__globals__, function.__name__, function.__defaults__)
    compiled: list[Function] = []

    def call(*arguments: object) -> Tensor:
        if not compiled:
            compiled.append(torch.compile(own, fullgraph=True, dynamic=False))
        return compiled[0](*arguments)

    return call


def error(call: Call, kernel: Function, reference: Function, leaves: tuple[Tensor, ...], d_y: Tensor) -> float:
    """Worst relative Frobenius error of what the call gives, against the reference in fp32."""
    wide = tuple(leaf.detach().float().requires_grad_() for leaf in leaves)
    pairs = zip(call(kernel, leaves, d_y), call(reference, wide, d_y.float()), strict=True)
    return max(float((found.float() - wanted).norm() / wanted.norm()) for found, wanted in pairs)


def leaf(device: torch.device, dtype: torch.dtype, seed: int, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
    """Seeded normal values that want a gradient."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale
    return drawn.to(device, dtype).requires_grad_()


def specimens_for(
    op: str, shape: str, plans: list[Plan], kernel: Function, plain: Function, leaves: tuple[Tensor, ...]
) -> list[Specimen]:
    """One specimen a plan; y has a row of HIDDEN for each of the first leaf's."""
    device = leaves[0].device
    rows = leaves[0].shape[0]
    d_y = leaf(device, leaves[0].dtype, 9, (rows, HIDDEN)).detach()
    launches = runtime.launches(leaves[0])
    functions = {"reference": plain}
    if launches:
        functions["kernel"] = kernel
    if device.type == "cuda":
        functions["compile"] = lazily_compiled(plain)
    return [
        Specimen(
            op,
            shape,
            direction,
            flops,
            traffic,
            {name: partial(call, function, leaves, d_y) for name, function in functions.items()},
            partial(error, call, kernel, plain, leaves, d_y) if launches else None,
        )
        for direction, call, flops, traffic in plans
    ]


def kernel(branch: Tensor, weight: Tensor, residual: Tensor, eps: float) -> Tensor:
    """The custom operation without the choice: y alone."""
    y: Tensor = residual_norm_forward(branch, weight, residual, eps)[0]
    return y


def specimens(device: torch.device, dtype: torch.dtype) -> list[Specimen]:
    """Without gradient, and forward with backward, at each grid size; batch 64 on a GPU, 1 elsewhere."""
    batch = 64 if device.type == "cuda" else 1
    found = []
    for tokens in TOKENS:
        rows = batch * tokens
        branch = leaf(device, dtype, 1, (rows, HIDDEN))
        weight = leaf(device, dtype, 2, (HIDDEN, HIDDEN), HIDDEN**-0.5)
        residual = leaf(device, dtype, 3, (rows, HIDDEN))
        flops = 2.0 * rows * HIDDEN * HIDDEN
        width, matrix = float(dtype.itemsize * rows * HIDDEN), float(dtype.itemsize * HIDDEN * HIDDEN)
        # Forward: branch, residual in, y out. Backward: d_y, y, branch in, two gradients out, and the weights' own.
        plans: list[Plan] = [
            ("forward no grad", no_grad, flops, 3 * width + matrix + 4.0 * rows),
            ("forward+backward", forward_backward, 3 * flops, 8 * width + 3 * matrix + 8.0 * rows),
        ]
        shape = f"{batch} x {tokens} tokens, hidden {HIDDEN}"
        found += specimens_for(
            "residual_norm", shape, plans, kernel, reference.residual_norm, (branch, weight, residual)
        )
    return found

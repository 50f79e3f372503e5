"""Specimens for timing: the gated MLP with residual and norm, hidden 256, inner width 768, three grid sizes.

Peers over the same tensors: the kernel's operation, the reference run eagerly, and on a GPU the compiled reference.
"forward" is the recorded one (two kernels), "forward no grad" the whole MLP where it has a launch row,
"forward+backward" both in one call.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels.benchmarking import Specimen
from triton_kernels.residual_norm.benchmark import (
    HIDDEN,
    TOKENS,
    Plan,
    forward,
    forward_backward,
    leaf,
    no_grad,
    specimens_for,
)
from triton_kernels.swiglu import reference
from triton_kernels.swiglu.autograd import swiglu_forward

INNER = 768


def kernel(x: Tensor, gate_up: Tensor, down: Tensor, eps: float) -> Tensor:
    """The custom operation without the choice: y alone."""
    y: Tensor = swiglu_forward(x, gate_up, down, eps, torch.is_grad_enabled())[0]
    return y


def specimens(device: torch.device, dtype: torch.dtype) -> list[Specimen]:
    """Recorded, not recorded, and with backward, at each grid size; batch 64 on a GPU, 1 elsewhere."""
    batch = 64 if device.type == "cuda" else 1
    found = []
    for tokens in TOKENS:
        rows = batch * tokens
        x = leaf(device, dtype, 1, (rows, HIDDEN))
        gate_up = leaf(device, dtype, 2, (2 * INNER, HIDDEN), HIDDEN**-0.5)
        down = leaf(device, dtype, 3, (HIDDEN, INNER), INNER**-0.5)
        flops = 6.0 * rows * HIDDEN * INNER
        width, matrices = float(dtype.itemsize * rows * HIDDEN), 3.0 * dtype.itemsize * HIDDEN * INNER
        # The least: x in, y out; then x, y, d_y in, d_x out, and the weights' gradients. Nothing of width I.
        once, twice = 2 * width + matrices + 4.0 * rows, 6 * width + 3 * matrices + 8.0 * rows
        plans: list[Plan] = [
            ("forward", forward, flops, once),
            ("forward no grad", no_grad, flops, once),
            ("forward+backward", forward_backward, 3 * flops, twice),
        ]
        shape = f"{batch} x {tokens} tokens, hidden {HIDDEN}, inner {INNER}"
        found += specimens_for("swiglu", shape, plans, kernel, reference.swiglu, (x, gate_up, down))
    return found

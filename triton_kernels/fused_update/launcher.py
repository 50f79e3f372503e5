"""Launches of the update's kernels: outputs, grids, constants. Nothing here decides or checks anything."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from triton_kernels.fused_update.kernel import finish_kernel, norm_kernel, rows_sign_kernel, update_kernel
from triton_kernels.fused_update.reference import AVERAGES, KINDS, Averaging, Buffers, Controls, Noise, Rule
from triton_kernels.launch import launch
from triton_kernels.runtime import arch_of

OP = "fused_update"


def log_of_decay(beta: float) -> float:
    """Natural logarithm; for 0 a number whose exponential is 0 in fp32, where infinity would meet 0 and be NaN."""
    return math.log(beta) if beta > 0.0 else -1e4


def signed_word(seed: int) -> int:
    """The seed's low 32 bits, which are all that the hash uses, as a signed number."""
    low = seed & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def measure(gradients: Tensor, clip: float | None) -> Tensor:
    """(N,) fp32 -> (3) fp32: norm, keep, scale. Two launches."""
    arch = arch_of(gradients.device)
    first, second = launch(OP, "norm_kernel", arch), launch(OP, "finish_kernel", arch)
    count = -(-gradients.numel() // (first.blocks["BLOCK"] * first.blocks["REPEAT"]))
    partial = torch.empty(count, dtype=torch.float32, device=gradients.device)
    out = torch.empty(3, dtype=torch.float32, device=gradients.device)
    norm_kernel[(count,)](gradients, partial, gradients.numel(), **first.options())
    finish_kernel[(1,)](partial, out, count, clip or 0.0, CLIP=clip is not None, **second.options())
    return out


def update(
    buffers: Buffers,
    controls: Controls,
    rule: Rule,
    noise: Noise | None,
    average: Averaging | None,
    copy: Tensor | None,
    clear: bool,
) -> None:
    """One launch over (N,) buffers, which it changes in place. Absent tensors are stood in for and never read."""
    values, gradients, first, second = buffers
    meta = launch(OP, "update_kernel", arch_of(values.device))
    absent = controls.keep
    means = average or Averaging("", values, absent, absent, absent)
    update_kernel[(-(-values.numel() // meta.blocks["BLOCK"]),)](
        values,
        gradients,
        first,
        second,
        means.values,
        values if copy is None else copy,
        controls.lr,
        controls.keep,
        controls.scale,
        controls.steps,
        absent if noise is None else noise.sigma,
        means.steps,
        means.decay,
        means.taken,
        values.numel(),
        0 if noise is None else signed_word(noise.seed),
        1.0 - rule.betas[0],
        1.0 - rule.betas[1],
        log_of_decay(rule.betas[0]),
        log_of_decay(rule.betas[1]),
        rule.weight_decay,
        KIND=KINDS.index(rule.kind),
        NOISE=noise is not None,
        AVERAGE=0 if average is None else 1 + AVERAGES.index(average.kind),
        COPY=copy is not None,
        CLEAR=clear,
        **meta.options(),
    )


def rows_sign_update(
    table: Tensor, index: Tensor, gradients: Tensor, schedule: Tensor, keep: Tensor, lr: float, weight_decay: float
) -> None:
    """One launch; (R + 1, D) table in place, (S) int64 rows, (S, D) gradients."""
    meta = launch(OP, "rows_sign_kernel", arch_of(table.device))
    slots, columns = gradients.shape
    rows_sign_kernel[(slots, -(-columns // meta.blocks["COLUMNS"]))](
        table, index, gradients, schedule, keep, slots, columns, table.shape[0] - 1, lr, weight_decay, **meta.options()
    )

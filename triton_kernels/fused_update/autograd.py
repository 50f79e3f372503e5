"""The update as operations of torch: they change their arguments in place, and there is nothing to differentiate.

Each runs its kernel where one can be launched and the reference elsewhere, so that checks, fake tensors and compiled
graphs work on any device. Triton is imported at the first launch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.fused_update import reference
from triton_kernels.fused_update.reference import Averaging, Buffers, Controls, Noise, Rule


@torch.library.custom_op("hrm::fused_update_measure", mutates_args=())
def measure_op(gradients: Tensor, clip: float | None) -> Tensor:
    """(N,) fp32 -> (3) fp32: norm, keep, scale."""
    if runtime.launches(gradients):
        from triton_kernels.fused_update import launcher

        return launcher.measure(gradients, clip)
    return torch.stack(reference.measure(gradients, clip))


@measure_op.register_fake
def _(gradients: Tensor, clip: float | None) -> Tensor:
    return gradients.new_empty(3)


@torch.library.custom_op(
    "hrm::fused_update_step", mutates_args=("values", "gradients", "first", "second", "average", "copy")
)
def step_op(
    values: Tensor,
    gradients: Tensor,
    first: Tensor,
    second: Tensor,
    average: Tensor | None,
    copy: Tensor | None,
    lr: Tensor,
    keep: Tensor,
    scale: Tensor,
    count: Tensor,
    sigma: Tensor | None,
    average_count: Tensor | None,
    decay: Tensor | None,
    taken: Tensor | None,
    seed: int,
    kind: str,
    beta1: float,
    beta2: float,
    weight_decay: float,
    average_kind: str,
    clear: bool,
) -> None:
    """One step; `fused_update` with its tuples unpacked, as an operation's schema wants it."""
    buffers, controls = Buffers(values, gradients, first, second), Controls(lr, keep, scale, count)
    rule = Rule(kind, (beta1, beta2), weight_decay)
    noise = None if sigma is None else Noise(sigma, seed)
    means = None
    if average is not None:
        assert average_count is not None and decay is not None and taken is not None
        means = Averaging(average_kind, average, average_count, decay, taken)
    if runtime.launches(values):
        from triton_kernels.fused_update import launcher

        launcher.update(buffers, controls, rule, noise, means, copy, clear)
    else:
        reference.update(buffers, controls, rule, noise=noise, average=means, copy=copy, clear=clear)


@torch.library.custom_op("hrm::fused_update_rows", mutates_args=("table",))
def rows_op(
    table: Tensor, index: Tensor, gradients: Tensor, schedule: Tensor, keep: Tensor, lr: float, weight_decay: float
) -> None:
    """Rows by sign, (R + 1, D) table in place."""
    if runtime.launches(table):
        from triton_kernels.fused_update import launcher

        launcher.rows_sign_update(table, index, gradients, schedule, keep, lr, weight_decay)
    else:
        reference.rows_sign_update(table, index, gradients, schedule * keep * lr, weight_decay)


@step_op.register_fake
def _(*_arguments: object) -> None:
    return None


@rows_op.register_fake
def _(*_arguments: object) -> None:
    return None

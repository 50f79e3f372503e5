"""What is measured of the update: 6.85M numbers of AdamW with clip, EMA and cleared gradients; 320 sign rows.

Input: device and dtype (the update is fp32 whatever is asked); output: two specimens. A call measures the gradients and
updates. "torch fused" is torch.optim.AdamW(fused=True) alone: no norm, clip, average or clearing, so it does less.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from triton_kernels import runtime
from triton_kernels.benchmarking import Specimen
from triton_kernels.fused_update import (
    Averaging,
    Buffers,
    Controls,
    Rule,
    fused_update,
    measure_gradients,
    reference,
    rows_sign_update,
)

OP = "fused_update"
NUMBERS = 6_850_000
SLOTS, ROWS, COLUMNS = 320, 1000, 256
RULE = Rule("adamw", (0.9, 0.95), 0.1)
RATES = {"lr": 0.01, "weight_decay": 0.1}
# Of one number: the norm reads the gradient; the update reads five fp32 numbers and writes five.
BYTES = 4 + 10 * 4
FLOPS = 2 + 22


def state_of(device: torch.device, size: int = NUMBERS) -> tuple[Buffers, Averaging, Tensor]:
    """Buffers in the middle of a run, their average, the learning rate."""
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(size, generator=generator).to(device) for _ in range(3)]
    second = draw[2].square().mul_(1e-4)
    buffers = Buffers(draw[0], draw[1].mul_(1e-3), draw[2].mul_(1e-2), second)
    steps, decay, taken, lr = (torch.tensor(value, device=device) for value in (500.0, 0.999, 1.0, 1e-3))
    return buffers, Averaging("ema", draw[0].clone(), steps, decay, taken), lr


def step(buffers: Buffers, average: Averaging, lr: Tensor) -> Tensor:
    """What a training step does with its gradients, by the public functions."""
    measured = measure_gradients(buffers.gradients, 1.0)
    controls = Controls(lr, measured.keep, measured.scale, average.steps)
    fused_update(buffers, controls, RULE, average=average, clear=True)
    return buffers.values


def plain_step(buffers: Buffers, average: Averaging, lr: Tensor, chunk: int | None = None) -> Tensor:
    """The same by the reference."""
    measured = reference.measure(buffers.gradients, 1.0)
    controls = Controls(lr, measured.keep, measured.scale, average.steps)
    reference.update(buffers, controls, RULE, average=average, clear=True, chunk=chunk)
    return buffers.values


def with_mode(mode: str, function: Callable[..., Tensor], *arguments: Any, **options: Any) -> Tensor:
    """A call under a `kernels.mode`."""
    with runtime.mode(mode):
        return function(*arguments, **options)


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """torch.compile at the first call: listing specimens must not take a minute."""
    made: list[Callable[..., Tensor]] = []

    def call(*arguments: Any, **options: Any) -> Tensor:
        if not made:
            made.append(torch.compile(function, fullgraph=True, dynamic=False))
        return made[0](*arguments, **options)

    return call


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Frobenius norm of the difference over that of the reference."""
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


def check_update(device: torch.device) -> float:
    """Largest error of anything that one step changes."""
    (ours, our_average, lr), (theirs, their_average, _) = state_of(device), state_of(device)
    with_mode("force", step, ours, our_average, lr)
    plain_step(theirs, their_average, lr)
    changed = ((ours.values, theirs.values), (ours.first, theirs.first), (ours.second, theirs.second))
    return max(relative_error(*pair) for pair in (*changed, (our_average.values, their_average.values)))


def optimizer_step(buffers: Buffers) -> Callable[[], object]:
    """torch's own fused AdamW over the same number of numbers."""
    parameter = nn.Parameter(buffers.values.clone())
    parameter.grad = buffers.gradients.clone()
    optimizer = torch.optim.AdamW(
        [parameter], lr=1e-3, betas=RULE.betas, weight_decay=0.1, fused=True, capturable=parameter.is_cuda
    )
    return optimizer.step


def update_specimen(device: torch.device) -> Specimen:
    """One step of the trunk."""
    arguments = state_of(device)
    peers: dict[str, Callable[[], object]] = {"reference": partial(plain_step, *arguments)}
    launches = runtime.launches(arguments[0].values)
    if launches:
        peers["kernel"] = partial(with_mode, "force", step, *arguments)
    if device.type == "cuda":
        peers["compile"] = partial(compiled(plain_step), *arguments, chunk=NUMBERS)
    peers["torch fused"] = optimizer_step(arguments[0])
    check = partial(check_update, device) if launches else None
    return Specimen(OP, f"AdamW EMA N={NUMBERS}", "update", FLOPS * NUMBERS, BYTES * NUMBERS, peers, check)


def rows_of(device: torch.device) -> tuple[Tensor, ...]:
    """Table, row numbers with duplicates, gradients, schedule, keep."""
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(ROWS + 1, COLUMNS, generator=generator)
    table[-1] = 0.0
    index = torch.randint(0, ROWS, (SLOTS,), generator=generator)
    gradients = torch.randn(SLOTS, COLUMNS, generator=generator)
    return tuple(tensor.to(device) for tensor in (table, index, gradients, torch.tensor(1.0), torch.tensor(1.0)))


def plain_rows(table: Tensor, index: Tensor, gradients: Tensor, schedule: Tensor, keep: Tensor) -> Tensor:
    """Rows by the reference."""
    reference.rows_sign_update(table, index, gradients, schedule * keep * RATES["lr"], RATES["weight_decay"])
    return table


def fused_rows(table: Tensor, index: Tensor, gradients: Tensor, schedule: Tensor, keep: Tensor) -> Tensor:
    """Rows by the public function."""
    rows_sign_update(table, index, gradients, schedule, keep, **RATES)
    return table


def check_rows(device: torch.device) -> float:
    """Error of the table after one update. Signs of sums that cancel could differ; random ones do not."""
    ours, theirs = rows_of(device), rows_of(device)
    return relative_error(with_mode("force", fused_rows, *ours), plain_rows(*theirs))


def rows_specimen(device: torch.device) -> Specimen:
    """One step of the tasks' rows."""
    arguments = rows_of(device)
    peers: dict[str, Callable[[], object]] = {"reference": partial(plain_rows, *arguments)}
    launches = runtime.launches(arguments[0])
    if launches:
        peers["kernel"] = partial(with_mode, "force", fused_rows, *arguments)
    if device.type == "cuda":
        peers["compile"] = partial(compiled(plain_rows), *arguments)
    numbers = SLOTS * COLUMNS
    check = partial(check_rows, device) if launches else None
    return Specimen(OP, f"sign rows S={SLOTS} D={COLUMNS}", "update", 5.0 * numbers, 12.0 * numbers, peers, check)


def specimens(device: torch.device, dtype: torch.dtype) -> list[Specimen]:
    """The trunk's update and the rows'. The buffers are fp32; dtype is that of the model's operations."""
    del dtype
    return [update_specimen(device), rows_specimen(device)]

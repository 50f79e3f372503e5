"""The update of flat buffers in plain torch: clip, gradient noise, AdamW, Adam-atan2 or Lion, average, bf16 copy.

Values, gradients, moments and average (N,), fp32 (or fp64), changed in place; whatever varies is a 0-d tensor. AdamW:
Loshchilov & Hutter 2019 (1711.05101). Adam-atan2: Everett et al. 2024 (2407.05872, sec. 3.3) with both constants 1, as
HRM uses it. Lion: Chen et al. 2023 (2302.06675). Gradient noise: Neelakantan et al. 2015 (1511.06807), hashed from
(seed, step, position) instead of drawn from a generator. SWA: Izmailov et al. 2018 (1803.05407). Rows by sign: HRM's
published code. Muon's matrices and Adam's rows are not here, nor any schedule.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from triton_kernels.hashing import hash32, uniform

KINDS = ("adamw", "adam_atan2", "lion")
AVERAGES = ("ema", "swa")
EPS = 1e-8
NORM_EPS = 1e-6
PURPOSE_RADIUS = 301
PURPOSE_ANGLE = 302
# On a CPU all parts of 65,536 numbers are worked on while they are in the cache: 21 ms instead of 52 ms for 6.85M
# numbers of AdamW with average on one core, where smaller pieces cost calls and larger ones the cache.
CPU_CHUNK = 1 << 16


class Measure(NamedTuple):
    """Of one step's gradients, 0-d: norm; keep: 1, or 0 where the norm is not finite; scale: the clip's times keep."""

    norm: Tensor
    keep: Tensor
    scale: Tensor


class Buffers(NamedTuple):
    """What one update changes, (N,) each. second has no numbers where the rule is Lion."""

    values: Tensor
    gradients: Tensor
    first: Tensor
    second: Tensor


class Controls(NamedTuple):
    """What varies from step to step, 0-d: learning rate, keep and scale (see `Measure`), steps with this one."""

    lr: Tensor
    keep: Tensor
    scale: Tensor
    steps: Tensor


class Rule(NamedTuple):
    """What is the same at every step: "adamw", "adam_atan2" or "lion", decays of the moments, decoupled decay."""

    kind: str
    betas: tuple[float, float]
    weight_decay: float


class Noise(NamedTuple):
    """Standard deviation sigma, 0-d, of the noise that is added to the clipped gradient, and the seed of its draws."""

    sigma: Tensor
    seed: int


class Averaging(NamedTuple):
    """Average of the values, (N,), taken after the step.

    kind: "ema", with decay min(decay, (1 + steps) / (10 + steps)), or "swa", the mean of all that were taken. steps,
    decay and taken are 0-d: steps taken in with this one; taken 0 leaves the average as it was.
    """

    kind: str
    values: Tensor
    steps: Tensor
    decay: Tensor
    taken: Tensor

    def part(self, start: int, end: int | None) -> Averaging:
        """The same for a part of the values."""
        return self._replace(values=self.values[start:end])


class Factors(NamedTuple):
    """0-d numbers that every position shares: rate, 1 - rate * decay, weights and bias corrections of the moments."""

    rate: Tensor
    shrink: Tensor
    weight1: Tensor
    weight2: Tensor
    correction1: Tensor
    correction2: Tensor


def measure(gradients: Tensor, clip: float | None) -> Measure:
    """Norm of the gradients and what follows from it. clip: largest norm, None for no clip."""
    norm = torch.linalg.vector_norm(gradients)
    keep = torch.isfinite(norm).to(norm.dtype)
    scale = keep if clip is None else (clip / (norm + NORM_EPS)).clamp(max=1.0).nan_to_num(0.0) * keep
    return Measure(norm, keep, scale)


def clean(gradients: Tensor, scale: Tensor, out: Tensor | None = None) -> Tensor:
    """Scaled gradients, 0 where they are not finite."""
    return torch.mul(gradients, scale, out=out).nan_to_num_(0.0, 0.0, 0.0)


def normal(seed: int, count: Tensor, start: int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(size) draws of N(0, 1) for the positions from `start` at step `count` (0-d), by Box and Muller.

    The uniform draws are the same bits everywhere; the radius takes 1 - u, which is exact and never 0.
    """
    position = torch.arange(start, start + size, device=count.device)
    step = count.to(torch.int64)
    radius = uniform(hash32(seed, PURPOSE_RADIUS, step, position)).to(dtype)
    angle = uniform(hash32(seed, PURPOSE_ANGLE, step, position)).to(dtype)
    return (1.0 - radius).log_().mul_(-2.0).sqrt_().mul_(angle.mul_(2.0 * math.pi).cos_())


def average_weight(averaging: Averaging) -> Tensor:
    """Weight, 0-d, of the present values in their average."""
    if averaging.kind == "swa":
        return averaging.taken / averaging.steps.clamp(min=1.0)
    decay = torch.minimum((1.0 + averaging.steps) / (10.0 + averaging.steps), averaging.decay)
    return (1.0 - decay) * averaging.taken


def prepare(controls: Controls, rule: Rule) -> Factors:
    """The numbers that every position shares."""
    (beta1, beta2), keep = rule.betas, controls.keep
    rate = controls.lr * keep
    step = controls.steps.clamp(min=1.0)
    return Factors(
        rate,
        1.0 - rate * rule.weight_decay,
        (1.0 - beta1) * keep,
        (1.0 - beta2) * keep,
        1.0 - beta1**step,
        1.0 - beta2**step,
    )


def direction(part: Buffers, gradient: Tensor, spare: Tensor, factors: Factors, rule: Rule) -> Tensor:
    """Updates the moments in place and returns the step's direction, in `gradient`, which it overwrites."""
    if rule.kind == "lion":
        torch.lerp(part.first, gradient, 1.0 - rule.betas[0], out=spare)
        part.first.lerp_(gradient, factors.weight2)
        return torch.sign(spare, out=gradient)
    part.first.lerp_(gradient, factors.weight1)
    part.second.lerp_(torch.mul(gradient, gradient, out=gradient), factors.weight2)
    mean = torch.div(part.first, factors.correction1, out=gradient)
    deviation = torch.div(part.second, factors.correction2, out=spare).sqrt_()
    if rule.kind == "adam_atan2":
        return torch.atan2(mean, deviation, out=gradient)
    return mean.div_(deviation.add_(EPS))


def update(
    buffers: Buffers,
    controls: Controls,
    rule: Rule,
    *,
    noise: Noise | None = None,
    average: Averaging | None = None,
    copy: Tensor | None = None,
    clear: bool = False,
    chunk: int | None = None,
) -> None:
    """One step in place: gradient -> direction -> values -> average and copy; clear: the gradients are 0 afterwards.

    chunk: numbers that are worked on at a time; None: what is fast on the device.
    """
    values = buffers.values
    size = max(values.numel(), 1)
    span = min(size, chunk or (CPU_CHUNK if values.device.type == "cpu" else size))
    factors = prepare(controls, rule)
    weight = None if average is None else average_weight(average)
    scratch, spare = values.new_empty(span), values.new_empty(span)
    for start in range(0, values.numel(), span):
        end = min(start + span, values.numel())
        part = Buffers(*(tensor[start:end] for tensor in buffers))
        gradient = clean(part.gradients, controls.scale, scratch[: end - start])
        if noise is not None:
            drawn = normal(noise.seed, controls.steps, start, end - start, values.dtype)
            gradient.add_(drawn.mul_(noise.sigma))
        step = direction(part, gradient, spare[: end - start], factors, rule)
        part.values.mul_(factors.shrink).sub_(step.mul_(factors.rate))
        if average is not None and weight is not None:
            average.values[start:end].lerp_(part.values, weight)
        if copy is not None:
            copy[start:end].copy_(part.values)
        if clear:
            part.gradients.zero_()


def sum_by_row(index: Tensor, gradients: Tensor, scratch: int) -> tuple[Tensor, Tensor]:
    """(S) int64, (S, D) -> (target rows (S), duplicates sent to `scratch`; gradients (S, D) summed over equal rows).

    No `unique`, no data-dependent shape: slots of the same row are summed by a (S, S) product.
    """
    same = index[:, None] == index[None, :]
    summed = same.to(gradients.dtype) @ gradients
    earlier = torch.tril(same, diagonal=-1).any(dim=1)
    return torch.where(earlier, scratch, index), summed


def write_rows(table: Tensor, target: Tensor, direction: Tensor, rate: Tensor, weight_decay: float) -> None:
    """Moves target rows (S) of the table against (S, D) directions; its last row, scratch space, is 0 afterwards."""
    rows = table[target] * (1.0 - rate * weight_decay) - rate * direction
    table.index_copy_(0, target, rows)
    table[-1].zero_()


def rows_sign_update(table: Tensor, index: Tensor, gradients: Tensor, rate: Tensor, weight_decay: float) -> None:
    """(R + 1, D) table, (S) rows, (S, D) gradients: each touched row moves by the sign of the sum of its gradients."""
    target, summed = sum_by_row(index, gradients, table.shape[0] - 1)
    write_rows(table, target, torch.sign(summed), rate, weight_decay)

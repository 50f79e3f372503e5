"""Stages of the grid-size curriculum (EXP-07) by arithmetic: sides of their canvases, and what their steps cost.

Recipe room; free of torch. Scales and ends of `CurriculumConfig` -> sides, token-FLOPs, seconds. Which pairs a stage
has, and when it begins in a run, is `hrm_core/techniques/curriculum.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from hrm_core.recipe.estimate import flops_per_segment
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.slots import deal_slots
from hrm_core.recipe.spans import parse_time

SMALLEST_SIDE = 3
Span = int | float | str


def stage_sides(scales: Sequence[float], largest: int) -> tuple[int, ...]:
    """The side of each stage's canvas: 18, 24 and 30 of 30."""
    return tuple(min(largest, max(SMALLEST_SIDE, round(scale * largest))) for scale in scales)


def step_flops(recipe: Recipe, pairs_by_side: Mapping[int, int]) -> float:
    """FLOPs of a step whose slots are dealt to canvases with so many training pairs."""
    slots = deal_slots(pairs_by_side, recipe.training.batch * recipe.training.accumulation)
    prefix = recipe.identity.prefix_tokens
    return sum(count * flops_per_segment(recipe, side * side + prefix) for side, count in slots.items())


def flops_over_largest(recipe: Recipe, scales: Sequence[float], ends: Sequence[float]) -> float:
    """Mean FLOPs of a step of a run on one canvas a stage, over those of a step on the largest canvas throughout.

    ends: shares of the run.
    """
    largest = max(recipe.data.canvases)
    costs = [step_flops(recipe, {side: 1}) for side in stage_sides(scales, largest)]
    shares = [max(0.0, stop - start) for start, stop in pairwise((0.0, *ends, 1.0))]
    return sum(share * cost for share, cost in zip(shares, costs, strict=True)) / step_flops(recipe, {largest: 1})


def seconds_of_run(steps: float, ends: Sequence[Span], seconds: Sequence[float]) -> float:
    """Seconds of a run of so many steps, where a step of each stage takes `seconds` of it."""
    done, clock = 0.0, 0.0
    for end, each in zip(ends, seconds, strict=False):
        if isinstance(end, str):
            stop = done + max(0.0, parse_time(end).seconds - clock) / each
        else:
            stop = end * steps if isinstance(end, float) else float(end)
        stop = min(max(stop, done), steps)
        clock += (stop - done) * each
        done = stop
    return clock + (steps - done) * seconds[-1]


def mean_seconds(total: float, ends: Sequence[Span], seconds: Sequence[float]) -> float:
    """Mean seconds of a step of the run that takes `total` seconds in all: between the fastest and the slowest."""
    fewest, most = total / max(seconds), total / min(seconds)
    for _ in range(60):
        middle = (fewest + most) / 2
        fewest, most = (middle, most) if seconds_of_run(middle, ends, seconds) < total else (fewest, middle)
    return total / most

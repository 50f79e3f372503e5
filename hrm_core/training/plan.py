"""Resolves a recipe's shares, steps and hours into the steps at which things are due.

Training room: Recipe -> Plan; pure arithmetic, free of torch. Spans given in hours are resolved once, from the speed
of the first `MEASURED_STEPS` steps, and recorded by the trainer, so that a resumed run does not resolve them anew;
until then nothing that is due by hours is due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, final

from hrm_core.learning.schedules import Schedule
from hrm_core.recipe.checks import times
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.spans import Hours, parse_time, resolve_span

MEASURED_STEPS = 200
NEVER = 2**62


@final
@dataclass(frozen=True)
class Plan:
    """All in steps. `provisional`: something is given in hours and not resolved yet."""

    max_steps: int
    warmup: int
    decay: int
    checkpoint_every: int
    fast_validation_every: int
    full_validation_every: int
    provisional: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values for run.json, events and checkpoints."""
        return asdict(self)

    def schedule(self, recipe: Recipe) -> Schedule:
        """The learning-rate schedule of this plan."""
        config = recipe.schedule
        return Schedule(config.kind, self.max_steps, self.warmup, self.decay, config.min_ratio, config.restarts)

    def fast_due(self, step: int) -> bool:
        """Whether a fast validation is due after `step` steps."""
        return step % self.fast_validation_every == 0

    def full_due(self, step: int) -> bool:
        """Whether a full validation is due after `step` steps; the last step always is."""
        return step % self.full_validation_every == 0 or step >= self.max_steps

    def checkpoint_due(self, step: int) -> bool:
        """Whether a checkpoint is due after `step` steps; the last step always is."""
        return step % self.checkpoint_every == 0 or step >= self.max_steps


def make_plan(recipe: Recipe, seconds_per_step: float | None = None) -> Plan:
    """Plan of a recipe; with the measured `seconds_per_step` also what is given in hours."""
    training = recipe.training
    # A technique may have hours too; it is told by its timeline.
    provisional = seconds_per_step is None and bool(times(recipe))

    def steps(span: int | float | str, total: int) -> int:
        resolved = resolve_span(span, total)
        if not isinstance(resolved, Hours):
            return resolved
        if seconds_per_step is None:
            return NEVER
        return max(1, round(resolved.seconds / seconds_per_step))

    if isinstance(training.max_steps, int):
        total = training.max_steps
    elif seconds_per_step is None:
        total = NEVER
    else:
        total = max(MEASURED_STEPS + 1, round(parse_time(training.max_steps).seconds / seconds_per_step))
    warmup, decay = steps(recipe.schedule.warmup, total), steps(recipe.schedule.decay, total)
    if total == NEVER:
        # Before the length is known: a short warm-up by guess, no decay yet.
        warmup, decay = min(warmup, MEASURED_STEPS // 2), 0
    return Plan(
        max_steps=total,
        warmup=0 if warmup == NEVER else warmup,
        decay=0 if decay == NEVER else min(decay, total),
        checkpoint_every=steps(training.checkpoint_every, total),
        fast_validation_every=steps(training.fast_validation_every, total),
        full_validation_every=steps(training.full_validation_every, total),
        provisional=provisional,
    )


def measured_plan(
    recipe: Recipe, pace: Callable[[float, float], float], step_s: float, fast_s: float, full_s: float
) -> tuple[Plan, float, float]:
    """The plan from the measured seconds of a step and of a validation of each kind; also the seconds of a step as
    `pace` sees the whole run, and those with validations. `pace`: see `Techniques.pace`."""
    training = recipe.training
    per_step = step_s
    if isinstance(training.max_steps, str):
        whole = parse_time(training.max_steps).seconds
        step_s = pace(whole, step_s)
        total = whole
        for span, seconds in ((training.fast_validation_every, fast_s), (training.full_validation_every, full_s)):
            if isinstance(span, float):
                total -= seconds / span
        total = max(total, 2 * step_s * MEASURED_STEPS)
        per_step = step_s * whole / total
    return make_plan(recipe, per_step), step_s, per_step

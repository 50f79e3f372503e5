"""When a technique's thresholds strike: spans of the recipe turned into steps, and what has struck kept.

Techniques room; torch-free. The trainer sets `max_steps` (and, once measured, the seconds of a step) and asks nothing
else; a technique asks `at(name, span)`. A threshold that has struck keeps its step: a run that is made longer resolves
the others against its new length and leaves what is past as it was.
"""

from __future__ import annotations

from typing import final

from hrm_core.recipe.spans import Hours, parse_time, resolve_span

NEVER = 2**62


@final
class Timeline:
    """`struck`: name -> step, part of the checkpoint."""

    def __init__(self, max_steps: int = NEVER, seconds_per_step: float | None = None) -> None:
        self.max_steps = max_steps
        self.seconds_per_step = seconds_per_step
        # Training time so far, kept by the trainer; None where nobody keeps time.
        self.elapsed_s: float | None = None
        self.struck: dict[str, int] = {}

    def set(self, max_steps: int, seconds_per_step: float | None) -> None:
        """The run's length; `seconds_per_step` None leaves what was measured."""
        self.max_steps = max_steps
        if seconds_per_step is not None:
            self.seconds_per_step = seconds_per_step

    def steps(self, span: int | float | str, minimum: int = 1) -> int:
        """Steps of a span; NEVER while the run's length, or for a span in hours its speed, is not known."""
        if self.max_steps >= NEVER and isinstance(span, float) and span:
            return NEVER
        resolved = resolve_span(span, self.max_steps, minimum)
        if not isinstance(resolved, Hours):
            return resolved
        if self.seconds_per_step is None:
            return NEVER
        return max(minimum, round(resolved.seconds / self.seconds_per_step))

    def at(self, name: str, span: int | float | str) -> int:
        """The step of a threshold: the one at which it struck, or the one at which it will."""
        return self.struck[name] if name in self.struck else self.steps(span)

    def reached(self, name: str, span: int | float | str, step: int) -> bool:
        """Whether the threshold lies at or before `step`; from the first time on its step is fixed.

        A time strikes by the clock, where one is kept: steps need not all take as long as those that were measured.
        """
        if isinstance(span, str) and self.elapsed_s is not None and name not in self.struck:
            if self.elapsed_s < parse_time(span).seconds:
                return False
            self.struck[name] = step
        due = self.at(name, span)
        if step < due:
            return False
        self.struck.setdefault(name, due)
        return True

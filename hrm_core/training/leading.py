"""What rank 0's trainer tells the ranks that train with it, at each point of its loop; nothing where it trains alone.

Training room: StepParts and Progress -> the orders of `crew.py`. Who hears them is `follower.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from hrm_core.training.crew import Order
from hrm_core.training.policy import Policy
from hrm_core.training.progress import Progress
from hrm_core.training.step import OF_SLOTS, StepParts


@final
class Leading:
    """One method for each point of the loop."""

    def __init__(self, parts: StepParts, progress: Progress) -> None:
        self.parts = parts
        self.progress = progress
        self.crew = parts.crew

    def step(self, policy: Policy) -> None:
        """Before the techniques prepare a step: which one it is, and what they know of the run."""
        if self.crew is not None:
            timeline = self.parts.techniques.timeline
            known = {"max_steps": timeline.max_steps, "seconds_per_step": timeline.seconds_per_step}
            content = {"step": self.progress.step, "elapsed_s": timeline.elapsed_s, "noise": policy.noise_factor}
            self.crew.tell(Order.STEP, content | known)

    def scalars(self, lr: float, schedule: float, log_due: bool) -> None:
        """Its rates, and whether the sums are read after it."""
        if self.crew is not None:
            self.crew.scalars(lr, schedule, log_due)

    def reduce(self) -> None:
        """Before the sums are read."""
        if self.crew is not None:
            self.crew.reduce(self.parts, OF_SLOTS)

    def row(self, row: Mapping[str, Any]) -> None:
        """A row of metrics, before the techniques see it: some change what they do by it."""
        if self.crew is not None:
            self.crew.tell(Order.ROW, row)

    def end(self) -> None:
        """The run has ended in order."""
        if self.crew is not None:
            self.crew.tell(Order.END)

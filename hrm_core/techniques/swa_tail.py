"""EXP-02: the mean of the weights at the low points of a cyclic learning rate, over the last part of a run.

Izmailov et al. 2018 (arXiv 1803.05407, sec. 3.1 and 3.2): mean <- (n mean + w) / (n + 1) once a cycle, where the rate
is lowest. Theirs is a saw-tooth, the plan's a triangle: the rate falls and rises again over a period. Ours lays the
cycles so that the run's last step is a low point, and holds the full rate from `start` until the first peak, at most
one period. There is no batch norm to be measured anew. The mean is taken on the host between steps, once a period.
Part of the gain is an EMA's too, so the control is EXP-00, which has one; with averaging.kind=ema evaluations use the
EMA until the first capture, and the mean from then on.
A run that ends early, or is made longer in its tail, may end between low points; the mean is then of those before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, final

import torch

from hrm_core.learning.averaging import swapped_in
from hrm_core.recipe.techniques import SwaTailConfig
from hrm_core.techniques.points import Bench, Event, Plug
from hrm_core.techniques.timeline import NEVER

NAME = "swa_tail"


@final
@dataclass(frozen=True)
class Tail:
    """Cycles by the numbers of updates (0-based): the first of the tail, the first at the lowest rate, the period."""

    start: int
    first_low: int
    period: int

    def factor(self, step: int, low_ratio: float) -> float:
        """Factor of the learning rate for the update with this number: a triangle between `low_ratio` and 1."""
        half = self.period // 2
        if step < self.start or step < self.first_low - half:
            return 1.0
        phase = (step - self.first_low) % self.period
        return low_ratio + (1.0 - low_ratio) * min(phase, self.period - phase) / half

    def is_low(self, step: int) -> bool:
        """Whether the update with this number has the lowest rate of its cycle."""
        return step >= self.first_low and (step - self.first_low) % self.period == 0


def lay_tail(start: int, period: int, total: int) -> Tail:
    """The tail of a run of `total` steps: low points at its last step and every period before, the first at least
    half a period behind the start, where there is room for that."""
    last, earliest = total - 1, start + period // 2 - 1
    return Tail(start, last - max(0, last - earliest) // period * period, period)


@final
class SwaTail:
    """The means, what they are of, and where in the tail the run is. `captures` is the host's copy of `count`."""

    def __init__(self, config: SwaTailConfig, bench: Bench) -> None:
        self.config = config
        self.timeline = bench.timeline
        self.sources = [bench.flat.values, bench.model.rows.table] if config.rows else [bench.flat.values]
        self.means = [torch.zeros_like(source) for source in self.sources]
        self.count = torch.zeros((), device=bench.flat.values.device)
        self.tail: Tail | None = None
        self.captures = 0

    def before_step(self, step: int) -> Sequence[Event]:
        """Begins the tail where it is due and the run's length is known."""
        timeline = self.timeline
        known = timeline.max_steps < NEVER
        if self.tail is not None or not known or not timeline.reached(NAME, self.config.start, step):
            return ()
        period = timeline.steps(self.config.period, minimum=2)
        self.tail = lay_tail(timeline.struck[NAME], period, timeline.max_steps)
        say = f"weights are averaged from here on, every {period} steps, first after step {self.tail.first_low + 1}"
        return (Event("swa_started", say, {"period": period, "first_capture": self.tail.first_low + 1}),)

    def factor(self, step: int, factor: float) -> float:
        """The schedule's factor times the cycle's."""
        return factor if self.tail is None else factor * self.tail.factor(step, self.config.low_ratio)

    @torch.no_grad()
    def after_step(self, step: int) -> Sequence[Event]:
        """Takes the weights in after an update at a low point; `step` steps are done."""
        if self.tail is None or not self.tail.is_low(step - 1):
            return ()
        self.captures += 1
        self.count += 1
        for mean, source in zip(self.means, self.sources, strict=True):
            mean.lerp_(source, 1.0 / self.count)
        if self.captures > 1:
            return ()
        return (Event("swa_first_capture", "evaluations use the averaged weights from here on"),)

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """Within the block the model has the means, once there are any."""
        return swapped_in(self.sources, self.means) if self.captures else nullcontext()

    def weights_name(self) -> str | None:
        """What evaluations call the means."""
        return "swa" if self.captures else None

    def remember(self) -> dict[str, Any]:
        """Plain values for the checkpoint."""
        return {"tail": None if self.tail is None else asdict(self.tail), "captures": self.captures}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """The reverse of `remember`."""
        self.tail = None if kept["tail"] is None else Tail(**kept["tail"])
        self.captures = int(kept["captures"])

    def plug(self) -> Plug:
        """Where it acts."""
        return Plug(
            NAME,
            before_step=self.before_step,
            factor=self.factor,
            after_step=self.after_step,
            evaluation_weights=self.evaluation_weights,
            weights_name=self.weights_name,
            tensors={"count": self.count} | {f"mean_{number}": mean for number, mean in enumerate(self.means)},
            remember=self.remember,
            recall=self.recall,
        )

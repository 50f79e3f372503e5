"""EXP-10: Lion in place of the trunk's optimizer for the last part of a run.

Lion: Chen et al. 2023 (arXiv 2302.06675, algorithm 2): u = sign(b1 m + (1 - b1) g), m <- b2 m + (1 - b2) g. Its authors
want a rate 3 to 10 times lower and a decay as much higher than AdamW's (sec. 4.4), against the plan's equal rate and
smaller decay: hence the arm `b`. Its advantage grows with the batch, and ours is small. At the swap the moments are
zeroed (AdamW's mean is not Lion's) and a short linear warm-up follows; the average goes on. Everything in the flat
buffer takes Lion, Muon's matrices too; the tasks' rows keep their own optimizer, rate and schedule, so `lr_factor`,
warm-up and lowering act on the trunk's rate alone, which is what the column `lr` says. The first spike of the loss
within the warm-up or `WATCHED_STEPS` of the swap lowers the rate by a fifth, once (the plan's "if unstable").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch

from hrm_core.recipe.techniques import LionSwapConfig
from hrm_core.techniques.points import Bench, Event, Plug
from hrm_core.techniques.timeline import NEVER

NAME = "lion_swap"
WATCHED_STEPS = 1000
LOWERED = 0.8


def trunk_factor(step: int, start: int, warmup: int, lr_factor: float, lowered: bool) -> float:
    """Factor of the trunk's rate for the update with this number, `start` being Lion's first."""
    ramp = min(1.0, (step - start + 1) / warmup) if warmup else 1.0
    return lr_factor * ramp * (LOWERED if lowered else 1.0)


@final
class LionSwap:
    """`start` and `warmup` in steps once it has happened; before, `start` is None."""

    def __init__(self, config: LionSwapConfig, bench: Bench) -> None:
        self.config = config
        self.timeline = bench.timeline
        self.trunk = bench.trunk
        self.rate = torch.ones((), device=bench.flat.values.device)
        self.start: int | None = None
        self.warmup = 0
        self.lowered = False
        self.factor = 1.0

    def before_step(self, step: int) -> Sequence[Event]:
        """Swaps where it is due and the run's length is known; sets the rate of the step to come."""
        events: list[Event] = []
        timeline = self.timeline
        known = timeline.max_steps < NEVER
        if self.start is None and known and timeline.reached(NAME, self.config.start, step):
            self.start, self.warmup = step, timeline.steps(self.config.warmup)
            self.trunk.become_lion(self.config.betas, self.config.weight_decay, self.rate)
            self.trunk.forget()
            say = f"the optimizer is Lion from here on, with a warm-up of {self.warmup} steps"
            fields = {"optimizer": "lion", "warmup": self.warmup, "lr_factor": self.config.lr_factor}
            events.append(Event("optimizer_swapped", say, fields, recapture=True))
        if self.start is not None:
            self.factor = trunk_factor(step, self.start, self.warmup, self.config.lr_factor, self.lowered)
            self.rate.fill_(self.factor)
        return events

    def row(self, row: dict[str, Any]) -> Sequence[Event]:
        """Lowers the rate at the first spike after the swap; `lr` becomes the rate that the trunk had."""
        if self.start is None:
            return ()
        row["lr"] = row["lr"] * self.factor
        since = row["step"] - self.start
        if self.lowered or not row["loss_spike"] or not 0 < since <= max(self.warmup, WATCHED_STEPS):
            return ()
        self.lowered = True
        say = f"the loss spiked {since} steps after the swap: Lion's learning rate is lowered to {LOWERED:.0%}"
        return (Event("lion_lowered", say, {"factor": LOWERED, "steps_after_swap": since}),)

    def remember(self) -> dict[str, Any]:
        """Plain values for the checkpoint."""
        return {"start": self.start, "warmup": self.warmup, "lowered": self.lowered}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """The reverse of `remember`: the trunk has the optimizer that it had then, also where that is the first."""
        self.start = None if kept["start"] is None else int(kept["start"])
        self.warmup, self.lowered = int(kept["warmup"]), bool(kept["lowered"])
        if self.start is None:
            self.trunk.go_back()
        else:
            self.trunk.become_lion(self.config.betas, self.config.weight_decay, self.rate)

    def plug(self) -> Plug:
        """Where it acts."""
        return Plug(
            NAME,
            before_step=self.before_step,
            row=self.row,
            tensors={"rate": self.rate},
            remember=self.remember,
            recall=self.recall,
        )

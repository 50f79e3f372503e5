"""Spikes of the training loss: rows of the log whose loss is far above the median of those before.

Techniques room; torch-free. `Techniques.row` shows every run's detector each row of metrics, so that spikes are events
and a counter in all runs; techniques that answer a spike read `row["loss_spike"]`. The median, because the spike itself
does not move it. An excursion of several rows is one spike.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any, final

WINDOW_ROWS = 20
FEWEST_ROWS = 5
SPIKE_FACTOR = 3.0


@final
class SpikeDetector:
    """`count` spikes so far. `factor`: how many times the recent median is a spike."""

    def __init__(self, factor: float = SPIKE_FACTOR) -> None:
        self.factor = factor
        self.recent: list[float] = []
        self.count = 0
        self.high = False

    def see(self, loss: float | None) -> float | None:
        """Takes a row's loss in; the median it stands out from where a spike begins, else None."""
        if loss is None or not math.isfinite(loss):
            return None
        median = statistics.median(self.recent) if len(self.recent) >= FEWEST_ROWS else math.inf
        self.recent = [*self.recent, loss][-WINDOW_ROWS:]
        was_high, self.high = self.high, loss > self.factor * median
        if not self.high or was_high:
            return None
        self.count += 1
        return median

    def remember(self) -> dict[str, Any]:
        """Plain values for the checkpoint."""
        return {"recent": list(self.recent), "count": self.count, "high": self.high}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """The reverse of `remember`; what is missing counts as fresh."""
        self.recent = [float(loss) for loss in kept.get("recent", [])]
        self.count = int(kept.get("count", 0))
        self.high = bool(kept.get("high", False))

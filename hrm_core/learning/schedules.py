"""Learning-rate factor of a step: constant, cosine, or warm-up-stable-decay.

Learning room: pure arithmetic on integers, no tensors. Steps count from 0; the factor of step 0 with a warm-up of w
is 1/w, so that no update is wasted. Cosine with warm restarts: Loshchilov & Hutter 2017 (1608.03983, eq. 5), cycles of
equal length (their T_mult = 1) that fill the run after the warm-up; warm-up-stable-decay: Hu et al. 2024 (2404.06395,
sec. 4), with a linear decay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Schedule:
    """A resolved schedule: all in steps. The decay ends at `total`. `restarts` (cosine): so many times back to 1."""

    kind: str
    total: int
    warmup: int
    decay: int
    min_ratio: float
    restarts: int = 0

    def factor(self, step: int) -> float:
        """Factor in [0, 1] for the update with number `step` (0-based)."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.kind == "cosine":
            return self.min_ratio + (1 - self.min_ratio) * 0.5 * (1 + math.cos(math.pi * self._progress(step)))
        start = self.total - self.decay
        if self.kind == "wsd" and step >= start:
            left = max(self.total - step, 0) / max(self.decay, 1)
            return self.min_ratio + (1 - self.min_ratio) * left
        return 1.0

    def _progress(self, step: int) -> float:
        """Share of the present cosine cycle that lies before this step, at most 1."""
        place, span, cycles = step - self.warmup, max(self.total - self.warmup, 1), self.restarts + 1
        # Cycle k begins at k span // cycles: this is the last that has begun.
        number = min(((place + 1) * cycles - 1) // span, self.restarts)
        start, end = number * span // cycles, (number + 1) * span // cycles
        return min((place - start) / max(end - start, 1), 1.0)

    def decay_start(self) -> int | None:
        """First step of the final decay, None where there is none."""
        return {"wsd": self.total - self.decay, "cosine": self.warmup}.get(self.kind)

"""Learning-rate factor of a step: constant, cosine, or warm-up-stable-decay.

Learning room: pure arithmetic on integers, no tensors. Steps count from 0; the factor of step 0 with a warm-up of w
is 1/w, so that no update is wasted. Cosine: Loshchilov & Hutter 2017 (1608.03983, eq. 5); warm-up-stable-decay: Hu et
al. 2024 (2404.06395, sec. 4), with a linear decay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Schedule:
    """A resolved schedule: all in steps. The decay ends at `total`."""

    kind: str
    total: int
    warmup: int
    decay: int
    min_ratio: float

    def factor(self, step: int) -> float:
        """Factor in [0, 1] for the update with number `step` (0-based)."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.kind == "cosine":
            progress = (step - self.warmup) / max(self.total - self.warmup, 1)
            return self.min_ratio + (1 - self.min_ratio) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        start = self.total - self.decay
        if self.kind == "wsd" and step >= start:
            left = max(self.total - step, 0) / max(self.decay, 1)
            return self.min_ratio + (1 - self.min_ratio) * left
        return 1.0

    def decay_start(self) -> int | None:
        """First step of the final decay, None where there is none."""
        return {"wsd": self.total - self.decay, "cosine": self.warmup}.get(self.kind)

"""Exponential moving average of the trunk and, by a setting, of the task rows; and the swap that evaluates with it.

Learning room: flat values (N,) and the row table are read each step; `evaluation_weights` puts the averages in their
place and the raw weights back afterwards, whatever happens in between. Decay min(d, (1 + t) / (10 + t)), so that the
first steps are forgotten soon.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor

from hrm_core.recipe.learning import AveragingConfig


@final
class Average:
    """Average of several tensors that are updated in place elsewhere. kind "none": evaluation uses the raw weights."""

    def __init__(self, config: AveragingConfig, trunk: Tensor, rows: Tensor) -> None:
        self.config = config
        self.sources = [trunk, rows] if config.rows else [trunk]
        self.averages = [source.clone() for source in self.sources] if config.kind == "ema" else []
        self.count = torch.zeros((), device=trunk.device)

    @property
    def name(self) -> str:
        """What evaluations call the weights they use."""
        return "ema" if self.averages else "raw"

    def update(self, keep: Tensor) -> None:
        """Takes the present weights in. keep: 0-d, 0 leaves the average as it was."""
        if not self.averages:
            return
        self.count += keep
        decay = torch.clamp((1.0 + self.count) / (10.0 + self.count), max=self.config.decay)
        for average, source in zip(self.averages, self.sources, strict=True):
            average.lerp_(source, (1.0 - decay) * keep)

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Within the block the sources hold the averages."""
        if not self.averages:
            yield
            return
        raw = [source.clone() for source in self.sources]
        try:
            for source, average in zip(self.sources, self.averages, strict=True):
                source.copy_(average)
            yield
        finally:
            for source, saved in zip(self.sources, raw, strict=True):
                source.copy_(saved)

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs, by name."""
        named = {f"average_{number}": average for number, average in enumerate(self.averages)}
        return {**named, "count": self.count}

"""Exponential moving average of the trunk and, by a setting, of the task rows; and the swap that evaluates with it.

Learning room: flat values (N,) and the row table are read each step; `evaluation_weights` puts the averages in their
place and the raw weights back afterwards, whatever happens in between. Decay min(d, (1 + t) / (10 + t)), so that the
first steps are forgotten soon. A step takes the trunk in while it updates it (`count_step`), then the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import final

import torch
from torch import Tensor

from hrm_core.recipe.learning import AveragingConfig
from triton_kernels.fused_update import Averaging
from triton_kernels.fused_update.reference import average_weight


@contextmanager
def swapped_in(sources: Sequence[Tensor], others: Sequence[Tensor]) -> Iterator[None]:
    """Within the block the sources hold the others' values; afterwards their own, whatever happened."""
    raw = [source.clone() for source in sources]
    try:
        for source, other in zip(sources, others, strict=True):
            source.copy_(other)
        yield
    finally:
        for source, saved in zip(sources, raw, strict=True):
            source.copy_(saved)


@final
class Average:
    """Average of several tensors that are updated in place elsewhere. kind "none": evaluation uses the raw weights."""

    def __init__(self, config: AveragingConfig, trunk: Tensor, rows: Tensor) -> None:
        self.config = config
        self.sources = [trunk, rows] if config.rows else [trunk]
        self.averages = [source.clone() for source in self.sources] if config.kind == "ema" else []
        self.count = torch.zeros((), device=trunk.device)
        self.decay = torch.full((), config.decay, device=trunk.device)

    @property
    def name(self) -> str:
        """What evaluations call the weights they use."""
        return "ema" if self.averages else "raw"

    def update(self, keep: Tensor) -> None:
        """Takes the present weights in. keep: 0-d, 0 leaves the average as it was."""
        trunk = self.count_step(keep)
        if trunk is not None:
            trunk.values.lerp_(self.sources[0], average_weight(trunk))
            self.take_rows(trunk)

    def count_step(self, keep: Tensor) -> Averaging | None:
        """The first half of `update`: the average of the trunk, for the update that takes the new values in itself."""
        if not self.averages:
            return None
        self.count += keep
        return Averaging("ema", self.averages[0], self.count, self.decay, keep)

    def take_rows(self, counted: Averaging | None) -> None:
        """The second half of `update`: takes the rows in, with the weight that `count_step` counted."""
        if counted is not None:
            for average, source in zip(self.averages[1:], self.sources[1:], strict=True):
                average.lerp_(source, average_weight(counted))

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """Within the block the sources hold the averages."""
        return swapped_in(self.sources if self.averages else (), self.averages)

    def state(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs, by name."""
        named = {f"average_{number}": average for number, average in enumerate(self.averages)}
        return {**named, "count": self.count}

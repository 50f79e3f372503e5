"""What training and evaluation hold of the data: the pairs of one lane and the table of tasks, as tensors.

Frozen records; made by `dataset`, gathered from by `triton_kernels.lay`, drawn from by `streams` and `views`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class LanePairs:
    """N pairs on one canvas. Grids hold colours 0..9 and 10 outside; sizes are in cells.

    input, target: (N, side, side) uint8; task, pair, input_height, ..., known_side, stage: (N) int64; duplicate, fits:
    (N) bool; key: (N) int64, task * 2000 + pair. `task` is a row of the TaskTable; `pair` counts a task's
    demonstrations, then its tests. Where `fits` is False the target is larger than the canvas: its grid is empty here,
    its true sizes are kept, and the grid itself is in `Dataset.oversize`. `known_side` is the task's largest side known
    at test time.
    """

    side: int
    input: Tensor
    target: Tensor
    task: Tensor
    pair: Tensor
    input_height: Tensor
    input_width: Tensor
    target_height: Tensor
    target_width: Tensor
    known_side: Tensor
    stage: Tensor
    duplicate: Tensor
    fits: Tensor
    key: Tensor

    @property
    def num_pairs(self) -> int:
        """N, known on the host."""
        return int(self.task.shape[0])

    @property
    def sizes(self) -> Tensor:
        """(N, 4) int64: input height and width, target height and width, as `lay` takes them."""
        return torch.stack([self.input_height, self.input_width, self.target_height, self.target_width], dim=1)

    def _map(self, change: object) -> LanePairs:
        assert callable(change)
        changed = {item.name: change(getattr(self, item.name)) for item in fields(self) if item.name != "side"}
        return replace(self, **changed)

    def to(self, device: torch.device | str) -> LanePairs:
        """The same pairs on a device."""
        return self._map(lambda values: values.to(device))

    def select(self, index: Tensor) -> LanePairs:
        """The rows of `index` (M) int64, in its order."""
        return self._map(lambda values: values[index.to(values.device)])


@final
@dataclass(frozen=True)
class OversizePairs:
    """Targets that their canvas cannot hold: target (M, 30, 30) uint8, sizes and `key` as in LanePairs, (M) int64."""

    target: Tensor
    target_height: Tensor
    target_width: Tensor
    task: Tensor
    pair: Tensor
    key: Tensor

    @property
    def num_pairs(self) -> int:
        """M, known on the host."""
        return int(self.task.shape[0])


@final
@dataclass(frozen=True)
class TaskTable:
    """One row per task, on the host; row numbers are what `task` columns and identity rows use.

    ids and sources: names; evaluation (T) bool; known_side, canvas (on the recipe's canvases), stage, families
    (bit-mask over `families.FAMILIES`), num_demonstrations, num_tests: (T) int64; colors (T, 10) int64, the canonical
    colour of each colour, and published (T, 10) int64, the published colour of each colour of this data set's grids
    (the same where they are as published); descriptors: column name -> (T) int64, see `descriptors.describe_task`.
    """

    ids: tuple[str, ...]
    sources: tuple[str, ...]
    evaluation: Tensor
    known_side: Tensor
    canvas: Tensor
    stage: Tensor
    families: Tensor
    num_demonstrations: Tensor
    num_tests: Tensor
    colors: Tensor
    published: Tensor
    descriptors: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.ids)

"""Small made-up data sets: tasks given as grids, built and loaded by the functions that real data goes through."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from hrm_core.data.build import build
from hrm_core.data.dataset import Dataset, make_dataset
from hrm_core.data.grids import Grid, Pair, Task
from hrm_core.data.sources.source import Source
from hrm_core.recipe.data import DataConfig

Grids = tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]
MakeDataset = Callable[..., Dataset]


def grid(rows: Sequence[Sequence[int]]) -> Grid:
    return np.array(rows, dtype=np.uint8)


def task(name: str, demonstrations: Sequence[Grids], tests: Sequence[Grids], evaluation: bool = False) -> Task:
    def pairs(several: Sequence[Grids]) -> tuple[Pair, ...]:
        return tuple(Pair(grid(before), grid(after)) for before, after in several)

    return Task(name, "made", evaluation, pairs(demonstrations), pairs(tests))


@pytest.fixture
def make() -> MakeDataset:
    def make_tasks(tasks: Sequence[tuple[str, Sequence[Grids], Sequence[Grids]]], **settings: object) -> Dataset:
        """The first half of the tasks is training, the second evaluation (one more for training if odd)."""
        middle = (len(tasks) + 1) // 2
        made = [task(*parts, evaluation=number >= middle) for number, parts in enumerate(tasks)]
        return make_dataset(build([Source("made", tuple(made))]), DataConfig(**settings))

    return make_tasks

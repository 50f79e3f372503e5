"""A data file of small made-up tasks, in place of ARC-AGI-1, and its tasks as ARC's files have them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from hrm_core.data.build import build
from hrm_core.data.grids import Pair, Task
from hrm_core.data.prepare import write_built
from hrm_core.data.sources.source import Source

# A run of seconds: preset demo, fewer numbers, fewer steps.
TINY = (
    "preset=demo", "training.max_steps=4", "training.batch=4", "training.dtype=fp32", "training.device=cpu",
    "training.threads=1", "model.hidden=32", "model.heads=1", "model.h_layers=1", "model.l_layers=1",
    "halting.max_segments=2", "evaluation.views=2",
)  # fmt: skip


def small_tasks(count: int = 12, seed: int = 1) -> tuple[Task, ...]:
    """Tasks of 3x3 grids turned upside down; every second one is of the evaluation."""
    draw = random.Random(seed)

    def pair() -> Pair:
        cells = np.array([[draw.randrange(10) for _ in range(3)] for _ in range(3)], dtype=np.uint8)
        return Pair(cells, cells[::-1].copy())

    return tuple(Task(f"{seed:04x}{i:04x}", "arc1", i % 2 == 1, (pair(), pair()), (pair(),)) for i in range(count))


def write_small(path: Path, seed: int = 1) -> Path:
    """The data file."""
    write_built(build([Source("arc1", small_tasks(seed=seed))]), path)
    return path


def as_json(task: Task, outputs: bool = True) -> dict[str, Any]:
    """A task as ARC's files have it; without the tests' outputs as Kaggle's challenges do."""

    def row(pair: Pair, answer: bool) -> dict[str, Any]:
        whole = {"input": pair.input.tolist(), "output": pair.target.tolist()}
        return whole if answer else {"input": whole["input"]}

    return {
        "train": [row(pair, True) for pair in task.demonstrations],
        "test": [row(pair, outputs) for pair in task.tests],
    }

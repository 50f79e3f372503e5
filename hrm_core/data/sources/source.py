"""What a source gave: tasks in a fixed order, what had to be left out and why, and a digest of all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

from hrm_core.data.grids import Task


@final
@dataclass(frozen=True)
class BadFile:
    """A file (or a task in a file) that is not a valid task, with the reason."""

    where: str
    reason: str


@final
@dataclass(frozen=True)
class Source:
    """Tasks of one source, in reading order; `digest` is over their content and names, not over file bytes."""

    name: str
    tasks: tuple[Task, ...]
    bad: tuple[BadFile, ...] = ()
    notes: tuple[str, ...] = ()
    licence: str = ""
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", tasks_digest(self.tasks))


def tasks_digest(tasks: Iterable[Task]) -> str:
    """sha256 over names, divisions and every grid with its shape: equal tasks in equal order give an equal digest."""
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(f"{task.id}\0{task.evaluation:d}{len(task.demonstrations)},{len(task.tests)}\0".encode())
        for pair in task.pairs:
            for grid in (pair.input, pair.target):
                digest.update(bytes(grid.shape))
                digest.update(grid.tobytes())
    return digest.hexdigest()

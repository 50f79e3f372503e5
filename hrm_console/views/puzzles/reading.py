"""What the puzzles screen knows of its run, read in threads: which steps are kept, the list of one, one test at a time.

`look` (in a thread) -> `Found`; `read_test` (in a thread) -> `Read`, a test of one or two runs. A list that was read is
kept by its file's identity, so that a step is unpacked again only when its file has changed. Files come, go and are
replaced while this runs; what is not there is None. No Textual.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, final

from hrm_console.views.puzzles.files import TaskRows, read_lines, read_puzzle, step_for
from hrm_console.views.puzzles.puzzles import Puzzle, PuzzleLine, TaskView
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import TASKS_NAME, steps_kept

MOST_KEPT = 12
Identity = tuple[str, int, int]
Value = TypeVar("Value")


def identity(path: Path) -> Identity:
    """What a file is known by: path, time of change, size."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except (OSError, ValueError):
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size


@final
@dataclass
class Kept:
    """Lists and tasks that were read, by their files' identity. One thread at a time uses the lists, one the tasks."""

    lists: dict[Identity, tuple[PuzzleLine, ...]] = field(default_factory=dict)
    tasks: dict[Identity, TaskRows] = field(default_factory=dict)

    def lines(self, folder: Path, step: int) -> tuple[PuzzleLine, ...]:
        """The list of a step."""
        key = identity(RunFolder.of(folder).predictions / f"{step}.jsonl.gz")
        if key not in self.lists:
            _make_room(self.lists)
            self.lists[key] = read_lines(folder, step)
        return self.lists[key]

    def task_rows(self, folder: Path) -> TaskRows:
        """The tasks of a run."""
        key = identity(RunFolder.of(folder).predictions / TASKS_NAME)
        if key not in self.tasks:
            _make_room(self.tasks)
            self.tasks[key] = TaskRows(folder)
        return self.tasks[key]


def _make_room(kept: dict[Identity, Value]) -> None:
    while len(kept) >= MOST_KEPT:
        kept.pop(next(iter(kept)))


@final
@dataclass(frozen=True)
class Found:
    """The run that is shown (None: no run has predictions), the steps it keeps, the one shown and its list."""

    run_id: str | None
    folder: Path | None = None
    steps: tuple[int, ...] = ()
    step: int | None = None
    lines: tuple[PuzzleLine, ...] = ()
    other_step: int | None = None
    other_exact: dict[str, bool] = field(default_factory=dict)


def look(kept: Kept, candidates: Sequence[tuple[str, Path]], step: int | None, other: Path | None) -> Found:
    """The first of the candidates that keeps predictions, at the wanted step or else its newest."""
    for run_id, folder in candidates:
        steps = steps_kept(folder)
        if not steps:
            continue
        shown = step if step in steps else steps[-1]
        other_step = None if other is None else step_for(other, shown)
        others = () if other is None or other_step is None else kept.lines(other, other_step)
        return Found(
            run_id,
            folder,
            tuple(steps),
            shown,
            kept.lines(folder, shown),
            other_step,
            {line.name: line.exact for line in others},
        )
    return Found(None)


@final
@dataclass(frozen=True)
class Read:
    """A test of the run, its task, and the same test of the other run; None: not kept (any more)."""

    name: str | None = None
    puzzle: Puzzle | None = None
    task: TaskView | None = None
    other: Puzzle | None = None


def read_test(kept: Kept, found: Found, name: str, other: Path | None) -> Read:
    """A test of the list that was found."""
    if found.folder is None or found.step is None:
        return Read(name)
    theirs = None if other is None or found.other_step is None else read_puzzle(other, found.other_step, name)
    puzzle = read_puzzle(found.folder, found.step, name)
    task = None if puzzle is None else kept.task_rows(found.folder).find(puzzle.line.task)
    return Read(name, puzzle, task, theirs)

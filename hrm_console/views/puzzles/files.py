"""Reading the predictions of a run folder for the puzzles screen and `hrm show --puzzle`.

run folder, step -> the list of its tests; name -> one test, with one seek; the tasks, once. Called in threads. Nothing
here raises for what lies in the files, and a list of any length ends after a bounded time. What the values mean is in
puzzles.py.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import final

from hrm_console.views.puzzles.puzzles import Puzzle, PuzzleLine, TaskView, line_of, puzzle_of, task_name, task_of
from hrm_core.runs.files import Row
from hrm_core.runs.predictions import prediction_names, read_prediction, read_predictions, read_tasks, steps_kept

MOST_RECORDS = 5_000
MOST_READING_S = 10.0


def read_lines(folder: Path, step: int) -> tuple[PuzzleLine, ...]:
    """The list of a step: as many records as can be read in a bounded time."""
    end = time.monotonic() + MOST_READING_S
    lines: dict[str, PuzzleLine] = {}
    for place, row in enumerate(islice(read_predictions(folder, step), MOST_RECORDS)):
        line = line_of(row, place)
        lines[line.name] = line  # as in the index: of two records of one name the last one is found
        if time.monotonic() > end:
            break
    return tuple(lines.values())


@final
class TaskRows:
    """The tasks of a run by name, read as far as they are asked for: of ARC's 400 all take 0.14 s, as the file has no
    index. The file stays open until its end is reached, or this is dropped.
    """

    def __init__(self, folder: Path) -> None:
        self.rest = islice(read_tasks(folder), MOST_RECORDS)
        self.rows: dict[str, Row] = {}

    def find(self, name: str) -> TaskView | None:
        """A task; None if the run has not kept it."""
        while name not in self.rows:
            row = next(self.rest, None)
            if row is None:
                return None
            self.rows[task_name(row)] = row
        return task_of(self.rows[name])


def read_puzzle(folder: Path, step: int, name: str) -> Puzzle | None:
    """One record by its name, with one seek; None where it is not there (any more)."""
    row = read_prediction(folder, step, name)
    if row is None:
        return None
    puzzle = puzzle_of(row, step)
    return replace(puzzle, line=replace(puzzle.line, name=name))


def find_test(folder: Path, step: int, wanted: str) -> list[str]:
    """Names of the tests of a step that are meant by a name, a task, or the beginning of one."""
    names = prediction_names(folder, step) or [line.name for line in read_lines(folder, step)]
    for fits in (
        [name for name in names if name == wanted],
        [name for name in names if name.rpartition(":")[0] == wanted],
        [name for name in names if name.startswith(wanted)],
    ):
        if fits:
            return fits
    return []


def step_for(folder: Path, wanted: int | None) -> int | None:
    """The wanted step if its predictions are kept, else the newest kept one."""
    steps = steps_kept(folder)
    return wanted if wanted in steps else steps[-1] if steps else None

"""Predictions of a run as puzzles to be looked at: records of `predictions/` -> lines of a list, and whole puzzles.

A record is whatever a file holds, so every value is taken with its type and within a bound; what is missing is None or
empty. Beside each number of quality stands what copying the input would get on the same test, by the definition of the
record's own number. No Textual, no numpy: `hrm show --puzzle` prints from here too. Drawing is in grids.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import eq
from typing import Any, final

from hrm_console.views.puzzles.grids import MOST_SIDE, Grid, grid_trouble, parse_grid
from hrm_core.runs.files import Row, integer, items, mapping, number, string
from hrm_core.runs.predictions import record_name

MOST_SEGMENTS = 64
MOST_ANSWERS = 16
MOST_DEMONSTRATIONS = 32
MOST_NAMES = 16
# The ten subgroups of the symmetries of a square, numbered as in hrm_core.data.descriptors (a test compares).
SYMMETRIES = (
    "none",
    "left_right",
    "up_down",
    "half_turn",
    "two_mirrors",
    "diagonal",
    "antidiagonal",
    "two_diagonals",
    "quarter_turn",
    "full",
)


@final
@dataclass(frozen=True)
class PuzzleLine:
    """A test in the list. Shares are of 1. halting: the first segment, from 1, in which the head would halt, None:
    in none; copy_exact and copy_cells: what copying the input gets."""

    name: str
    task: str
    exact: bool
    cell_accuracy: float | None
    confidence: float | None
    families: tuple[str, ...]
    halting: int | None
    num_segments: int
    keeps_segments: bool
    copy_exact: bool
    copy_cells: float | None


@final
@dataclass(frozen=True)
class Answer:
    """One grid that views voted for."""

    grid: Grid
    votes: int | None
    confidence: float | None


@final
@dataclass(frozen=True)
class TaskView:
    """What is known of a task beside its tests: demonstrations as (input, target), canonical colours, descriptors."""

    task: str
    demonstrations: tuple[tuple[Grid, Grid], ...] = ()
    colors: tuple[int, ...] | None = None
    descriptors: dict[str, int] = field(default_factory=dict)
    source: str = ""
    canvas: int | None = None


@final
@dataclass(frozen=True)
class Puzzle:
    """One test as a run answered it at a step."""

    line: PuzzleLine
    step: int
    input: Grid
    target: Grid
    predicted: Grid
    segments: tuple[Grid, ...]
    halting: tuple[float | None, ...]
    answers: tuple[Answer, ...]
    rank: int | None
    loss: float | None
    side: int | None
    fits: bool
    duplicate: bool
    trouble: tuple[str, ...]


@final
@dataclass(frozen=True)
class Tally:
    """A set of tests: how many are right, mean cell accuracy, and the same of copying the input."""

    tests: int
    right: int
    cells: float | None
    copy_right: int
    copy_cells: float | None


def sigmoid(logit: float) -> float:
    """Logit -> probability."""
    return (
        1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(max(-700.0, logit)) / (1 + math.exp(max(-700.0, logit)))
    )


def copying(row: Row) -> tuple[bool, float | None]:
    """What predicting the input itself gets: exact, and cell accuracy by the definition of the record's own.

    That is: both grids lie at the origin of the test's canvas, with a row of end marks under and a column right of each
    where there is room; counted are the target's cells and its end marks. So an input of another size loses the marks.
    """
    given, target = (_row_strings(row.get(key)) for key in ("input", "target"))
    if not target:
        return False, None
    if row.get("fits") is False:
        return False, 0.0
    (height, width), (rows, columns) = ((len(grid), len(grid[0]) if grid else 0) for grid in (target, given))
    side = integer(row, "side")
    side = side if side is not None and max(height, width) <= side <= MOST_SIDE else MOST_SIDE
    counted, right = height * width, sum(sum(map(eq, one, other)) for one, other in zip(target, given, strict=False))
    # End marks: all of a side where the grids end alike there, one where the end of one crosses that of the other.
    if height < side:
        counted += width
        right += min(width, columns) if rows == height else int(rows > height and columns < width)
    if width < side:
        counted += height
        right += min(height, rows) if columns == width else int(columns > width and rows < height)
    return given == target, right / counted


def _row_strings(value: object) -> list[str]:
    """Rows as they stand in a record, cut and filled up: comparing text is much faster than comparing cells."""
    if not isinstance(value, (list, tuple)):
        return []
    rows = [row[:MOST_SIDE] if isinstance(row, str) else "" for row in value[:MOST_SIDE]]
    width = max(map(len, rows), default=0)
    return [row.ljust(width) for row in rows] if width else []


def halting_of(row: Row) -> tuple[float | None, ...]:
    """The probability of halting after each segment."""
    logits = items(row, "halt_logit")[:MOST_SEGMENTS]
    found = [number({"logit": logit}, "logit") for logit in logits]
    return tuple(None if logit is None else sigmoid(logit) for logit in found)


def names_of(row: Row, key: str) -> tuple[str, ...]:
    """A list of names."""
    return tuple(name[:40] for name in items(row, key)[:MOST_NAMES] if isinstance(name, str))


def line_of(row: Row, place: int) -> PuzzleLine:
    """The line of record number `place`."""
    halting = halting_of(row)
    exact, cells = copying(row)
    halts = (at for at, chance in enumerate(halting, 1) if chance is not None and chance > 0.5)
    return PuzzleLine(
        name=record_name(row, place)[:200],
        task=task_name(row),
        exact=row.get("exact") is True,
        cell_accuracy=number(row, "cell_accuracy"),
        confidence=number(row, "confidence"),
        families=names_of(row, "families"),
        halting=next(halts, None),
        num_segments=len(halting),
        keeps_segments=bool(items(row, "segments")),
        copy_exact=exact,
        copy_cells=cells,
    )


def task_name(row: Row) -> str:
    """The task that a record is of."""
    return string(row, "task", 100) or "?"


def task_of(row: Row) -> TaskView:
    """A record of tasks.jsonl.gz."""
    demonstrations = [
        (parse_grid(pair.get("input")), parse_grid(pair.get("target")))
        for pair in items(row, "demonstrations")[:MOST_DEMONSTRATIONS]
        if isinstance(pair, dict)
    ]
    colors = items(row, "colors")
    valid = len(colors) == 10 and all(type(color) is int for color in colors) and set(colors) == set(range(10))
    descriptors = mapping(row, "descriptors")
    return TaskView(
        task=task_name(row),
        demonstrations=tuple(demonstrations),
        colors=tuple(colors) if valid else None,
        descriptors={name: value for name in descriptors if (value := integer(descriptors, name)) is not None},
        source=string(row, "source", 40) or "",
        canvas=integer(row, "canvas"),
    )


def puzzle_of(row: Row, step: int, place: int = 0) -> Puzzle:
    """A record as a puzzle; its troubles say what is not shown as it stands in the file."""
    grids = {key: row.get(key) for key in ("input", "target", "predicted")}
    trouble = [f"{key}: {words}" for key, value in grids.items() if (words := grid_trouble(value))]
    answers = [answer for answer in items(row, "answers")[:MOST_ANSWERS] if isinstance(answer, dict)]
    rank = integer(row, "rank")
    return Puzzle(
        line=line_of(row, place),
        step=step,
        **{key: parse_grid(value) for key, value in grids.items()},
        segments=tuple(parse_grid(grid) for grid in items(row, "segments")[:MOST_SEGMENTS]),
        halting=halting_of(row),
        answers=tuple(
            Answer(parse_grid(answer.get("grid")), integer(answer, "votes"), number(answer, "confidence"))
            for answer in answers
        ),
        rank=None if rank is None or not 0 <= rank < 10_000 else rank,
        loss=number(row, "loss"),
        side=integer(row, "side"),
        fits=row.get("fits") is not False,
        duplicate=row.get("duplicate") is True,
        trouble=tuple(trouble),
    )


def tally(lines: Iterable[PuzzleLine]) -> Tally:
    """What a set of tests comes to."""
    listed = list(lines)

    def mean(values: list[float | None]) -> float | None:
        found = [value for value in values if value is not None]
        return sum(found) / len(found) if found else None

    return Tally(
        tests=len(listed),
        right=sum(line.exact for line in listed),
        cells=mean([line.cell_accuracy for line in listed]),
        copy_right=sum(line.copy_exact for line in listed),
        copy_cells=mean([line.copy_cells for line in listed]),
    )


def descriptor_lines(view: TaskView) -> list[str]:
    """The rule descriptors of a task as sentences. They are guesses from the demonstrations, not the rule."""
    values: dict[str, Any] = view.descriptors
    lines = []
    kind = values.get("symmetry")
    if kind is not None:
        name = SYMMETRIES[kind].replace("_", " ") if 0 <= kind < len(SYMMETRIES) else f"number {kind}"
        lines.append(f"symmetry of all outputs: {name}")
    if "translation" in values:
        row, column = values.get("translation_row", 0), values.get("translation_column", 0)
        shift = f", by one shift: row {row:+d}, column {column:+d}" if row or column else ", not by one common shift"
        moves = f"an object moves in every demonstration{shift}" if values["translation"] else "no object moves in all"
        lines.append(f"translation: {moves}")
    if "objects_changed" in values:
        lines.append(f"objects that the output no longer shows: {values['objects_changed']} a demonstration")
    if "recolored" in values:
        lines.append(f"changes of one colour into another: {values['recolored']} kinds")
    known = {"symmetry", "translation", "translation_row", "translation_column", "objects_changed", "recolored"}
    return lines + [f"{name[:40]}: {value}" for name, value in list(values.items())[:MOST_NAMES] if name not in known]

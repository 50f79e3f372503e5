"""Which pictures a puzzle is shown as: puzzle, task, view -> the demonstrations' groups and the test's group.

A `View` is what the keys have chosen: a segment, an answer of the vote, canonical colours, letters for objects or for
the nodes of their graph. A second puzzle is another run's answer to the same test, beside the first. No Textual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from hrm_console.views.puzzles.boards import Group
from hrm_console.views.puzzles.grid_objects import object_letters
from hrm_console.views.puzzles.grids import (
    CHANGED,
    WRONG,
    Cell,
    Grid,
    Picture,
    differing,
    mask_of,
    recolored,
    size_words,
)
from hrm_console.views.puzzles.puzzles import Puzzle, TaskView

Letters = Literal["", "objects", "graph"]


@final
@dataclass(frozen=True)
class View:
    """segment: from 0, None: the answer that counts; answer: 0 the prediction, then the answers of the vote."""

    segment: int | None = None
    answer: int = 0
    canonical: bool = False
    letters: Letters = ""
    ascii: bool = False


def shown_grid(puzzle: Puzzle, view: View) -> tuple[str, Grid]:
    """What stands in the place of the prediction, and its name."""
    if view.segment is not None and view.segment < len(puzzle.segments):
        return f"segment {view.segment + 1}/{len(puzzle.segments)}", puzzle.segments[view.segment]
    if 0 < view.answer <= len(puzzle.answers):
        return f"answer {view.answer}/{len(puzzle.answers)}", puzzle.answers[view.answer - 1].grid
    return "predicted", puzzle.predicted


def changed_since(puzzle: Puzzle, view: View) -> frozenset[Cell] | None:
    """Cells of the segment shown that differ from the one before: none in the first. None: no segment is shown."""
    at = view.segment
    if at is None or at >= len(puzzle.segments):
        return None
    return differing(puzzle.segments[at], puzzle.segments[max(0, at - 1)])


def colors_of(task: TaskView | None, view: View) -> tuple[int, ...] | None:
    """The bijection that is applied, if any."""
    return task.colors if task is not None and view.canonical else None


def demonstration_groups(task: TaskView | None, view: View) -> list[Group]:
    """Input and output of each demonstration."""
    if task is None:
        return []
    return [
        (
            _picture(f"{number} input {size_words(given)}", given, task, view),
            _picture(f"output {size_words(target)}", target, task, view),
        )
        for number, (given, target) in enumerate(task.demonstrations, 1)
    ]


def puzzle_group(puzzle: Puzzle, task: TaskView | None, view: View, other: Puzzle | None = None) -> Group:
    """Input, target, what was predicted, where it is wrong; with another run its answer too."""
    pictures = [
        _picture(f"test input {size_words(puzzle.input)}", puzzle.input, task, view),
        _picture(f"target {size_words(puzzle.target)}", puzzle.target, task, view),
    ]
    for name, answered in (("A " if other else "", puzzle), ("B ", other)):
        if answered is not None:
            pictures += _answer(name, answered, puzzle.target, task, view)
    return tuple(pictures)


def _answer(name: str, puzzle: Puzzle, target: Grid, task: TaskView | None, view: View) -> list[Picture]:
    """The grid shown and its masks."""
    title, grid = shown_grid(puzzle, view)
    wrong, changed = differing(target, grid), changed_since(puzzle, view)
    marks = dict.fromkeys(wrong, WRONG[view.ascii])
    for cell in changed or ():
        marks[cell] = marks.get(cell, "") + CHANGED[view.ascii]
    found = [
        _picture(f"{name}{title} {size_words(grid)}", grid, task, view, marks),
        Picture(f"{name}wrong {len(wrong)}", mask_of(wrong, target, grid), mask=True),
    ]
    if changed is not None:
        before = puzzle.segments[max(0, (view.segment or 0) - 1)]
        found.append(Picture(f"{name}changed {len(changed)}", mask_of(changed, grid, before), mask=True))
    return found


def _picture(
    title: str, grid: Grid, task: TaskView | None, view: View, marks: Mapping[Cell, str] | None = None
) -> Picture:
    shown = recolored(grid, colors_of(task, view))
    letters = object_letters(shown, nodes_only=view.letters == "graph") if view.letters else {}
    return Picture(title, shown, letters=letters, marks=marks or {})

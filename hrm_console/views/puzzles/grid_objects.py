"""The objects of a grid and which of them touch, as the data room and EXP-06 define them, without numpy.

Grid -> objects: largest sets of cells of one colour that touch over edges or corners; colour 0 makes none. Numbered as
EXP-06 numbers its nodes: the largest first, equal ones in reading order. Two objects touch where a cell of one is
beside, or diagonal to, one of the other: EXP-06's edges. Tests hold both against `hrm_core.data` and `hrm_core.model`.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import final

from hrm_console.views.puzzles.grids import COLOR_NAMES, Cell, Grid, size_of

LETTERS = string.ascii_lowercase + string.ascii_uppercase
AROUND = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0))


@final
@dataclass(frozen=True)
class GridObject:
    """cells in reading order; (row, column) is the corner of the box of height x width."""

    color: int
    cells: tuple[Cell, ...]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Row, column, height, width."""
        rows, columns = [row for row, _ in self.cells], [column for _, column in self.cells]
        return min(rows), min(columns), max(rows) - min(rows) + 1, max(columns) - min(columns) + 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """As a record lists it: colour, row, column, height, width, area."""
        return (self.color, *self.box, len(self.cells))


def find_objects(grid: Grid) -> tuple[GridObject, ...]:
    """Every object of the grid, the largest first."""
    height, width = size_of(grid)
    line = width + 2
    # One flat list with a margin of background: four times as fast as asking cell by cell, which counts at 30 x 30.
    flat = [0] * line + [cell for row in grid for cell in (0, *row, 0)] + [0] * line
    around = (-line - 1, -line, -line + 1, -1, 1, line - 1, line, line + 1)
    found: list[GridObject] = []
    for place in range(line, line * (height + 1)):
        color = flat[place]
        if color <= 0:
            continue
        flat[place] = 0
        cells, stack = [place], [place]
        while stack:
            here = stack.pop()
            for step in around:
                if flat[here + step] == color:
                    flat[here + step] = 0
                    cells.append(here + step)
                    stack.append(here + step)
        found.append(GridObject(color, tuple((at // line - 1, at % line - 1) for at in sorted(cells))))
    return tuple(sorted(found, key=lambda item: (-len(item.cells), item.cells[0])))


def numbered(objects: tuple[GridObject, ...]) -> dict[Cell, int]:
    """Cell -> index of its object."""
    return {cell: index for index, item in enumerate(objects) for cell in item.cells}


def touching(objects: tuple[GridObject, ...]) -> tuple[tuple[int, ...], ...]:
    """For each object the indexes of those that it touches."""
    owner = numbered(objects)
    near = [
        {
            owner[row + down, column + right]
            for row, column in item.cells
            for down, right in AROUND
            if (row + down, column + right) in owner
        }
        for item in objects
    ]
    return tuple(tuple(sorted(others - {index})) for index, others in enumerate(near))


def letter_of(index: int) -> str:
    """An object's name in the picture: a to z, A to Z, then a sign for all others."""
    return LETTERS[index] if index < len(LETTERS) else "#"


def object_letters(grid: Grid, nodes_only: bool = False) -> dict[Cell, str]:
    """Cell -> letter of its object; with `nodes_only` on its first cell alone, where EXP-06 puts the node."""
    objects = find_objects(grid)
    return {
        cell: letter_of(index)
        for index, item in enumerate(objects)
        for cell in (item.cells[:1] if nodes_only else item.cells)
    }


def object_words(grid: Grid, edges: bool) -> list[str]:
    """A line for each object: name, colour, size, place, and with `edges` whom it touches."""
    objects = find_objects(grid)
    near = touching(objects) if edges else ()
    lines = []
    for index, item in enumerate(objects):
        row, column, height, width = item.box
        line = f"{letter_of(index)} {COLOR_NAMES[item.color]} {height}x{width} at {row},{column}"
        if len(item.cells) != height * width:
            line += f", {len(item.cells)} cells"
        if edges:
            line += ", touches " + (" ".join(letter_of(other) for other in near[index]) or "none")
        lines.append(line)
    return lines

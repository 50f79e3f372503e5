"""Connected components of a grid. Grid -> objects with colour, place and shape.

An object is a largest set of touching cells of one colour (or of any colour but 0, `by_color=False`), touching over
edges (4 neighbours) or corners too (8). Colour 0 makes no objects. Computed with scipy.ndimage on the host, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from hrm_core.data.grids import Grid

EIGHT = np.ones((3, 3), dtype=bool)
FOUR = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)
MULTICOLOR = 10


@final
@dataclass(frozen=True)
class GridObject:
    """`mask` (height, width) bool is the object in its bounding box, whose corner is (row, column)."""

    color: int
    row: int
    column: int
    mask: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Number of cells."""
        return int(self.mask.sum())

    @property
    def shape_key(self) -> tuple[int, tuple[int, ...], bytes]:
        """Equal for objects of equal colour and shape, wherever they are."""
        return self.color, self.mask.shape, self.mask.tobytes()

    @property
    def key(self) -> tuple[int, int, int, tuple[int, ...], bytes]:
        """Equal for the same object at the same place."""
        return self.row, self.column, *self.shape_key


def object_rows(grid: Grid) -> list[tuple[int, int, int, int, int, int, int]]:
    """(neighbors, color, row, column, height, width, area) of every object, in each of the four ways to see them."""
    rows = []
    for neighbors in (4, 8):
        for by_color in (True, False):
            for color, labels, boxes in _labelled(grid, neighbors, by_color):
                areas = np.bincount(labels.ravel())
                for number, (down, right) in enumerate(boxes, start=1):
                    height, width = down.stop - down.start, right.stop - right.start
                    rows.append((neighbors, color, down.start, right.start, height, width, int(areas[number])))
    return rows


def find_objects(grid: Grid, neighbors: int = 8, by_color: bool = True) -> list[GridObject]:
    """Objects in the order of colour, then of first cell in reading order; `neighbors` is 4 or 8."""
    return [
        GridObject(color, box[0].start, box[1].start, labels[box] == number)
        for color, labels, boxes in _labelled(grid, neighbors, by_color)
        for number, box in enumerate(boxes, start=1)
    ]


def _labelled(
    grid: Grid, neighbors: int, by_color: bool
) -> Iterator[tuple[int, NDArray[np.int32], list[tuple[slice, slice]]]]:
    """For each colour that makes objects: the colour, the number of its object in each cell, their bounding boxes."""
    if neighbors not in (4, 8):
        raise ValueError(f"neighbors is {neighbors}, not 4 or 8")
    from scipy import ndimage  # a third of a second, which only a run that looks for objects waits for

    structure = EIGHT if neighbors == 8 else FOUR
    colors = [color for color in np.unique(grid).tolist() if color] if by_color else [MULTICOLOR]
    for color in colors:
        labels, _ = ndimage.label(grid == color if by_color else grid != 0, structure)
        yield color, labels, ndimage.find_objects(labels)

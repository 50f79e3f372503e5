"""Tasks, pairs and the eight symmetries of a grid, as plain numpy.

A grid is (height, width) uint8, colours 0..9, sides 1..30. A dihedral element is three bits: 4 transposes, then 2
reverses the rows, then 1 reverses the columns; 0 is the identity. `triton_kernels.lay` uses the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.uint8]

NUM_COLORS = 10
NUM_DIHEDRAL = 8
OUTSIDE = 10
MAX_SIDE = 30


@final
@dataclass(frozen=True)
class Pair:
    """One input grid and its output grid, each (height, width) uint8."""

    input: Grid
    target: Grid


@final
@dataclass(frozen=True)
class Task:
    """A puzzle. `evaluation` is True for a task of an evaluation set; `origin` says where it was read (file or key)."""

    id: str
    source: str
    evaluation: bool
    demonstrations: tuple[Pair, ...]
    tests: tuple[Pair, ...]
    origin: str = ""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Demonstrations, then tests: the numbering that `pair` columns use."""
        return self.demonstrations + self.tests


def turn_grid(grid: Grid, dihedral: int) -> Grid:
    """The grid under one of the eight symmetries."""
    turned = grid.T if dihedral & 4 else grid
    turned = turned[::-1] if dihedral & 2 else turned
    return turned[:, ::-1] if dihedral & 1 else turned


def turn_back(grid: Grid, dihedral: int) -> Grid:
    """The inverse of `turn_grid`."""
    turned = grid[:, ::-1] if dihedral & 1 else grid
    turned = turned[::-1] if dihedral & 2 else turned
    return turned.T if dihedral & 4 else turned

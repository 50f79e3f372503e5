"""Which object each cell belongs to, and what that object is like: whole arrays of grids at once.

Data room: grids (N, side, side) uint8, colours 0..9 and 10 outside, wherever they lie on their canvas -> `ObjectMaps`,
on the host; maps of published pairs -> maps of slots, turned and moved as `triton_kernels.lay` turns and moves the
grids, on the device. Objects are those of `objects.py`: cells of one colour that touch, colour 0 makes none. What the
model makes of them is `hrm_core.model.objects`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrm_core.data.grids import NUM_COLORS, OUTSIDE
from hrm_core.data.objects import EIGHT, FOUR
from triton_kernels.lay import FIRST_COLOR

Integers = NDArray[np.int64]


class Feature(IntEnum):
    """Columns of a cell's features: cells of its object, height and width of its box, the cell's place in the box, how
    many objects of the grid are larger, whether the object touches the grid's border."""

    AREA = 0
    HEIGHT = 1
    WIDTH = 2
    ROW = 3
    COLUMN = 4
    RANK = 5
    BORDER = 6


class ObjectMaps(NamedTuple):
    """labels (N, side, side) int16: 0 where there is no object, else its number in the grid, 1 for the largest (ties:
    in reading order); features (N, side, side, 7) int16, all 0 where there is no object."""

    labels: NDArray[np.int16]
    features: NDArray[np.int16]


class _Objects(NamedTuple):
    """All objects of all grids, (count) each; `first` is the first cell in reading order."""

    grid: Integers
    first: Integers
    area: Integers
    top: Integers
    left: Integers
    height: Integers
    width: Integers
    border: NDArray[np.bool_]


def object_maps(fields: NDArray[np.uint8], neighbors: int = 8, max_objects: int | None = None) -> ObjectMaps:
    """Maps of N grids. Of each, the `max_objects` largest objects are kept; the others do not show."""
    numbers, count = _label_all(fields, neighbors)
    labels = np.zeros(fields.shape, np.int16)
    features = np.zeros((*fields.shape, len(Feature)), np.int16)
    grid, row, column = np.nonzero(numbers)
    if not count:
        return ObjectMaps(labels, features)
    of = numbers[grid, row, column] - 1
    objects = _measure(fields, of, count, grid, row, column)
    place, larger = _rank(objects)
    shown = np.stack(
        [
            objects.area[of],
            objects.height[of],
            objects.width[of],
            row - objects.top[of],
            column - objects.left[of],
            larger[of],
            objects.border[of],
        ],
        axis=-1,
    )
    kept = np.ones(len(of), np.bool_) if max_objects is None else place[of] < max_objects
    where = grid[kept], row[kept], column[kept]
    labels[where] = place[of][kept] + 1
    features[where] = shown[kept]
    return ObjectMaps(labels, features)


def _label_all(fields: NDArray[np.uint8], neighbors: int) -> tuple[Integers, int]:
    """(N, side, side) number of each cell's object among all grids' objects, from 1; and how many there are."""
    if neighbors not in (4, 8):
        raise ValueError(f"neighbors is {neighbors}, not 4 or 8")
    from scipy import ndimage  # a third of a second, which only a run that looks for objects waits for

    within = np.zeros((3, 3, 3), np.bool_)
    within[1] = EIGHT if neighbors == 8 else FOUR  # cells of different grids do not touch
    numbers = np.zeros(fields.shape, np.int64)
    count = 0
    for color in range(1, NUM_COLORS):
        found, more = ndimage.label(fields == color, within)
        numbers = np.where(found > 0, found + count, numbers)
        count += int(more)
    return numbers, count


def _measure(
    fields: NDArray[np.uint8], of: Integers, count: int, grid: Integers, row: Integers, column: Integers
) -> _Objects:
    """What the objects are, from the cells that belong to any: cell i, in reading order, belongs to object of[i]."""
    side = fields.shape[1]
    grid_of, first = np.zeros(count, np.int64), np.zeros(count, np.int64)
    grid_of[of] = grid
    first[of[::-1]] = (row * side + column)[::-1]  # the last to be written is the first in reading order
    corners = []
    for values in (row, column):
        low, high = np.full(count, side), np.full(count, -1)
        np.minimum.at(low, of, values)
        np.maximum.at(high, of, values)
        corners.append((low, high - low + 1))
    outside = np.pad(fields == OUTSIDE, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    beside = outside[:, :-2, 1:-1] | outside[:, 2:, 1:-1] | outside[:, 1:-1, :-2] | outside[:, 1:-1, 2:]
    touching = np.bincount(of, weights=beside[grid, row, column], minlength=count) > 0
    (top, height), (left, width) = corners
    return _Objects(grid_of, first, np.bincount(of, minlength=count), top, left, height, width, touching)


def _rank(objects: _Objects) -> tuple[Integers, Integers]:
    """Of each object its place in its grid by size, ties in reading order; and how many there are larger."""
    order = np.lexsort((objects.first, -objects.area, objects.grid))
    grid, area = objects.grid[order], objects.area[order]
    at = np.arange(len(order))
    new_grid = np.concatenate([[True], grid[1:] != grid[:-1]])
    start = np.maximum.accumulate(np.where(new_grid, at, 0))
    new_area = new_grid | np.concatenate([[True], area[1:] != area[:-1]])
    place, larger = np.zeros_like(at), np.zeros_like(at)
    place[order] = at - start
    larger[order] = np.maximum.accumulate(np.where(new_area, at, 0)) - start
    return place, larger


def token_fields(tokens_BT: Tensor, side: int) -> NDArray[np.uint8]:
    """Token rows (B, side * side) as `object_maps` takes grids: PAD and EOS are outside. On the host."""
    fields: NDArray[Any] = tokens_BT.cpu().numpy().reshape(-1, side, side)
    return np.where(fields >= FIRST_COLOR, fields - FIRST_COLOR, OUTSIDE).astype(np.uint8)


def lay_maps(maps: Tensor, sizes_N2: Tensor, index: Tensor, dihedral: Tensor, offset: Tensor) -> Tensor:
    """Maps (N, side, side) or (N, side, side, F) of the lane's pairs -> (S, side * side) or (S, side * side, F), 0
    outside the grid: the geometry of `triton_kernels.lay.reference`. sizes (N, 2): heights and widths of the grids."""
    side = maps.shape[1]
    height_S, width_S = sizes_N2[index].unbind(1)
    transposed_S11 = ((dihedral & 4) > 0)[:, None, None]
    turned_height = torch.where(transposed_S11, width_S[:, None, None], height_S[:, None, None])
    turned_width = torch.where(transposed_S11, height_S[:, None, None], width_S[:, None, None])
    cell = torch.arange(side, device=maps.device)
    row = cell[None, :, None] - offset[:, 0, None, None]
    column = cell[None, None, :] - offset[:, 1, None, None]
    inside = (row >= 0) & (row < turned_height) & (column >= 0) & (column < turned_width)
    row = torch.where(((dihedral & 2) > 0)[:, None, None], turned_height - 1 - row, row)
    column = torch.where(((dihedral & 1) > 0)[:, None, None], turned_width - 1 - column, column)
    source = torch.where(transposed_S11, column * side + row, row * side + column)
    source = torch.where(inside, source, 0) + (index * (side * side))[:, None, None]
    laid = maps.flatten(0, 2)[source.flatten(1)]
    mask = inside.flatten(1)
    return torch.where(mask if laid.dim() == 2 else mask[:, :, None], laid, 0)


def turn_features(features_STF: Tensor, dihedral: Tensor) -> Tensor:
    """Features of cells that have been laid, (S, T, 7), as the turned grid has them: boxes and places turn with it."""
    columns = list(features_STF.unbind(-1))

    def wherever(bit: int, turned: Tensor, plain: Tensor) -> Tensor:
        return torch.where(((dihedral & bit) > 0)[:, None], turned, plain)

    for one, other in ((Feature.HEIGHT, Feature.WIDTH), (Feature.ROW, Feature.COLUMN)):
        columns[one], columns[other] = (
            wherever(4, columns[other], columns[one]),
            wherever(4, columns[one], columns[other]),
        )
    object_there = columns[Feature.AREA] > 0
    for bit, place, size in ((2, Feature.ROW, Feature.HEIGHT), (1, Feature.COLUMN, Feature.WIDTH)):
        mirrored = torch.where(object_there, columns[size] - 1 - columns[place], 0)
        columns[place] = wherever(bit, mirrored, columns[place])
    return torch.stack(columns, dim=-1)

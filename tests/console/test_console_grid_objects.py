"""Objects and who touches whom against the data room's and EXP-06's own, on any grid."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm_console.views.puzzles.grid_objects import (
    find_objects,
    letter_of,
    numbered,
    object_letters,
    object_words,
    touching,
)
from hrm_console.views.puzzles.grids import parse_grid
from hrm_core.data.object_maps import object_maps
from hrm_core.data.objects import find_objects as data_objects
from hrm_core.model.objects import touching_objects

SIDES = st.integers(1, 8).flatmap(
    lambda width: st.lists(st.text("00123", min_size=width, max_size=width), min_size=1, max_size=8)
)


def array_of(rows):
    return np.array([[int(cell) for cell in row] for row in rows], np.uint8)


@settings(deadline=None)
@given(SIDES)
def test_the_objects_are_those_that_records_list(rows):
    found = find_objects(parse_grid(rows))
    listed = [(o.color, o.row, o.column, *o.mask.shape, o.area) for o in data_objects(array_of(rows), 8)]
    assert sorted(item.numbers for item in found) == sorted(listed)


@settings(deadline=None)
@given(SIDES)
def test_numbers_and_edges_are_those_of_the_object_graph(rows):
    grid, array = parse_grid(rows), array_of(rows)
    side = max(array.shape)
    field = np.full((1, side, side), 10, np.uint8)
    field[0, : array.shape[0], : array.shape[1]] = array
    labels = object_maps(field, 8).labels
    objects = find_objects(grid)
    own = np.zeros((side, side), np.int16)
    for (row, column), index in numbered(objects).items():
        own[row, column] = index + 1
    assert np.array_equal(own, labels[0])
    edges = touching_objects(torch.from_numpy(labels).reshape(1, -1), max(1, len(objects)), side, 8)[0]
    assert [list(near) for near in touching(objects)] == [
        edges[at].nonzero().ravel().tolist() for at in range(len(objects))
    ]


def test_words_and_letters_of_objects():
    grid = parse_grid(["1102", "1000", "0303"])
    assert object_words(grid, edges=True) == [
        "a blue 2x2 at 0,0, 3 cells, touches c",
        "b red 1x1 at 0,3, touches none",
        "c green 1x1 at 2,1, touches a",
        "d green 1x1 at 2,3, touches none",
    ]
    assert object_letters(grid)[1, 0] == "a" and set(object_letters(grid, nodes_only=True)) == {
        (0, 0),
        (0, 3),
        (2, 1),
        (2, 3),
    }
    assert letter_of(51) == "Z" and letter_of(52) == letter_of(900) == "#"
    assert object_words(parse_grid([]), edges=True) == []

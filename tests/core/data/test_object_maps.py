"""Maps of objects against the objects found one by one, and laid maps against labelling the laid tokens again."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm_core.data.dataset import load_dataset
from hrm_core.data.grids import OUTSIDE, Grid
from hrm_core.data.object_maps import Feature, lay_maps, object_maps, token_fields, turn_features
from hrm_core.data.objects import find_objects
from hrm_core.recipe.data import DataConfig
from triton_kernels.lay import lay


def random_grids(seed: int, count: int, side: int) -> tuple[np.ndarray, torch.Tensor]:
    """(N, side, side) fields with grids of random sizes in their corner, and sizes (N, 4) of equal input and target."""
    generator = np.random.default_rng(seed)
    fields = np.full((count, side, side), OUTSIDE, np.uint8)
    sizes = generator.integers(1, side + 1, (count, 2))
    for field, (height, width) in zip(fields, sizes, strict=True):
        field[:height, :width] = generator.choice([0, 0, 0, 1, 2, 7], (height, width))
    return fields, torch.from_numpy(np.concatenate([sizes, sizes], axis=1))


def expected(grid: Grid, neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and features of one grid, object by object."""
    objects = find_objects(grid, neighbors)
    labels, features = np.zeros(grid.shape, int), np.zeros((*grid.shape, len(Feature)), int)
    first = {id(item): item.row * grid.shape[1] + item.column + int(np.argmax(item.mask[0])) for item in objects}
    for number, item in enumerate(sorted(objects, key=lambda item: (-item.area, first[id(item)])), start=1):
        height, width = item.mask.shape
        border = (
            item.row == 0
            or item.column == 0
            or item.row + height == grid.shape[0]
            or item.column + width == grid.shape[1]
        )
        larger = sum(other.area > item.area for other in objects)
        for row, column in np.argwhere(item.mask).tolist():
            at = item.row + row, item.column + column
            labels[at] = number
            features[at] = (item.area, height, width, row, column, larger, border)
    return labels, features


@pytest.mark.parametrize("neighbors", [4, 8])
def test_maps_are_those_of_the_objects_found_one_by_one(neighbors: int) -> None:
    fields, sizes = random_grids(0, 40, 8)
    found = object_maps(fields, neighbors)
    for number, (height, width, *_) in enumerate(sizes.tolist()):
        labels, features = expected(fields[number, :height, :width], neighbors)
        np.testing.assert_array_equal(found.labels[number, :height, :width], labels)
        np.testing.assert_array_equal(found.features[number, :height, :width], features)
        assert not found.labels[number, height:].any() and not found.labels[number, :, width:].any()


def test_only_the_largest_are_kept_and_wrong_neighbours_refused() -> None:
    field = np.array([[[1, 1, 0, 2], [0, 0, 0, 0], [3, 3, 3, 0], [0, 0, 0, 4]]], np.uint8)
    assert object_maps(field).labels[0].tolist() == [[2, 2, 0, 3], [0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 4]]
    two = object_maps(field, max_objects=2)
    assert two.labels[0].tolist() == [[2, 2, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert not two.features[two.labels == 0].any()
    assert not object_maps(np.zeros((1, 3, 3), np.uint8)).features.any()
    with pytest.raises(ValueError, match="6, not 4 or 8"):
        object_maps(field, 6)


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two label maps divide the cells alike."""
    pairs = set(zip(one.ravel().tolist(), other.ravel().tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and (0, 0) in pairs | {(0, 0)}


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.sampled_from([4, 8]))
def test_laid_maps_are_those_of_the_laid_tokens_for_every_turn_and_place(seed: int, side: int, neighbors: int) -> None:
    fields, sizes = random_grids(seed, 3, side)
    generator = np.random.default_rng(seed)
    turns = torch.tensor(list(itertools.product(range(3), range(8))))
    index, dihedral = turns[:, 0].contiguous(), turns[:, 1].contiguous()
    height, width = sizes[index, 0], sizes[index, 1]
    room = side - torch.where(
        (dihedral & 4 > 0)[:, None], torch.stack([width, height], 1), torch.stack([height, width], 1)
    )
    offset = torch.from_numpy(generator.integers(0, room.numpy() + 1))
    colors = torch.tensor(np.stack([[0, *generator.permutation(range(1, 10))] for _ in index]))
    grids = torch.from_numpy(fields)
    tokens, _ = lay(grids, grids, sizes, index, dihedral, colors, offset)
    again = object_maps(token_fields(tokens, side), neighbors)
    here = object_maps(fields, neighbors)
    labels = lay_maps(torch.from_numpy(here.labels), sizes[:, :2], index, dihedral, offset)
    features = lay_maps(torch.from_numpy(here.features), sizes[:, :2], index, dihedral, offset)
    turned = turn_features(features, dihedral)
    assert turned.dtype == torch.int16
    np.testing.assert_array_equal(turned.numpy(), again.features.reshape(len(index), side * side, -1))
    for mine, its in zip(labels.numpy(), again.labels.reshape(len(index), -1), strict=True):
        assert same_partition(mine, its)


def test_every_training_input_of_arc1(arc1_file: Path) -> None:
    """As many objects as the data file lists for the demonstrations."""
    dataset = load_dataset(arc1_file, DataConfig())
    columns = dataset.objects
    listed = (columns["neighbors"] == 8) & (columns["color"] != 10) & (columns["grid"] == 0)
    keys, counts = np.unique(columns["task"][listed] * 2000 + columns["pair"][listed], return_counts=True)
    count_of = dict(zip(keys.tolist(), counts.tolist(), strict=True))
    for lane in dataset.train.values():
        most = object_maps(lane.input.numpy()).labels.reshape(lane.num_pairs, -1).max(axis=1)
        assert most.tolist() == [count_of.get(key, 0) for key in lane.key.tolist()]

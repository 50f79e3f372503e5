"""Views, decoding and inverting against each other: what is laid under any view comes back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm_core.data.build import pad_grids
from hrm_core.data.checks import round_trip_faults
from hrm_core.data.dataset import load_dataset
from hrm_core.data.lanes import LanePairs
from hrm_core.data.streams import augmentation_of
from hrm_core.data.views import decode_grid, draw_views, invert_grid, num_views
from hrm_core.recipe.augment import AugmentConfig
from hrm_core.recipe.data import DataConfig
from triton_kernels.lay import lay


@pytest.fixture(scope="module")
def lanes(arc1_file: Path) -> dict[int, LanePairs]:
    return load_dataset(arc1_file, DataConfig()).val


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_what_is_laid_comes_back(seed: int, side: int) -> None:
    generator = np.random.default_rng(seed)
    shape = generator.integers(1, side + 1, 2)
    grid = generator.integers(0, 10, shape, dtype=np.uint8)
    dihedral, colors = int(generator.integers(0, 8)), generator.permutation(10)
    turned = shape[::-1] if dihedral & 4 else shape
    offset = tuple(int(generator.integers(0, side - size + 1)) for size in turned)
    padded = torch.from_numpy(pad_grids([grid], side))
    tokens, labels = lay(
        padded,
        padded,
        torch.tensor([[*shape, *shape]]),
        torch.tensor([0]),
        torch.tensor([dihedral]),
        torch.from_numpy(colors)[None],
        torch.tensor([offset]),
    )
    assert torch.equal(tokens, labels)
    back = invert_grid(decode_grid(tokens.reshape(side, side).numpy(), offset), dihedral, colors)
    np.testing.assert_array_equal(back, grid)
    assert back.dtype == np.uint8


def test_every_pair_of_arc1_comes_back(arc1_file: Path) -> None:
    dataset = load_dataset(arc1_file, DataConfig())
    assert [round_trip_faults(lane, number) for number, lane in enumerate(dataset.train.values())] == [0] * 5


@pytest.mark.parametrize(
    ("field", "grid"),
    [
        ([[2, 3, 1], [4, 5, 1], [1, 1, 0]], [[0, 1], [2, 3]]),
        ([[2, 3, 4], [2, 0, 4], [2, 3, 4]], [[0, 1, 2]]),  # three cells either way: the less high rectangle
        ([[2, 3, 0], [4, 5, 6], [7, 8, 9]], [[0, 1], [2, 3], [5, 6]]),
        ([[11, 11, 11]] * 3, [[9, 9, 9]] * 3),
        ([[0, 3, 4], [5, 6, 7], [8, 9, 10]], []),
        ([[1, 1, 1]] * 3, []),
    ],
)
def test_the_largest_rectangle_of_colours_is_taken(field: list[list[int]], grid: list[list[int]]) -> None:
    decoded = decode_grid(np.array(field))
    assert decoded.tolist() == grid and (decoded.size > 0 or decoded.shape == (0, 0))


def test_decoding_equals_trying_every_rectangle() -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        field = generator.choice([0, 1, 2, 3, 4], (6, 6), p=[0.05, 0.05, 0.3, 0.3, 0.3])
        row, column = (int(value) for value in generator.integers(0, 3, 2))
        best = max(
            (height * width, -height, width)
            for height in range(7 - row)
            for width in range(7 - column)
            if (field[row : row + height, column : column + width] >= 2).all()
        )
        expected = (-best[1], best[2]) if best[0] else (0, 0)
        assert decode_grid(field, (row, column)).shape == expected


def test_the_first_view_is_as_published_and_the_others_differ(lanes: dict[int, LanePairs]) -> None:
    lane = lanes[10]
    views = draw_views(lane, torch.arange(lane.num_pairs), AugmentConfig(), 8, seed=1)
    by_pair = views.augmentation.reshape(-1, 8)
    assert not by_pair[:, 0].any() and all(len(set(row)) == 8 for row in by_pair.tolist())
    first = torch.arange(0, len(views.index), 8)
    assert not views.dihedral[first].any() and not views.offset[first].any()
    assert torch.equal(views.index.reshape(-1, 8), torch.arange(lane.num_pairs)[:, None].expand(-1, 8))
    dihedral, colors = augmentation_of(AugmentConfig(), 1, views.task, views.augmentation)
    assert torch.equal(dihedral, views.dihedral) and torch.equal(colors, views.colors), "training's own pool"


def test_views_leave_room_for_every_known_grid_and_do_not_depend_on_who_else_is_asked(
    lanes: dict[int, LanePairs],
) -> None:
    for lane in lanes.values():
        views = draw_views(lane, torch.arange(lane.num_pairs), AugmentConfig(translate=1.0), 6, seed=2)
        room = lane.side - lane.known_side[views.index]
        assert bool((views.offset >= 0).all()) and bool((views.offset <= room[:, None]).all())
        alone = draw_views(lane, torch.tensor([3]), AugmentConfig(translate=1.0), 6, seed=2)
        assert torch.equal(alone.offset, views.offset[18:24]) and torch.equal(alone.colors, views.colors[18:24])


def test_small_pools_are_used_up_and_then_used_again(lanes: dict[int, LanePairs]) -> None:
    views = draw_views(lanes[10], torch.tensor([0]), AugmentConfig(pool=3), 7, seed=1)
    assert sorted(views.augmentation.tolist()) == [0, 1, 1, 1, 2, 2, 2]


def test_number_of_views() -> None:
    nothing = AugmentConfig(dihedral=False, color_probability=0.0, translate=0.0)
    assert num_views(nothing, 8) == 1
    assert num_views(AugmentConfig(dihedral=False, color_probability=0.0), 8) == 8
    assert num_views(AugmentConfig(translate=0.0, pool=5), 8) == 5

"""Fixed choices against what they promise: another task for every pair, and subsets that stay the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hrm_core.data.dataset import load_dataset
from hrm_core.data.derange import derange, fixed_subset
from hrm_core.data.lanes import LanePairs
from hrm_core.recipe.data import DataConfig


def lane_of(tasks: list[int]) -> LanePairs:
    """A lane of 1x1 pairs of these tasks."""
    task = torch.tensor(tasks)
    count = len(tasks)
    grid = torch.zeros(count, 3, 3, dtype=torch.uint8)
    ones, pair = torch.ones(count, dtype=torch.int64), torch.arange(count)
    truth = torch.ones(count, dtype=torch.bool)
    return LanePairs(
        side=3, input=grid, target=grid, task=task, pair=pair, input_height=ones, input_width=ones, target_height=ones,
        target_width=ones, known_side=ones, stage=ones, duplicate=~truth, fits=truth, key=task * 2000 + pair,
    )  # fmt: skip


@pytest.mark.parametrize(
    "tasks", [[0, 1], [0, 0, 1, 1], [0, 1, 1, 2, 3, 3], list(range(20)), [5] * 10 + list(range(10, 20))]
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_permutation_that_never_stays_with_the_task(tasks: list[int], seed: int) -> None:
    lane = lane_of(tasks)
    index, found = derange(lane, seed)
    assert bool(found.all()) and sorted(index.tolist()) == list(range(len(tasks)))
    assert bool((lane.task[index] != lane.task).all())


@pytest.mark.parametrize("tasks", [[0, 0, 0, 1], [0, 0, 0, 0, 1, 2]])
def test_where_one_task_owns_most_rows_others_lend_more_than_once(tasks: list[int]) -> None:
    lane = lane_of(tasks)
    index, found = derange(lane)
    assert bool(found.all()) and bool((lane.task[index] != lane.task).all())


@pytest.mark.parametrize("tasks", [[0], [4, 4, 4]])
def test_one_task_alone_has_no_partner(tasks: list[int]) -> None:
    index, found = derange(lane_of(tasks))
    assert not found.any() and index.tolist() == list(range(len(tasks)))


def test_arc1_lanes_are_deranged_the_same_way_each_time(arc1_file: Path) -> None:
    for lane in load_dataset(arc1_file, DataConfig()).val.values():
        index, found = derange(lane, 3)
        assert bool(found.all()) and torch.equal(index, derange(lane, 3)[0])
        assert bool((lane.task[index] != lane.task).all())
        assert not torch.equal(index, derange(lane, 4)[0])


def test_a_subset_is_fixed_and_of_the_right_size(arc1_file: Path) -> None:
    val = load_dataset(arc1_file, DataConfig()).val
    quarter = fixed_subset(val, 104, seed=1)
    assert sum(lane.num_pairs for lane in quarter.values()) == 104
    keys = {key for lane in quarter.values() for key in lane.key.tolist()}
    on_one_canvas = fixed_subset(load_dataset(arc1_file, DataConfig(canvases=(30,))).val, 104, seed=1)
    assert keys == set(on_one_canvas[30].key.tolist()), "canvases do not change who is in"
    larger = fixed_subset(val, 200, seed=1)
    assert keys < {key for lane in larger.values() for key in lane.key.tolist()}
    assert keys != {key for lane in fixed_subset(val, 104, seed=2).values() for key in lane.key.tolist()}
    everything = fixed_subset(val, 10_000, seed=1)
    assert sum(lane.num_pairs for lane in everything.values()) == 416
    assert fixed_subset({}, 5, seed=1) == {} and fixed_subset(val, 0, seed=1) == {}

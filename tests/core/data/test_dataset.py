"""Lanes against the tasks they came from, on several sets of canvases, and the known numbers of ARC-AGI-1."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from machine_speed import slowness

from hrm_core.data.build import build
from hrm_core.data.dataset import Dataset, load_dataset, make_dataset, resize
from hrm_core.data.grids import Task
from hrm_core.data.lanes import LanePairs
from hrm_core.data.sources.source import Source
from hrm_core.errors import UserError
from hrm_core.recipe.data import DataConfig


@pytest.fixture
def content(synthetic_tasks: list[Task]) -> object:
    return build([Source("synthetic", tuple(synthetic_tasks))])


def rows_of(dataset: Dataset, split: str) -> dict[tuple[str, int], tuple[int, LanePairs, int]]:
    """(task name, pair) -> canvas side, lane, row; every pair once."""
    found: dict[tuple[str, int], tuple[int, LanePairs, int]] = {}
    for side, lane in dataset.split(split).items():
        for row, (task, pair) in enumerate(zip(lane.task.tolist(), lane.pair.tolist(), strict=True)):
            assert (dataset.tasks.ids[task], pair) not in found
            found[dataset.tasks.ids[task], pair] = side, lane, row
    return found


@pytest.mark.parametrize("canvases", [(10, 14, 18, 24, 30), (30,), (12, 17, 30), (3, 5, 9, 30)])
def test_every_pair_is_where_it_belongs_with_its_own_cells(
    content: object, synthetic_tasks: list[Task], canvases: tuple[int, ...]
) -> None:
    dataset = make_dataset(content, DataConfig(canvases=canvases))  # type: ignore[arg-type]
    found = {split: rows_of(dataset, split) for split in ("train", "val", "eval")}
    assert sum(map(len, found.values())) == sum(len(task.pairs) for task in synthetic_tasks)
    for number, task in enumerate(synthetic_tasks):
        assert dataset.tasks.ids[number] == task.id
        for place, pair in enumerate(task.pairs):
            split = "train" if place < len(task.demonstrations) else "eval" if task.evaluation else "val"
            side, lane, row = found[split][task.id, place]
            assert side == int(dataset.tasks.canvas[number])
            expected = np.full((side, side), 10)
            expected[: pair.input.shape[0], : pair.input.shape[1]] = pair.input
            np.testing.assert_array_equal(lane.input[row].numpy(), expected)
            assert lane.sizes[row].tolist() == [*pair.input.shape, *pair.target.shape]
            expected[:] = 10
            if max(pair.target.shape) <= side:
                expected[: pair.target.shape[0], : pair.target.shape[1]] = pair.target
            np.testing.assert_array_equal(lane.target[row].numpy(), expected)
            assert bool(lane.fits[row]) == (max(pair.target.shape) <= side)
            if not lane.fits[row]:
                whole = dataset.oversize[split]
                at = whole.key.tolist().index(int(lane.key[row]))
                cells = whole.target[at, : whole.target_height[at], : whole.target_width[at]]
                np.testing.assert_array_equal(cells.numpy(), pair.target)


def test_canvases_of_the_synthetic_tasks(content: object) -> None:
    dataset = make_dataset(content, DataConfig())  # type: ignore[arg-type]
    assert dataset.tasks.canvas.tolist() == [10, 14, 14, 10, 30, 18, 10]  # `varies` goes one step up
    assert dataset.coverage == {"val": {"fit": 4, "of": 5}, "eval": {"fit": 2, "of": 3}}
    assert dataset.left_out == 0


def test_a_pair_may_have_a_canvas_of_its_own_in_training_only(content: object) -> None:
    task = make_dataset(content, DataConfig())  # type: ignore[arg-type]
    pair = make_dataset(content, DataConfig(train_canvas="pair"))  # type: ignore[arg-type]
    assert rows_of(task, "train")["middle", 1][0] == 18 and rows_of(pair, "train")["middle", 1][0] == 10
    assert {key: row[0] for key, row in rows_of(pair, "eval").items()} == {
        key: row[0] for key, row in rows_of(task, "eval").items()
    }


def test_training_on_the_tests_of_training_tasks_leaves_nothing_held_out(content: object) -> None:
    dataset = make_dataset(content, DataConfig(train_on_val_tests=True))  # type: ignore[arg-type]
    assert dataset.val == {} and dataset.coverage["val"] == {"fit": 0, "of": 0}
    assert dataset.left_out == 1  # the 12x12 output of `grows` on its canvas of 10
    assert ("wide", 3) in rows_of(dataset, "train") and ("shoots", 1) not in rows_of(dataset, "train")
    whole = make_dataset(content, DataConfig(train_on_val_tests=True, canvases=(30,)))  # type: ignore[arg-type]
    assert whole.left_out == 0
    stages = whole.train[30].stage
    assert bool((stages[1:] >= stages[:-1]).all()), "the rows of a stage come first"


def test_fits7_keeps_the_small_training_tasks_and_renumbers(content: object) -> None:
    dataset = make_dataset(content, DataConfig(subset="fits7"))  # type: ignore[arg-type]
    assert dataset.tasks.ids == ("small",) and list(dataset.train) == [7] and dataset.eval == {}
    assert set(dataset.train[7].task.tolist()) == {0}
    assert set(dataset.objects["task"].tolist()) == {0}


def test_canvases_too_small_for_some_task_are_refused(content: object) -> None:
    with pytest.raises(UserError, match="1 tasks have grids larger than the largest canvas; add a side of 30"):
        make_dataset(content, DataConfig(canvases=(10, 18)))  # type: ignore[arg-type]


def test_fits7_without_such_tasks_is_refused(synthetic_tasks: list[Task]) -> None:
    content = build([Source("synthetic", tuple(synthetic_tasks[4:]))])
    with pytest.raises(UserError, match=r"no training task that fits 7x7; use data\.subset=all"):
        make_dataset(content, DataConfig(subset="fits7"))


def test_selecting_rows_keeps_every_column(content: object) -> None:
    lane = make_dataset(content, DataConfig()).train[10]  # type: ignore[arg-type]
    two = lane.select(torch.tensor([2, 0]))
    assert two.num_pairs == 2 and two.side == 10
    assert torch.equal(two.key, lane.key[[2, 0]]) and torch.equal(two.sizes, lane.sizes[[2, 0]])
    assert torch.equal(two.to("cpu").input, lane.input[[2, 0]])


def test_resize_crops_and_fills_up() -> None:
    grids = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    assert resize(grids, 2).tolist() == [[[0, 1], [3, 4]]]
    assert resize(grids, 4)[0, 3].tolist() == [10] * 4


def mean_tokens(lanes: dict[int, LanePairs]) -> float:
    count = sum(lane.num_pairs for lane in lanes.values())
    return sum(side * side * lane.num_pairs for side, lane in lanes.items()) / count


def test_arc1_has_the_known_numbers(arc1_file: Path) -> None:
    dataset = load_dataset(arc1_file, DataConfig())
    counts = {name: sum(lane.num_pairs for lane in dataset.split(name).values()) for name in ("train", "val", "eval")}
    assert counts == {"train": 1302 + 1363, "val": 416, "eval": 419}
    assert dataset.coverage == {"val": {"fit": 415, "of": 416}, "eval": {"fit": 415, "of": 419}}
    assert round(mean_tokens(dataset.eval)) == 418
    assert round(mean_tokens(dataset.train)) == 350
    assert round(mean_tokens(load_dataset(arc1_file, DataConfig(train_canvas="pair")).train)) == 265
    flagged = {
        name: sum(int(lane.duplicate.sum()) for lane in dataset.split(name).values())
        for name in ("train", "val", "eval")
    }
    assert flagged == {"train": 0, "val": 7, "eval": 8}


def test_arc1_fits7(arc1_file: Path) -> None:
    dataset = load_dataset(arc1_file, DataConfig(subset="fits7"))
    assert len(dataset.tasks) == 60 and dataset.val[7].num_pairs == 69
    assert int(dataset.val[7].duplicate.sum()) == 5


def test_arc1_is_small_and_loads_fast(arc1_file: Path) -> None:
    assert arc1_file.stat().st_size < 25e6
    seconds = []
    for _ in range(3):  # processor time, the best of three: other work on the machine is not ours to measure
        begin = time.process_time()
        load_dataset(arc1_file, DataConfig())
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 1.0 * slowness()


def test_every_curriculum_stage_is_the_head_of_each_lane(arc1_file: Path) -> None:
    for canvases in ((10, 14, 18, 24, 30), (30,)):
        dataset = load_dataset(arc1_file, DataConfig(canvases=canvases))
        for lane in dataset.train.values():
            assert bool((lane.stage[1:] >= lane.stage[:-1]).all())
        shares = [float((dataset.tasks.stage <= stage).float().mean()) for stage in (18, 24, 30)]
        assert shares[0] < shares[1] < shares[2] == 1.0

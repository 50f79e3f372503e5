"""Canonical colours as training and evaluation see them: one bijection a task over every grid, undone where grids are
kept, and the same grids for copies of a task whose colours have other names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hrm_core.data.build import build
from hrm_core.data.colors import canonical_colors, inverse_colors, recolor
from hrm_core.data.dataset import Dataset, load_dataset, make_dataset
from hrm_core.data.grids import Pair, Task
from hrm_core.data.sources.source import Source
from hrm_core.data.views import num_views
from hrm_core.errors import UserError
from hrm_core.evaluation.evaluate import evaluate
from hrm_core.evaluation.predictions import task_records
from hrm_core.model.types import Identity, SegmentsOutput
from hrm_core.recipe.augment import AugmentConfig
from hrm_core.recipe.data import DataConfig, InputConfig
from hrm_core.recipe.lay import build_recipe

CANONICAL = InputConfig(canonicalize_colors=True)
LANES = ("train", "val", "eval")


def random_task(seed: int) -> Task:
    """Two or three demonstrations of at most 6x6 in few colours, so that ties and unseen colours happen."""
    generator = np.random.default_rng(seed)

    def pair() -> Pair:
        colors = generator.integers(0, 10, generator.integers(1, 5))
        given, target = (
            generator.choice(colors, generator.integers(1, 7, 2)).astype(np.uint8) for _ in ("input", "target")
        )
        return Pair(given, target)

    demonstrations = tuple(pair() for _ in range(int(generator.integers(2, 4))))
    return Task("t", "made", False, demonstrations, (pair(),))


def renamed(task: Task, colors: np.ndarray) -> Task:
    def pairs(several: tuple[Pair, ...]) -> tuple[Pair, ...]:
        return tuple(Pair(colors[pair.input], colors[pair.target]) for pair in several)

    return replace(task, demonstrations=pairs(task.demonstrations), tests=pairs(task.tests))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_way_back_undoes_the_map_for_any_task(seed: int) -> None:
    task = random_task(seed)
    mapping = canonical_colors(task)
    assert mapping[0] == 0 and sorted(mapping.tolist()) == list(range(10))
    for pair in (*task.demonstrations, *task.tests):
        for cells in (pair.input, pair.target):
            canonical = recolor(cells[None], mapping[None])[0]
            np.testing.assert_array_equal(canonical, mapping[cells])
            np.testing.assert_array_equal(inverse_colors(mapping)[canonical], cells)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(1, 10)))
def test_copies_whose_colours_have_other_names_get_the_same_grids(seed: int, names: list[int]) -> None:
    """Demonstrations throughout; of tests the cells whose colour a demonstration shows."""
    task = random_task(seed)
    colors = np.array([0, *names], np.uint8)
    copy = renamed(task, colors)
    mapping, other = canonical_colors(task), canonical_colors(copy)
    for mine, its in zip(task.demonstrations, copy.demonstrations, strict=True):
        np.testing.assert_array_equal(mapping[mine.input], other[its.input])
        np.testing.assert_array_equal(mapping[mine.target], other[its.target])
    shown = np.unique(
        np.concatenate([cells.ravel() for pair in task.demonstrations for cells in (pair.input, pair.target)])
    )
    given_, its_given = task.tests[0].input, copy.tests[0].input
    known = np.isin(given_, shown)
    np.testing.assert_array_equal(mapping[given_][known], other[its_given][known])


def test_outside_stays_outside() -> None:
    grids = np.array([[[1, 10], [10, 10]], [[1, 2], [10, 10]]], np.uint8)
    mappings = np.array([np.roll(np.arange(10), -1), np.arange(10)])
    assert recolor(grids, mappings).tolist() == [[[2, 10], [10, 10]], [[1, 2], [10, 10]]]


def both(synthetic_tasks: list[Task]) -> tuple[Dataset, Dataset]:
    content = build([Source("synthetic", tuple(synthetic_tasks))])
    return make_dataset(content, DataConfig()), make_dataset(content, DataConfig(), input=CANONICAL)


def test_every_split_and_what_does_not_fit_is_mapped_by_its_task(synthetic_tasks: list[Task]) -> None:
    plain, canonical = both(synthetic_tasks)
    map_of = torch.cat([plain.tasks.colors, torch.full((len(plain.tasks), 1), 10)], dim=1)
    for split in LANES:
        for side, lane in plain.split(split).items():
            other = canonical.split(split)[side]
            for name in ("input", "target"):
                cells = getattr(lane, name).long()
                expected = map_of[lane.task].gather(1, cells.flatten(1)).reshape(cells.shape)
                assert torch.equal(getattr(other, name).long(), expected)
            for name in ("task", "pair", "known_side", "fits", "key"):
                assert torch.equal(getattr(other, name), getattr(lane, name))
    assert sum(oversize.num_pairs for oversize in plain.oversize.values()) > 0
    for split, oversize in plain.oversize.items():
        expected = map_of[oversize.task].gather(1, oversize.target.long().flatten(1))
        assert torch.equal(canonical.oversize[split].target.long().flatten(1), expected)


def test_the_way_back_is_in_the_task_table(synthetic_tasks: list[Task]) -> None:
    plain, canonical = both(synthetic_tasks)
    assert torch.equal(plain.tasks.published, torch.arange(10).expand(len(plain.tasks), -1))
    for mapping, published in zip(canonical.tasks.colors, canonical.tasks.published, strict=True):
        expected = inverse_colors(mapping.numpy().astype(np.uint8))
        np.testing.assert_array_equal(published.numpy(), expected)


def test_the_background_of_arc1_stays_and_colours_come_in_order(arc1_file: Path) -> None:
    plain, canonical = load_dataset(arc1_file, DataConfig()), load_dataset(arc1_file, DataConfig(), input=CANONICAL)
    areas = torch.zeros(len(plain.tasks), 11, dtype=torch.int64)
    for side, lane in plain.train.items():
        other = canonical.train[side]
        assert torch.equal(lane.input == 0, other.input == 0) and torch.equal(lane.input == 10, other.input == 10)
        cells = other.input.long().flatten(1)
        areas.index_put_((lane.task[:, None].expand_as(cells), cells), torch.ones_like(cells), accumulate=True)
    areas = areas[:, 1:10]
    before, after = areas[:, :-1], areas[:, 1:]
    assert bool((before >= after).all()), "of the demonstration inputs, larger areas have smaller numbers"


def copies(tokens: Tensor, identity: Identity, side: int, labels: Any, every_segment: bool) -> SegmentsOutput:
    """Predicts the input, at every segment."""
    logits = torch.zeros(len(tokens), 2)
    every = torch.stack([tokens, tokens]).long() if every_segment else None
    return SegmentsOutput(tokens.long(), logits, torch.sigmoid(logits[:, 1]), None, every)


def test_what_is_kept_shows_published_colours(synthetic_tasks: list[Task]) -> None:
    """A model that copies its input: the records of canonical grids are those of the grids as published."""
    plain, canonical = both(synthetic_tasks)
    recipe = build_recipe("EXP-00", ["augment.color_probability=0"]).recipe
    for split in ("val", "eval"):
        kept = [
            json.dumps(evaluate(copies, data, recipe, split, "full", 0, "raw").predictions)  # type: ignore[arg-type]
            for data in (plain, canonical)
        ]
        assert kept[0] == kept[1] and '"segments"' in kept[0]
        assert json.dumps(task_records(plain, split)) == json.dumps(task_records(canonical, split))


def test_experiment_01_and_its_second_arm_load_canonical_colours(arc1_file: Path) -> None:
    for name, probability in (("EXP-01", 0.0), ("EXP-01b", 0.5)):
        recipe = build_recipe(name).recipe
        assert recipe.input.canonicalize_colors and recipe.augment.color_probability == probability
        assert recipe.input.residual_permutation == (name == "EXP-01b")


@pytest.mark.parametrize(
    ("overrides", "remedy"),
    [
        (["input.canonicalize_colors=true"], "set augment.color_probability=0"),
        (["input.residual_permutation=true"], "set input.canonicalize_colors=true"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_remedy(overrides: list[str], remedy: str) -> None:
    with pytest.raises(UserError, match=remedy):
        build_recipe("EXP-00", overrides)


def test_without_colours_there_are_eight_views_and_places() -> None:
    still = AugmentConfig(color_probability=0.0, translate=0.0)
    assert num_views(still, 64) == 8
    assert num_views(replace_pool(still, 5), 64) == 5
    assert num_views(AugmentConfig(color_probability=0.0), 64) == 64, "places multiply them"
    assert num_views(AugmentConfig(color_probability=0.5, translate=0.0), 64) == 64


def replace_pool(augment: AugmentConfig, pool: int) -> AugmentConfig:
    return augment.model_copy(update={"pool": pool})

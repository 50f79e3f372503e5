"""Copies in permuted colours: what a model that knows the rule, one that looks at colours, and canonical colours do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hrm_core.data.colors import canonical_colors
from hrm_core.data.grids import Pair, Task
from hrm_core.evaluation.color_copies import (
    copy_colors,
    evaluate_color_copies,
    is_identical,
    known_tasks,
    recolored,
    seen_colors,
)
from hrm_core.evaluation.evaluate import chosen_pairs
from hrm_core.evaluation.predict import Runner
from hrm_core.model.types import SegmentsOutput
from hrm_core.recipe.lay import build_recipe

RECIPE = build_recipe("EXP-00").recipe
CANONICAL = RECIPE.model_copy(update={"input": RECIPE.input.model_copy(update={"canonicalize_colors": True})})
# Areas of colours 1, 2, 3 in the demonstrations: 3, 2 and 1, so that canonical colours know no ties.
BEFORE, AFTER = [[1, 1, 2], [0, 0, 0]], [[0, 0, 0], [1, 1, 2]]
TIED, TIED_AFTER = [[1, 2, 0]], [[0, 1, 2]]


def output(tokens: torch.Tensor) -> SegmentsOutput:
    num = len(tokens)
    return SegmentsOutput(tokens.long(), torch.full((num, 2), -1.0), torch.zeros(num), None, None)


def answers_right(tokens: Any, identity: Any, side: int, labels: torch.Tensor, every: bool) -> SegmentsOutput:
    return output(labels)


def wants_color_1(tokens: Any, identity: Any, side: int, labels: torch.Tensor, every: bool) -> SegmentsOutput:
    """Right only where the first coloured cell that it is shown is of colour 1."""
    shown = (tokens == 3).any(dim=1) & (labels[:, 0] == 2)
    return output(torch.where(shown[:, None], labels, torch.zeros_like(labels)))


def made(make: Any) -> Any:
    dataset = make([("a", [(BEFORE, AFTER)] * 2, [(BEFORE, AFTER)]), ("b", [(BEFORE, AFTER)] * 2, [(BEFORE, AFTER)])])
    lanes, _ = chosen_pairs(dataset, RECIPE, "val", "full")
    return dataset, lanes


def run(predictor: Any, make: Any, recipe: Any = RECIPE, copies: int = 6) -> dict[str, Any]:
    dataset, lanes = made(make)
    runner = Runner(predictor, torch.device("cpu"), 8, lambda rows: None)
    return evaluate_color_copies(runner, dataset, recipe, lanes, "val", copies)


def test_permutations_are_fixed_and_leave_black() -> None:
    tables = [copy_colors(3, copy) for copy in range(5)]
    for table in tables:
        assert table[0] == 0 and sorted(table.tolist()) == list(range(10))
    assert len({tuple(table) for table in tables}) == 5
    assert np.array_equal(copy_colors(3, 4), tables[4])


def test_a_model_that_is_right_in_all_colours_does_not_vary(make) -> None:
    found = run(answers_right, make)
    assert (found["mean"], found["variance"], found["within_test_variance"], found["agree"]) == (1.0, 0.0, 0.0, 1.0)
    assert found["families"]["same_size"] == {"tests": 1, "exact": 1.0, "variance": 0.0}


def test_a_model_that_hangs_on_a_colour_varies(make) -> None:
    found = run(wants_color_1, make)
    shown = [bool({1, 2} & {int(copy_colors(0, copy)[1]), int(copy_colors(0, copy)[2])} & {1}) for copy in range(6)]
    assert found["exact"] == [float(value) for value in shown]
    assert 0.0 < found["mean"] < 1.0 and found["variance"] > 0.0 and found["agree"] == 0.0
    assert found["within_test_variance"] == pytest.approx(found["mean"] * (1 - found["mean"]))


def test_canonical_colours_show_every_copy_alike(make) -> None:
    found = run(wants_color_1, make, CANONICAL)
    assert found["exact"] == [1.0] * 6  # colour 1 is always the largest
    assert (found["variance"], found["identical_by_construction"], found["canonical"]) == (0.0, 1.0, True)


def task(*pairs: Any, test: Any) -> Task:
    grids = [Pair(np.array(before, np.uint8), np.array(after, np.uint8)) for before, after in (*pairs, test)]
    return Task("t", "made", False, tuple(grids[:-1]), tuple(grids[-1:]))


def test_what_is_identical_by_construction() -> None:
    plain = task((BEFORE, AFTER), test=(BEFORE, AFTER))
    tied = task((TIED, TIED_AFTER), test=(TIED, TIED_AFTER))
    unseen = task((BEFORE, AFTER), test=([[1, 1, 7]], [[7, 1, 1]]))  # colour 7 is in no demonstration
    for copy in range(8):
        table = copy_colors(0, copy)
        assert is_identical(plain, table) and is_identical(tied, table)  # ties by first place, which copies share
        seen = seen_colors(unseen, table, canonical=True)
        assert is_identical(unseen, table) == (seen[7] == canonical_colors(unseen)[7])
        assert np.array_equal(seen, canonical_colors(recolored(unseen, table))[table])
    assert not all(is_identical(unseen, copy_colors(0, copy)) for copy in range(8))


def test_tasks_are_put_together_again(make) -> None:
    dataset, lanes = made(make)
    (found,) = known_tasks(dataset, lanes).values()
    assert found.id == "a" and len(found.demonstrations) == 2
    assert found.tests[0].input.tolist() == BEFORE and found.demonstrations[1].target.tolist() == AFTER

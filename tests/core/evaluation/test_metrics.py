"""Sample scores beside values counted by hand, and the laid 30 x 30 field beside `triton_kernels.lay`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from hrm_core.data.grids import Grid
from hrm_core.evaluation.metrics import METRICS, Targets, join_scores, mean_scores, padded_fields, score_samples
from triton_kernels.lay import lay

grids = numpy_strategies.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 9))


def field(rows: list[str]) -> np.ndarray:
    """Rows of a 4 x 4 canvas; '.' is PAD, '|' is EOS, digits are colours."""
    return np.array([{".": 0, "|": 1}.get(cell, ord(cell) - 46) for row in rows for cell in row], dtype=np.uint8)


def grid(*rows: str) -> Grid:
    return np.array([[int(cell) for cell in row] for row in rows], dtype=np.uint8).reshape(len(rows), -1)


INPUT = field(["12|.", "34|.", "||..", "...."])
TARGET = field(["15|.", "36|.", "||..", "...."])


RIGHT = grid("15", "36")


def one(target: Grid = RIGHT, fits: bool = True, labels: np.ndarray = TARGET) -> Targets:
    same = np.array([target.shape == (2, 2)])
    return Targets(labels[None], INPUT[None], (target,), np.array([fits]), same)


def scores_of(predicted: np.ndarray, decoded: Grid, targets: Targets) -> dict[str, float]:
    scores = score_samples(predicted[None], [decoded], targets)
    assert tuple(scores) == METRICS
    return {name: float(values[0]) for name, values in scores.items()}


def test_the_right_answer_is_right_in_everything() -> None:
    assert set(scores_of(TARGET, grid("15", "36"), one()).values()) == {1.0}


def test_cells_counted_by_hand() -> None:
    predicted = field(["15|0", "34.0", "||00", "0000"])  # one colour wrong, one EOS missing, rubbish on PAD
    scores = scores_of(predicted, grid("15", "34"), one())
    assert scores["exact"] == scores["token_exact"] == 0
    assert scores["cell_accuracy"] == 6 / 8  # 4 cells and 4 EOS are counted
    assert scores["color_accuracy"] == 3 / 4
    assert scores["changed_cell_accuracy"] == 1 / 2  # 5 and 6 differ from the input
    assert scores["shape_accuracy"] == 1
    assert scores["padded_accuracy"] == 899 / 900


def test_exact_and_token_exact_are_different_questions() -> None:
    rubbish_on_pad = TARGET.copy()
    rubbish_on_pad[15] = 9
    scores = scores_of(rubbish_on_pad, grid("15", "36"), one())
    assert (scores["exact"], scores["token_exact"]) == (1, 1)
    no_end = field(["15..", "36..", "....", "...."])  # decodes to the right grid, but the EOS tokens are missing
    scores = scores_of(no_end, grid("15", "36"), one())
    assert (scores["exact"], scores["token_exact"], scores["cell_accuracy"]) == (1, 0, 0.5)


def test_copying_gets_nothing_on_changed_cells() -> None:
    scores = scores_of(INPUT, grid("12", "34"), one())
    assert scores["changed_cell_accuracy"] == 0
    assert scores["color_accuracy"] == 0.5


def test_changed_cells_need_equal_size_and_a_change() -> None:
    larger = Targets(TARGET[None], INPUT[None], (grid("15", "36"),), np.array([True]), np.array([False]))
    assert np.isnan(scores_of(TARGET, grid("15", "36"), larger)["changed_cell_accuracy"])
    unchanged = Targets(INPUT[None], INPUT[None], (grid("12", "34"),), np.array([True]), np.array([True]))
    assert np.isnan(scores_of(INPUT, grid("12", "34"), unchanged)["changed_cell_accuracy"])


def test_oversize_is_wrong_in_all_but_padded_accuracy() -> None:
    whole = np.full((30, 30), 3, dtype=np.uint8)
    targets = one(whole, fits=False, labels=np.zeros(16, dtype=np.uint8))
    scores = scores_of(np.full(16, 5, dtype=np.uint8), np.full((4, 4), 3, dtype=np.uint8), targets)
    assert np.isnan(scores.pop("changed_cell_accuracy"))
    assert scores.pop("padded_accuracy") == 16 / 900
    assert set(scores.values()) == {0.0}


@given(grids)
def test_padded_field_is_what_lay_lays(shown: Grid) -> None:
    height, width = shown.shape
    canvas = np.full((1, 30, 30), 10, dtype=np.uint8)
    canvas[0, :height, :width] = shown
    zero, laid_at = torch.zeros(1, dtype=torch.int64), torch.zeros(1, 2, dtype=torch.int64)
    sizes = torch.tensor([[height, width, height, width]])
    cells = torch.from_numpy(canvas)
    tokens, _ = lay(cells, cells, sizes, zero, zero, torch.arange(10)[None], laid_at)
    assert np.array_equal(padded_fields([shown]), tokens.numpy())


def test_an_empty_grid_is_all_pad() -> None:
    assert not padded_fields([np.zeros((0, 0), np.uint8)]).any()


def test_means_leave_out_what_has_no_value() -> None:
    scores = {"a": np.array([1.0, np.nan, 0.0]), "b": np.array([np.nan, np.nan, 1.0])}
    assert mean_scores(scores) == {"a": 0.5, "b": 1.0}
    assert mean_scores(scores, np.array([True, True, False])) == {"a": 1.0, "b": None}


def test_joined_scores_keep_the_order_of_lanes() -> None:
    parts = [dict.fromkeys(METRICS, np.array([value])) for value in (0.25, 0.5)]
    assert join_scores(parts)["exact"] == pytest.approx([0.25, 0.5])

"""Halting histograms beside a hand count."""

from __future__ import annotations

import numpy as np
import pytest

from hrm_core.evaluation.halting import analyse_halting, entropy_by_segment, first_halts, halting_summary

LOGITS = np.array([[-1, 2, 3], [0, -1, -1], [5, -5, 5], [-1, -1, 0.1], [-1, -1, -1]], dtype=np.float32)


def test_first_segment_above_zero() -> None:
    assert first_halts(LOGITS).tolist() == [1, 3, 0, 2, 3]  # 0 itself does not halt


def test_histogram_and_never() -> None:
    assert halting_summary(LOGITS) == {"histogram": [1, 1, 1], "never": 2 / 5}
    assert halting_summary(LOGITS[:0]) == {"histogram": [0, 0, 0], "never": None}


def test_entropy_beside_its_formula() -> None:
    p = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    expected = (-p * np.log(p) - (1 - p) * np.log(1 - p)).mean(axis=0)
    assert np.allclose(entropy_by_segment(LOGITS), expected)
    assert entropy_by_segment(np.array([[0.0, 1e30, -1e30]], dtype=np.float32)) == pytest.approx([np.log(2), 0.0, 0.0])


EXACT = np.array([[0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=np.bool_)
MASKS = np.array([1, 2, 1, 2, 0])


def test_depth_against_error_families_and_what_is_saved() -> None:
    found = analyse_halting(LOGITS, EXACT, MASKS, ["a", "b", "c"])
    assert found["not_measurable"] is None
    depth, wrong = np.array([2, 4, 1, 3, 4]), np.array([0, 1, 0, 0, 1])
    assert found["depth_error"]["correlation"] == pytest.approx(np.corrcoef(depth, wrong)[0, 1])
    assert found["depth_error"]["by_depth"] == [[1, 1, 1.0], [2, 1, 1.0], [3, 1, 1.0], [4, 2, 0.0]]
    assert found["families"] == {"a": 1.5, "b": 3.5}
    # Segments used: 2, 3 (never), 1, 3, 3 (never).
    assert found["saved"] == {
        "threshold": 0.0, "segments": pytest.approx(2.4), "share": pytest.approx(0.2), "exact": 0.6,
        "exact_without": 0.6,
    }  # fmt: skip
    assert found["equal_accuracy"]["share"] >= 0.2 - 1e-9
    assert found["equal_accuracy"]["exact"] >= 0.6


def test_no_saving_where_halting_early_is_wrong() -> None:
    logits = np.array([[1.0, 1.0], [-1.0, 1.0]], dtype=np.float32)
    exact = np.array([[False, True], [False, True]])
    found = analyse_halting(logits, exact, np.array([1, 1]), ["a"])
    assert (found["saved"]["exact"], found["saved"]["exact_without"], found["equal_accuracy"]) == (0.5, 1.0, None)


def test_not_measurable_where_nearly_none_halts() -> None:
    never = np.full((20, 3), -1.0, dtype=np.float32)
    never[0, 1] = 1.0
    some = analyse_halting(never, np.zeros((20, 3), dtype=np.bool_), np.ones(20, dtype=np.int64), ["a"])
    assert some["not_measurable"] is None  # 95 % exactly
    never[0, 1] = -1.0
    none = analyse_halting(never, np.zeros((20, 3), dtype=np.bool_), np.ones(20, dtype=np.int64), ["a"])
    assert none["not_measurable"] == "100.0 % of the samples never halt"
    assert none["saved"] is none["families"] is none["depth_error"] is None and len(none["entropy"]) == 3
    one = analyse_halting(never[:, :1], np.zeros((20, 1), dtype=np.bool_), np.ones(20, dtype=np.int64), ["a"])
    assert one["not_measurable"] == "there is only one segment"

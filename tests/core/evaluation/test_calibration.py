"""Calibration numbers beside their definitions written as plain loops, and beside cases known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_core.evaluation.calibration import area_under_roc, brier_score, calibrate, expected_calibration_error

samples = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40
)


@given(samples)
def test_error_is_the_weighted_gap_of_each_bin(drawn: list[tuple[float, bool]]) -> None:
    confidence, right = np.array([c for c, _ in drawn]), np.array([float(r) for _, r in drawn])
    expected = 0.0
    for number in range(15):
        inside = [i for i, c in enumerate(confidence) if min(int(c * 15), 14) == number]
        if inside:
            expected += len(inside) / len(drawn) * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(confidence, right) == pytest.approx(expected, abs=1e-12)


@given(samples)
def test_area_is_the_share_of_pairs_in_the_right_order(drawn: list[tuple[float, bool]]) -> None:
    right = [c for c, r in drawn if r]
    wrong = [c for c, r in drawn if not r]
    area = area_under_roc(np.array([c for c, _ in drawn]), np.array([float(r) for _, r in drawn]))
    if not right or not wrong:
        assert area is None
        return
    wins = sum((a > b) + 0.5 * (a == b) for a in right for b in wrong)
    assert area == pytest.approx(wins / (len(right) * len(wrong)))


def test_perfect_and_worst() -> None:
    right = np.array([1.0, 1.0, 0.0, 0.0])
    assert calibrate(right, right) == {"ece": 0.0, "brier": 0.0, "auroc": 1.0, "base_rate": 0.5}
    assert calibrate(1 - right, right) == {"ece": 1.0, "brier": 1.0, "auroc": 0.0, "base_rate": 0.5}
    assert brier_score(np.full(4, 0.5), right) == 0.25


def test_without_samples_there_is_nothing_to_say() -> None:
    assert set(calibrate(np.zeros(0), np.zeros(0)).values()) == {None}

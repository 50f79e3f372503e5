"""Wilson intervals beside the equation they solve, family tables beside a hand count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_core.evaluation.families import NORMAL_95, by_family, wilson_interval


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_ends_are_the_shares_that_lie_two_standard_errors_away(counts: tuple[int, int]) -> None:
    successes, trials = counts
    share = successes / trials
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        assert abs(share - end) == pytest.approx(NORMAL_95 * math.sqrt(end * (1 - end) / trials), abs=1e-9)


def test_known_interval() -> None:
    assert wilson_interval(5, 20) == pytest.approx((0.1119, 0.4687), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_a_task_counts_in_each_of_its_families() -> None:
    trivial = {"pad": np.zeros(3), "copy": np.array([0.0, 0.0, 1.0])}
    table = by_family(np.array([1.0, 0.0, 1.0]), np.array([0b001, 0b011, 0b011]), ["a", "b", "c"], trivial)
    assert list(table) == ["a", "b"]  # c has no pairs
    assert (table["a"]["pairs"], table["a"]["exact"]) == (3, pytest.approx(2 / 3))
    assert (table["b"]["pairs"], table["b"]["exact"]) == (2, 0.5)
    assert table["a"]["trivial"] == {"pad": 0.0, "copy": pytest.approx(1 / 3)}
    assert table["b"]["trivial"] == {"pad": 0.0, "copy": 0.5}, "on the family's own samples"
    assert (table["b"]["low"], table["b"]["high"]) == wilson_interval(1, 2)

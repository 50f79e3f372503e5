"""Ticks against what one would write on paper, and what holds for any limits; numbers against their short texts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_console.charts import ticks
from hrm_console.charts.view import View, chosen_limits, rounded_limits, rounded_log_limits

FINITE = st.floats(-1e140, 1e140)


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (0, 1300, 5, [0, 500, 1000]),
        (0.31, 0.52, 4, [0.4, 0.5]),
        (-1, 1, 4, [-1, -0.5, 0, 0.5, 1]),
        (3, 3, 4, [3]),
    ],
)
def test_linear_ticks(low: float, high: float, count: int, expected: list[float]) -> None:
    assert ticks.linear_ticks(low, high, count) == pytest.approx(expected)


def test_steps_have_no_ticks_between_whole_numbers() -> None:
    assert ticks.linear_ticks(0, 2, 10, whole=True) == [0, 1, 2]


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (1e-4, 10, 6, [1e-4, 1e-3, 1e-2, 1e-1, 1, 10]),
        (1e-9, 1e9, 5, [1e-8, 1e-4, 1, 1e4, 1e8]),
        (0.5, 60, 8, [0.5, 1, 2, 5, 10, 20, 50]),
        (2, 30, 3, [2, 5, 10, 20]),
        (0.31, 0.49, 4, [0.35, 0.4, 0.45]),
    ],
)
def test_log_ticks(low: float, high: float, count: int, expected: list[float]) -> None:
    assert ticks.log_ticks(low, high, count) == pytest.approx(expected)


def test_time_ticks_fall_on_whole_units() -> None:
    assert ticks.time_ticks(0, 250, 3) == [0, 120, 240]
    assert ticks.time_ticks(0, 30 * 3600, 5) == [0, 21600, 43200, 64800, 86400, 108000]
    assert [ticks.format_duration(tick) for tick in ticks.time_ticks(0, 2.5 * 86400, 3)] == ["0s", "1d", "2d"]
    assert ticks.time_ticks(0, 0.2, 4) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


@given(FINITE, FINITE, st.integers(1, 20))
def test_ticks_rise_inside_their_limits(a: float, b: float, count: int) -> None:
    low, high = rounded_limits(min(a, b), max(a, b))
    found = ticks.linear_ticks(low, high, count)
    room = 1e-6 * (high - low)
    assert all(low - room <= tick <= high + room for tick in found)
    assert all(x < y for x, y in pairwise(found))
    assert len(found) <= 2.5 * count + 2
    texts = ticks.labels(found)
    assert len(texts) == len(found)
    assert all(len(text) <= 14 for text in texts)


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300), st.integers(1, 20))
def test_log_ticks_lie_inside_their_limits(a: float, b: float, count: int) -> None:
    low, high = rounded_log_limits(min(a, b), max(a, b))
    assert 0 < low < high
    found = ticks.log_ticks(low, high, count)
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in found)
    assert ticks.log_labels(found)


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        ([0, 0.5, 1], "", ["0", "0.5", "1.0"]),
        ([0, 5000, 10000], "", ["0", "5k", "10k"]),
        ([0, 500, 1000], "", ["0", "500", "1000"]),
        ([0, 0.05, 0.1], "%", ["0%", "5%", "10%"]),
        ([0, 5e-4, 1e-3], "", ["0", "5e-4", "1e-3"]),
        ([1e-5, 1.5e-5], "", ["1e-5", "1.5e-5"]),
        ([300, 350], "/s", ["300/s", "350/s"]),
        ([-2, -1, 0], "", ["-2", "-1", "0"]),
        ([1.5e6, 2e6], "", ["1.5M", "2.0M"]),
        ([7], "", ["7"]),
        ([], "", []),
    ],
)
def test_labels(values: list[float], unit: str, expected: list[str]) -> None:
    assert ticks.labels(values, unit) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, "", "0"),
        (0.36554, "", "0.3655"),
        (12.0, "", "12"),
        (123.456, "", "123.5"),
        (1234.5, "", "1234"),
        (12345, "", "12.3k"),
        (7.692e-6, "", "7.69e-6"),
        (-0.5, "", "-0.5"),
        (2.5e9, "", "2.5G"),
        (1e200, "", "1e200"),
        (0.1152, "%", "11.5%"),
        (0.0096, "%", "0.96%"),
        (1, "%", "100%"),
        (310.3, "/s", "310.3/s"),
        (float("nan"), "%", "-"),
        (float("inf"), "", "-"),
    ],
)
def test_numbers(value: float, unit: str, expected: str) -> None:
    assert ticks.format_number(value, unit) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (59.5, "59.5s"),
        (60, "1m"),
        (90, "1m30s"),
        (5400, "1h30m"),
        (7200, "2h"),
        (200000, "2d7h"),
        (-90, "-1m30s"),
        (float("nan"), "-"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert ticks.format_duration(seconds) == expected


@given(FINITE, FINITE)
def test_automatic_limits_hold_the_data_with_little_to_spare(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    limits = rounded_limits(low, high)
    room = 1e-6 * (limits[1] - limits[0])
    assert limits[0] <= low + room
    assert limits[1] >= high - room
    assert limits[0] < limits[1]
    if high - low > 1e-6 * max(abs(low), abs(high)) and high - low > 1e-130:
        assert limits[1] - limits[0] <= 1.5 * (high - low)


def test_automatic_limits_stay_while_a_curve_grows_a_little() -> None:
    limits = {rounded_limits(0, 1000 + step, parts=16) for step in range(1, 50)}
    assert len(limits) == 1


def test_asked_for_limits_that_make_no_sense_are_automatic() -> None:
    automatic = (0.0, 1.0)
    assert chosen_limits(2, 3, automatic) == (2, 3)
    assert chosen_limits(None, 3, automatic) == (0, 3)
    assert chosen_limits(3, 2, automatic) == automatic
    assert chosen_limits(5, None, automatic) == automatic
    assert chosen_limits(float("nan"), float("inf"), automatic) == automatic
    assert chosen_limits(-1e308, 1e308, automatic) == (-1e150, 1e150)
    assert View(smoothing=5).weight < 1
    assert View(smoothing=-5).weight == 0
    assert View(smoothing=float("nan")).weight == 0

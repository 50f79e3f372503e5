"""Series against plain lists: gaps, bounds, windows, nearest points, other axes, smoothing, cutting, and its caches."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_console.charts.series import Bounds, Series

NAN, INF = float("nan"), float("inf")


def series_of(*points: tuple[float, float | None]) -> Series:
    series = Series("test")
    for x, y in points:
        series.append(x, y)
    return series


def test_values_that_are_not_finite_become_gaps_and_leave_the_bounds_alone() -> None:
    series = series_of((0, 2), (1, None), (2, NAN), (3, INF), (4, -INF), (5, -1.5), (6, 10**400))
    assert len(series) == 7
    assert series.num_finite == 2
    assert [y for y in series.ys if not math.isnan(y)] == [2, -1.5]
    assert series.bounds == Bounds(0, 6, -1.5, 2, 2)
    assert series.last == (5, -1.5)


def test_a_point_without_a_place_is_left_out() -> None:
    assert len(series_of((NAN, 1), (INF, 1), (0, 1))) == 1


def test_text_from_a_broken_file_is_a_gap() -> None:
    series = Series()
    series.append(0, "much")  # type: ignore[arg-type]
    series.append("first", 1.0)  # type: ignore[arg-type]
    assert len(series) == 1
    assert series.num_finite == 0


def test_bounds_of_nothing_and_of_nothing_positive() -> None:
    assert Series().bounds is None
    assert series_of((0, None)).bounds is None
    bounds = series_of((0, -1), (1, 0)).bounds
    assert bounds is not None
    assert bounds.y_positive is None
    mixed = series_of((0, -1), (1, 0.25), (2, 3)).bounds
    assert mixed is not None
    assert mixed.y_positive == 0.25


@given(st.lists(st.floats(-50, 50), max_size=60), st.floats(-60, 60), st.floats(-60, 60))
def test_a_window_holds_its_points_and_one_neighbour_on_each_side(xs: list[float], a: float, b: float) -> None:
    xs, low, high = sorted(xs), min(a, b), max(a, b)
    start, stop = series_of(*((x, 0) for x in xs)).window(low, high)
    inside = [index for index, x in enumerate(xs) if low <= x <= high]
    if inside:
        assert (start, stop) == (max(0, inside[0] - 1), min(len(xs), inside[-1] + 2))
    else:
        assert stop - start <= 2


def test_the_nearest_point_skips_gaps() -> None:
    series = series_of((0, 1), (10, None), (20, None), (30, 4))
    assert series.value_at(12) == (0, 1)
    assert series.value_at(18) == (30, 4)
    assert series.value_at(-100) == (0, 1)
    assert series.value_at(1e9) == (30, 4)
    assert series_of((0, None)).value_at(0) is None
    assert series.value_at(0, "time") is None


def test_a_step_that_falls_cuts_what_lies_above_it() -> None:
    series = series_of((0, 5), (10, 4), (20, None), (30, 2))
    assert series.smoothed(0.5).ys[0] == 5
    series.append(10, 3.5)
    assert list(series.xs) == [0, 10, 10]
    assert list(series.ys) == [5, 4, 3.5]
    assert series.num_finite == 3
    assert len(series.smoothed(0.5)) == 3
    series.clear()
    assert len(series) == 0
    assert series.bounds is None


def test_bounds_after_a_cut_are_those_of_what_is_left() -> None:
    series = series_of(*((i, i % 977) for i in range(5000)))
    assert series.y_range(0, 5000) == (0, 976)
    series.cut(99)
    assert series.y_range(0, 100) == (0, 99)
    for i in range(100, 3000):
        series.append(i, -i)
    assert series.y_range(0, 3000) == (-2999, 99)


def test_other_axes_rise_though_a_resumed_run_counts_its_seconds_anew() -> None:
    series = Series()
    for step, seconds in ((0, 0.0), (1, 5.0), (2, 9.0), (3, 1.0), (4, 4.0)):
        series.append(step, step, time=seconds, samples=step * 32)
    assert list(series.axis("time")) == [0, 5, 9, 9, 12]
    assert list(series.axis("samples")) == [0, 32, 64, 96, 128]
    assert list(series.axis("joules")) == []


def test_axes_that_come_late_or_stay_out_still_give_each_point_a_place() -> None:
    series = Series()
    series.append(0, 1)
    series.append(1, 1, time=7.0)
    series.append(2, 1)
    series.append(3, 1, time=None)
    assert list(series.axis("time")) == [7, 7, 7, 7]
    series.cut(-1)
    series.append(0, 1)
    assert len(series.axis("time")) == 1


def test_smoothing_starts_at_the_first_value_keeps_gaps_and_goes_on_where_it_was() -> None:
    series = series_of((0, 4), (1, None), (2, 8))
    smooth = series.smoothed(0.5)
    assert smooth.ys[0] == 4
    assert math.isnan(smooth.ys[1])
    assert smooth.ys[2] == pytest.approx((0.5 * 0.5 * 4 + 0.5 * 8) / 0.75)
    series.append(3, 8)
    assert series.smoothed(0.5) is smooth
    assert smooth.ys[3] == pytest.approx((0.25 * 0.5 * 4 + 0.25 * 8 + 0.5 * 8) / 0.875)
    assert series.smoothed(0.0) is series


def test_positive_hides_what_a_log_axis_cannot_show() -> None:
    series = series_of((0, 1), (1, 0), (2, -3), (3, 2))
    assert [y for y in series.positive().ys if not math.isnan(y)] == [1, 2]
    fine = series_of((0, 1), (1, 2))
    assert fine.positive() is fine


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=2, max_size=400), st.integers(2, 50))
def test_columns_extended_by_and_by_equal_columns_made_at_once(ys: list[float | None], count: int) -> None:
    growing, window = Series(), (0.0, 300.0)
    for x, y in enumerate(ys):
        growing.append(x, y)
        if x % 7 == 0:
            growing.columns(*window, count)
    at_once = series_of(*enumerate(ys)).columns(*window, count)
    assert repr(growing.columns(*window, count)) == repr(at_once)


def test_columns_are_made_for_the_axis_that_is_asked_for() -> None:
    series = Series()
    for step in range(10):
        series.append(step, step, time=step * step)
    columns = series.columns(0, 81, 82, "time")
    assert [column.number for column in columns] == [step * step for step in range(10)]
    assert all(a.number < b.number for a, b in pairwise(columns))


@given(
    st.lists(st.tuples(st.floats(-10, 10), st.none() | st.floats(-5, 5), st.floats(-10, 10)), max_size=40),
    st.integers(0, 40),
)
def test_many_points_at_once_are_what_they_are_one_by_one(
    points: list[tuple[float, float | None, float]], at: int
) -> None:
    one_by_one, at_once = Series(), Series()
    for x, y, time in points:
        one_by_one.append(x, y, time=time)
    for part in (points[:at], points[at:]):
        ys = [NAN if y is None else y for _, y, _ in part]
        at_once.extend([x for x, _, _ in part], ys, time=[time for _, _, time in part])
    for kind in ("step", "time"):
        assert list(at_once.axis(kind)) == list(one_by_one.axis(kind))
    assert [str(y) for y in at_once.ys] == [str(y) for y in one_by_one.ys]
    assert at_once.bounds == one_by_one.bounds


def test_curves_that_share_their_axes_have_values_of_their_own() -> None:
    axes = {"step": array("d", [1, 2, 3]), "time": array("d", [0.5, 1, 2])}
    loss, watts = Series.sharing("loss", axes), Series.sharing("watts", axes)
    loss.extend_values([3, NAN, 1])
    watts.extend_values([NAN, 70, 80])
    watts.leave_gaps_out()
    assert loss.num_finite == 2 and len(loss) == 3 and loss.value_at(1.9, "time") == (2, 1)
    assert list(watts.xs) == [2, 3] and list(watts.axis("time")) == [1, 2] and list(watts.ys) == [70, 80]
    axes["step"].append(4)
    axes["time"].append(3)
    loss.extend_values([INF])
    watts.append(4, 90, time=3)
    assert loss.last == (3, 1) and len(loss) == 4 and watts.last == (4, 90)
    del axes["step"][2:], axes["time"][2:]
    loss.keep(2)
    assert loss.bounds == Bounds(1, 2, 3, 3, 3) and len(watts) == 3


def test_axes_can_be_put_in_place_later() -> None:
    series = series_of((10, 1), (20, 2))
    assert list(series.axis("time")) == []
    series.put_axes({"time": [1.5, 3]})
    series.append(30, 3, time=4)
    assert list(series.axis("time")) == [1.5, 3, 4] and list(series.xs) == [10, 20, 30]


@given(
    st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=300),
    st.sampled_from([0.0, 0.3, 0.6, 0.9, 0.99]),
    st.booleans(),
)
def test_the_average_at_one_point_is_that_of_the_curve(values: list[float | None], weight: float, drawn: bool) -> None:
    series, known = series_of(*enumerate(values)), series_of(*enumerate(values)).smoothed(weight)
    if drawn:
        series.smoothed(weight)
    for index, value in enumerate(values):
        if value is not None:
            assert series.average_at(index, weight) == pytest.approx(known.ys[index], rel=1e-9, abs=1e-6)

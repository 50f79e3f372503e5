"""Decimated columns against all points: extremes, ends and gaps survive; the pyramid of blocks against min and max."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hrm_console.charts.decimate import BLOCK, Column, Extremes, column_of, decimate

NAN = float("nan")
VALUES = st.one_of(st.just(NAN), st.floats(-1e300, 1e300))


def columns_of(xs: list[float], ys: list[float], x_low: float, scale: float) -> list[Column]:
    gaps = [index for index, y in enumerate(ys) if math.isnan(y)]
    return decimate(xs, ys, Extremes(ys, gaps), 0, len(xs), x_low, scale)


@given(st.lists(st.tuples(st.floats(-100, 100), VALUES), max_size=300), st.floats(0.01, 10))
def test_every_column_keeps_its_extremes_and_its_ends(points: list[tuple[float, float]], scale: float) -> None:
    points.sort(key=lambda point: point[0])
    xs, ys = [x for x, _ in points], [y for _, y in points]
    columns = columns_of(xs, ys, -100.0, scale)
    assert [column.number for column in columns] == sorted({column.number for column in columns})
    starts = [column.start for column in columns] + [len(xs)]
    assert starts[0] == 0
    for column, stop in zip(columns, starts[1:], strict=True):
        part = ys[column.start : stop]
        finite = [y for y in part if not math.isnan(y)]
        assert (column.low, column.high) == (min(finite, default=math.inf), max(finite, default=-math.inf))
        assert repr((column.first, column.last)) == repr((part[0], part[-1]))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=200), st.floats(0.01, 10))
def test_a_point_lies_in_its_own_column(xs: list[float], scale: float) -> None:
    xs.sort()
    columns = columns_of(xs, [0.0] * len(xs), -100.0, scale)
    for column in columns:
        assert abs(column_of(xs[column.start], -100.0, scale) - column.number) == 0


def test_one_spike_in_100000_points_is_seen() -> None:
    xs, ys = [float(i) for i in range(100_000)], [0.0] * 100_000
    ys[54_321] = 9.0
    columns = columns_of(xs, ys, 0.0, 399 / 99_999)
    assert len(columns) == 400
    assert [column.number for column in columns if column.high == 9.0] == [column_of(54_321.0, 0.0, 399 / 99_999)]


def test_a_gap_at_the_end_of_a_column_breaks_the_line_there() -> None:
    columns = columns_of([0.0, 0.1, 0.2, 1.0, 2.0, 2.1], [1.0, 3.0, NAN, NAN, NAN, 5.0], 0.0, 1.0)
    assert [(column.low, column.high) for column in columns] == [(1, 3), (math.inf, -math.inf), (5, 5)]
    assert math.isnan(columns[0].last)
    assert math.isnan(columns[2].first)
    assert columns[2].last == 5


def test_points_far_outside_are_one_column_each_side() -> None:
    columns = columns_of([-1e300, -1e299, 0.0, 1e300], [1.0, 2.0, 3.0, 4.0], 0.0, 1e10)
    assert [(column.low, column.high) for column in columns] == [(1, 2), (3, 3), (4, 4)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5 * BLOCK**2), st.floats(0, 1))
def test_the_pyramid_equals_min_and_max_also_while_it_grows_and_is_cut(
    seed: int, length: int, gap_share: float
) -> None:
    draw = random.Random(seed)
    values: list[float] = []
    gaps: list[int] = []
    extremes = Extremes(values, gaps)
    for _ in range(4):
        for _ in range(draw.randint(0, length)):
            if draw.random() < gap_share:
                gaps.append(len(values))
            values.append(NAN if gaps and gaps[-1] == len(values) else draw.gauss(0, 1))
        for _ in range(20):
            start, stop = sorted((draw.randint(0, len(values)), draw.randint(0, len(values))))
            finite = [value for value in values[start:stop] if not math.isnan(value)]
            expected = (min(finite, default=math.inf), max(finite, default=-math.inf))
            assert extremes.low_high(start, stop) == expected
        keep = draw.randint(0, len(values))
        del values[keep:]
        gaps[:] = [index for index in gaps if index < keep]
        extremes.forget(keep)

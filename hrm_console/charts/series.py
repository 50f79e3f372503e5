"""A curve as it grows: points appended as the rows of a run are read, asked for a window at every repaint.

Charts room. (x, y) pairs -> rising x columns and one y column in arrays of doubles. A y that is None or not finite is
kept as a gap (nan) and never reaches the bounds. Further x columns ("time", "samples", ...) lie beside the first,
"step"; a column that falls, such as the seconds of a run that was resumed, goes on from where it was. Smoothed and
positive-only copies (for log axes) and the columns of the last windows are kept and only extended, so a live tick costs
what was appended. Many curves of the same rows can share their x columns (`sharing`). Not here: drawing.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import compress, islice
from math import isfinite, isnan
from operator import le
from typing import NamedTuple, Self, final

from hrm_console.charts.decimate import NAN, Column, Extremes, decimate

STEP = "step"
WHOLE = 1 - 1e-12  # of the weights of an average: from here on it is free of its pull to zero
LEAST_PART = 1e-18  # a weight below it changes no digit of an average
KEPT_WINDOWS = 4  # column lists kept: a zoomed and a whole view on two widget sizes


Stretch = Callable[["array[float]"], list[float]]
_EMPTY: array[float] = array("d")  # never changed


def as_array(values: Sequence[float]) -> array[float]:
    """A new array of doubles."""
    return array("d", values)


class Bounds(NamedTuple):
    """Smallest and largest finite values of a curve, and its smallest y above zero (None: there is none)."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    y_positive: float | None


def to_number(value: object) -> float:
    """A finite float, or nan for everything else: None, text, infinities, integers beyond the floats."""
    if not isinstance(value, (int, float)):
        return NAN
    try:
        number = float(value)
    except OverflowError:
        return NAN
    return number if math.isfinite(number) else NAN


@final
class Series:
    """An append-only curve. `xs` and `ys` are equally long; read them, never change them."""

    __slots__ = ("_axes", "_derived", "_extremes", "_gaps", "_shifts", "_windows", "name", "ys")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.ys: array[float] = array("d")
        self._axes: dict[str, array[float]] = {STEP: array("d")}
        self._shifts: dict[str, float] = {}
        self._gaps: list[int] = []
        self._extremes = Extremes(self.ys, self._gaps)
        self._windows: dict[tuple[str, float, float, int], list[Column]] = {}
        self._derived: dict[tuple[str, float], _Derived] = {}

    def __len__(self) -> int:
        return len(self.ys)

    @classmethod
    def sharing(cls, name: str, axes: dict[str, array[float]]) -> Self:
        """A curve whose x columns are these very arrays, "step" among them. Their owner extends and cuts them, and then
        gives every curve its values with `extend_values` or `keep`."""
        series = cls(name)
        series._axes = axes
        return series

    @property
    def xs(self) -> array[float]:
        """The steps, rising."""
        return self._axes[STEP]

    @property
    def num_finite(self) -> int:
        """Points that are not gaps."""
        return len(self.ys) - len(self._gaps)

    def append(self, x: float, y: float | None, **axes: float | None) -> None:
        """Add a point at step x; axes: its place on other axes, time in seconds. Left out if x is not a number.

        An x below the last one first cuts the points above it: the run went back to a checkpoint and comes again.
        """
        step, value = to_number(x), to_number(y)
        if isnan(step):
            return
        if self.xs and step < self.xs[-1]:
            self.cut(step)
        length = len(self.ys)
        for kind, place in axes.items():
            self._append_axis(kind, to_number(place), length)
        for kind, column in self._axes.items():
            if kind != STEP and len(column) == length:  # this point came without it: it stays where the last one was
                column.append(column[-1] if column else 0.0)
        self.xs.append(step)
        if isnan(value):
            self._gaps.append(length)
        self.ys.append(value)

    def _append_axis(self, kind: str, place: float, length: int) -> None:
        if kind == STEP or isnan(place):
            return
        column = self._axes.setdefault(kind, array("d"))
        if len(column) < length:  # a new axis: earlier points are put where it begins
            column.extend([place] * (length - len(column)))
        shift = self._shifts.get(kind, 0.0)
        if column and place + shift < column[-1]:
            shift = self._shifts[kind] = column[-1] - place
        column.append(max(place + shift, column[-1]) if column else place + shift)

    def extend(self, xs: Sequence[float], ys: Sequence[float], **axes: Sequence[float]) -> None:
        """Add many points at once, as `append` would one by one: at once where x and the other axes rise."""
        known = all(len(column) == len(xs) for column in axes.values()) and len(ys) == len(xs)
        assert known, "columns of a curve are equally long"
        same = set(axes) | {STEP} == set(self._axes) or not self.ys
        if not same or not all(self._goes_on(kind, column) for kind, column in (*axes.items(), (STEP, xs))):
            for index, x in enumerate(xs):
                self.append(x, ys[index], **{kind: column[index] for kind, column in axes.items()})
            return
        for kind, column in axes.items():
            self._axes.setdefault(kind, array("d")).extend(as_array(column))
        self.xs.extend(as_array(xs))
        self.extend_values(ys)

    def _goes_on(self, kind: str, column: Sequence[float]) -> bool:
        """Whether a stretch of an axis is finite, rises, and begins where the one before ended or later."""
        before = self._axes.get(kind)
        if not len(column) or self._shifts.get(kind):
            return not len(column)
        rises = (not before or column[0] >= before[-1]) and all(map(le, column, islice(column, 1, None)))
        return rises and isfinite(column[0]) and isfinite(column[-1])

    def extend_values(self, ys: Sequence[float], finite: bool = False) -> None:
        """Add the values of points whose place on the axes is there already; nan is a gap. finite: it is known that
        there is none."""
        length = len(self.ys)
        values = as_array(ys)
        if not finite and not isfinite(
            sum(values)
        ):  # there is a nan or an infinity among them, or the sum is too large
            for index, value in enumerate(values):
                if not isfinite(value):
                    values[index] = NAN
                    self._gaps.append(length + index)
        self.ys.extend(values)

    def put_axes(self, axes: Mapping[str, Sequence[float]]) -> None:
        """Replace the columns of other axes than step; each is as long as the curve, and rises."""
        assert all(len(column) == len(self.xs) for column in axes.values()), "columns of a curve are equally long"
        self._axes = {STEP: self.xs} | {kind: as_array(column) for kind, column in axes.items() if kind != STEP}
        self._shifts.clear()
        self._windows.clear()
        self._derived.clear()

    def leave_gaps_out(self) -> None:
        """Keep only the points with a value, on x columns of its own: what is missing was not measured."""
        there = [not isnan(value) for value in self.ys]
        self._axes = {kind: array("d", compress(column, there)) for kind, column in self._axes.items()}
        values = array("d", compress(self.ys, there))
        self.keep(0)
        self.ys.extend(values)

    def cut(self, x: float) -> None:
        """Forget the points above step x."""
        length = bisect_right(self.xs, x)
        for column in self._axes.values():
            del column[length:]
        self.keep(length)

    def keep(self, length: int) -> None:
        """Forget the values after the first `length`; the axes are the owner's to cut."""
        del self.ys[length:]
        del self._gaps[bisect_left(self._gaps, length) :]
        self._extremes.forget(length)
        self._windows.clear()
        self._derived.clear()

    def clear(self) -> None:
        """Forget all points, and how the other axes were joined."""
        self.cut(-math.inf)
        self._axes = {STEP: array("d")}
        self._shifts.clear()

    @property
    def last(self) -> tuple[float, float] | None:
        """The last finite point, (step, y)."""
        index = self.last_index
        return None if index is None else (self.xs[index], self.ys[index])

    @property
    def bounds(self) -> Bounds | None:
        """Bounds of the finite points; x from the first to the last point, gaps included. None: nothing finite yet."""
        low, high = self._extremes.low_high(0, len(self.ys))
        if low > high:
            return None
        positive = low if low > 0 else self.positive().y_range(0, len(self.ys))[0]
        return Bounds(self.xs[0], self.xs[-1], low, high, positive if positive < math.inf else None)

    def axis(self, kind: str = STEP) -> array[float]:
        """The x column of that name, rising; empty where the points came without it."""
        return self._axes.get(kind, _EMPTY)

    def window(self, x_low: float, x_high: float, kind: str = STEP) -> tuple[int, int]:
        """start, stop of the points in [x_low, x_high] and one neighbour on each side, so that lines reach the edge."""
        column = self.axis(kind)
        start, stop = bisect_left(column, x_low), bisect_right(column, x_high)
        return max(0, start - 1), min(len(column), stop + 1)

    def y_range(self, start: int, stop: int) -> tuple[float, float]:
        """Lowest and highest finite y of the points start..stop; (inf, -inf) where there is none."""
        return self._extremes.low_high(start, stop)

    def value_at(self, x: float, kind: str = STEP) -> tuple[float, float] | None:
        """The finite point nearest to x, for a crosshair: (x, y)."""
        index = self.index_at(x, kind)
        return None if index is None else (self.axis(kind)[index], self.ys[index])

    def index_at(self, x: float, kind: str = STEP) -> int | None:
        """The index of the finite point nearest to x."""
        column = self.axis(kind)
        at = bisect_left(column, x)
        found = [index for index in (self._finite_before(at), self._finite_from(at)) if index is not None]
        return min(found, key=lambda index: abs(column[index] - x)) if column and found else None

    @property
    def last_index(self) -> int | None:
        """The index of the last finite point."""
        return self._finite_before(len(self.ys))

    def average_at(self, index: int, weight: float) -> float:
        """What `smoothed` has at a finite point, from as many points before it as count: said of nine curves of 100,000
        rows, of which two are in sight, it must not cost the averages of all."""
        if weight <= 0:
            return self.ys[index]
        derived = self._derived.get(("smoothed", weight))
        if derived is not None and len(derived.series.ys) > index:
            return derived.series.ys[index]
        total, mass, part = 0.0, 0.0, 1 - weight
        while index >= 0 and part > LEAST_PART:
            value = self.ys[index]
            if not isnan(value):
                total, mass, part = total + part * value, mass + part, part * weight
            index -= 1
        return total / mass

    def _finite_before(self, index: int) -> int | None:
        return next((i for i in range(index - 1, -1, -1) if not isnan(self.ys[i])), None)

    def _finite_from(self, index: int) -> int | None:
        return next((i for i in range(index, len(self.ys)) if not isnan(self.ys[i])), None)

    def columns(self, x_low: float, x_high: float, count: int, kind: str = STEP) -> list[Column]:
        """The window as `count` >= 1 columns of pixels, column 0 at x_low and the last at x_high > x_low.

        A neighbour outside the window comes as a column below 0 or above count - 1. Asked again for the same window
        after points were appended, only the last column is made anew.
        """
        key = (kind, x_low, x_high, count)
        start, stop = self.window(x_low, x_high, kind)
        kept = self._windows.pop(key, [])
        if kept:
            start = kept.pop().start
        scale = max(1, count - 1) / (x_high - x_low)
        kept += decimate(self.axis(kind), self.ys, self._extremes, start, stop, x_low, scale)
        self._windows[key] = kept
        while len(self._windows) > KEPT_WINDOWS:
            del self._windows[next(iter(self._windows))]
        return kept

    def smoothed(self, weight: float) -> Series:
        """The moving average y' = weight y' + (1 - weight) y, freed of its pull to zero at the start; gaps stay gaps.

        Averages over points, not over x. weight in [0, 1); 0 is the curve itself.
        """
        if weight <= 0:
            return self
        return self._follow(("smoothed", weight), lambda: _averager(weight))

    def positive(self) -> Series:
        """The curve with values that are not above zero as gaps, which is what a log axis can show."""
        low, _ = self._extremes.low_high(0, len(self.ys))
        return self if low > 0 else self._follow(("positive", 0.0), lambda: _only_positive)

    def _follow(self, key: tuple[str, float], make: Callable[[], Stretch]) -> Series:
        if key not in self._derived:
            for old in [name for name in self._derived if name[0] == key[0]]:  # one weight at a time is looked at
                del self._derived[old]
            copy = Series(self.name)
            self._derived[key] = _Derived(copy, make())
        derived = self._derived[key]
        derived.series._axes = self._axes  # the same columns, not copies
        derived.series._take(derived.function, self.ys)
        return derived.series

    def _take(self, function: Stretch, source: array[float]) -> None:
        if len(self.ys) < len(source):
            self.extend_values(function(source[len(self.ys) :]))


class _Derived(NamedTuple):
    series: Series
    function: Stretch


def _averager(weight: float) -> Stretch:
    """Averages of the next values; a loop in itself, since 100,000 points of nine curves are smoothed at one key."""
    total, mass = 0.0, 0.0

    def average(values: array[float]) -> list[float]:
        nonlocal total, mass
        found, part, gaps = [], 1 - weight, isnan(sum(values))
        for value in values:
            if mass > WHOLE and not gaps:
                break
            if isnan(value):
                found.append(NAN)
                continue
            total = weight * total + part * value
            if mass <= WHOLE:
                mass = weight * mass + part
            found.append(total if mass > WHOLE else total / mass)
        held = total  # a local name, for speed
        found += [held := weight * held + part * value for value in values[len(found) :]]
        total = held
        return found

    return average


def _only_positive(values: array[float]) -> list[float]:
    return [value if value > 0 else NAN for value in values]

"""Fewer points than columns of pixels: the lowest and highest value in each column, so that no spike is lost.

Charts room. (xs rising, ys with nan for a gap) -> one `Column` per column of pixels that holds points. `Extremes`
answers "lowest and highest of ys[start:stop]" from a pyramid of blocks, which only grows with an append-only curve: a
window of 100,000 points costs a few slices of 32, not 100,000 comparisons. What a gap means: values are ignored in low
and high, and a column that begins or ends on one has nan as first or last, so that no line is drawn over it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from math import isnan
from typing import NamedTuple, final

BLOCK = 32  # points in a block; 16 to 64 measured alike
INFINITY = math.inf
NAN = math.nan
FAR = 1 << 30  # columns outside the window are cut to this: far enough to keep the slope of a line that leaves it


class Column(NamedTuple):
    """What one column of pixels shows; low > high where all is gap. start: the index of its first point."""

    number: int
    low: float
    high: float
    first: float
    last: float
    start: int


@final
class Extremes:
    """Lowest and highest of any stretch of an append-only column of floats, nan left out."""

    __slots__ = ("_gaps", "_levels", "_values")

    def __init__(self, values: Sequence[float], gaps: list[int]) -> None:
        """values: the column itself, not a copy; gaps: the rising indices of its nans, kept up to date by the owner."""
        self._values = values
        self._gaps = gaps
        self._levels: list[tuple[list[float], list[float]]] = []  # lows and highs of blocks of 32, of 32 * 32, ...

    def forget(self, length: int) -> None:
        """Drop the blocks that reach beyond the first `length` values."""
        for lows, highs in self._levels:
            length //= BLOCK
            del lows[length:], highs[length:]

    def low_high(self, start: int, stop: int) -> tuple[float, float]:
        """Lowest and highest of values[start:stop]; (inf, -inf) where there is no number."""
        if stop - start <= 3 * BLOCK:
            return self._directly(start, stop)
        if not self._levels or len(self._levels[0][0]) < len(self._values) // BLOCK:
            self._grow()
        low, high, level = INFINITY, -INFINITY, 0
        while stop > start:  # the ragged ends from each level, the whole blocks between them from the level above
            first, last = -(-start // BLOCK), stop // BLOCK
            whole = stop - start <= 3 * BLOCK or level >= len(self._levels)
            for begin, end in ((start, stop),) if whole else ((start, first * BLOCK), (last * BLOCK, stop)):
                if begin == end:
                    continue
                if level:
                    lows, highs = self._levels[level - 1]
                    bottom, top = min(lows[begin:end]), max(highs[begin:end])
                else:
                    bottom, top = self._directly(begin, end)
                low, high = bottom if bottom < low else low, top if top > high else high
            if whole:
                break
            start, stop, level = first, last, level + 1
        return low, high

    def _directly(self, start: int, stop: int) -> tuple[float, float]:
        part = self._values[start:stop]
        gaps = self._gaps
        if gaps:
            at = bisect_left(gaps, start)
            if at < len(gaps) and gaps[at] < stop:
                part = [value for value in part if not isnan(value)]
        return (min(part), max(part)) if part else (INFINITY, -INFINITY)

    def _grow(self) -> None:
        """Add the blocks that have filled since the last question, level by level."""
        length, level = len(self._values), 0
        while length >= BLOCK:
            if level == len(self._levels):
                self._levels.append(([], []))
            lows, highs = self._levels[level]
            if level == 0 and not self._gaps:
                self._grow_quickly(lows, highs, length // BLOCK)
            for block in range(len(lows), length // BLOCK):
                low, high = self._block(block * BLOCK, level)
                lows.append(low)
                highs.append(high)
            length, level = len(lows), level + 1

    def _grow_quickly(self, lows: list[float], highs: list[float], blocks: int) -> None:
        """The blocks of values without gaps: taken out of the array once, not once for each question."""
        first = len(lows) * BLOCK
        values = list(self._values[first : blocks * BLOCK])
        parts = [values[start : start + BLOCK] for start in range(0, len(values), BLOCK)]
        lows.extend(map(min, parts))
        highs.extend(map(max, parts))

    def _block(self, start: int, level: int) -> tuple[float, float]:
        if level == 0:
            return self._directly(start, start + BLOCK)
        lows, highs = self._levels[level - 1]
        return min(lows[start : start + BLOCK]), max(highs[start : start + BLOCK])


def column_of(x: float, x_low: float, scale: float) -> int:
    """The column whose middle is nearest to x: column 0 lies at x_low, and `scale` columns go on one unit of x."""
    position = (x - x_low) * scale + 0.5
    if not -FAR < position < FAR:
        return FAR if position > 0 else -FAR
    return math.floor(position)


def decimate(
    xs: Sequence[float], ys: Sequence[float], extremes: Extremes, start: int, stop: int, x_low: float, scale: float
) -> list[Column]:
    """The points start..stop as columns of rising number.

    xs: rising; ys: nan for a gap; extremes: of ys; x_low, scale: see column_of, scale > 0. A column that holds one
    point has low = high = first = last. Costs one bisection and one question to `extremes` per column, whatever the
    number of points.
    """
    columns: list[Column] = []
    index = start
    while index < stop:
        number = column_of(xs[index], x_low, scale)
        edge = x_low + (number + 0.5) / scale
        end = index + 1
        if end < stop and xs[end] < edge:
            end = bisect_left(xs, edge, end, stop)
        first, last = ys[index], ys[end - 1]
        if end - index > 1:
            low, high = extremes.low_high(index, end)
        elif not isnan(first):
            low = high = first
        else:
            low, high = INFINITY, -INFINITY
        if columns and columns[-1].number == number:  # an edge lost to rounding
            before = columns.pop()
            low, high, first, index = min(low, before.low), max(high, before.high), before.first, before.start
        columns.append(Column(number, low, high, first, last, index))
        index = end
    return columns

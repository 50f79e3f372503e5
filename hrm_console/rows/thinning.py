"""Fewer rows of a file that has millions: the lowest and highest value of each stretch stay. No Textual here.

`Block` of n rows -> one of about n / factor: two rows for every 2 * factor rows, at the steps of its first and middle
row, with the lowest and highest value of each column in the order in which they came. So no spike is lost, and a file
of 2 GB takes no more memory than one of 500,000 rows. Counts and axes keep their own values.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import isnan

from hrm_console.rows.axes import SOURCES
from hrm_console.rows.blocks import NAN, STEP, Block

MOST_ROWS = 500_000
KEPT = frozenset({STEP, "puzzles", "tokens", "epoch", *SOURCES.values()})


def factor_for(rows: float) -> int:
    """How many rows one kept row stands for, a power of two, so that at most MOST_ROWS are kept."""
    factor = 1
    while rows / factor > MOST_ROWS:
        factor *= 2
    return factor


def thinned(block: Block, factor: int) -> Block:
    """The block with one row for every `factor`; itself for factor 1. What is left over at its end counts as well."""
    if factor <= 1 or len(block) <= 2:
        return block
    half, count = factor, len(block)
    starts = range(0, count, 2 * half)
    places = [place for start in starts for place in sorted({start, min(start + half, count - 1)})]
    columns = {}
    for name, column in block.columns.items():
        picked = name in KEPT or column.count(column[0]) == count
        columns[name] = _at(column, places) if picked else _extremes(column, starts, 2 * half, len(places))
    return Block(columns, {name: _at(column, places) for name, column in block.axes.items()}, block.last)


def _at(column: array[float], places: Sequence[int]) -> array[float]:
    return array("d", [column[place] for place in places])


def _extremes(column: array[float], starts: Sequence[int], width: int, count: int) -> array[float]:
    found = array("d")
    for start in starts:
        part: Sequence[float] = column[start : start + width]
        if isnan(sum(part)):
            part = [value for value in part if not isnan(value)] or [NAN]
        low, high = min(part), max(part)
        if isnan(low) or part.index(low) <= part.index(high):
            found.extend((low, high))
        else:
            found.extend((high, low))
    return found[:count]

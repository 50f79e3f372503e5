"""Other x axes than the step: seconds, samples, joules. No Textual here.

`Block`s of one run, in order -> their columns "time", "samples" and "joules", each rising. A count that falls, such as
the seconds of a run that was resumed, goes on from where it was. Joules are the power that a row gives, times the
seconds since the row before; where a row gives none, the last known power holds. An axis whose numbers have not begun
is missing.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from itertools import accumulate, chain, islice
from math import isfinite, isnan
from operator import le, mul, sub
from typing import final

from hrm_console.rows.blocks import JOULES, NAN, SAMPLES, TIME, Block, Columns
from hrm_console.rows.blocks import number_of as number

SOURCES = {TIME: "elapsed_s", SAMPLES: "samples"}
POWER = "power_w"


@final
class Axes:
    """Makes the axes of blocks as they come. `state` and `from_state` let another process go on."""

    def __init__(self) -> None:
        self.last = dict.fromkeys(SOURCES, NAN)
        self.shift = dict.fromkeys(SOURCES, 0.0)
        self.watts = NAN
        self.joules = 0.0

    def state(self) -> dict[str, float | None]:
        """Everything that is known, as numbers; None where there is none yet."""
        found = {f"last.{kind}": value for kind, value in self.last.items()}
        found |= {f"shift.{kind}": value for kind, value in self.shift.items()}
        found |= {"watts": self.watts, "joules": self.joules}
        return {name: None if isnan(value) else value for name, value in found.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> Axes:
        """Go on from what `state` gave."""
        axes = cls()
        for kind in SOURCES:
            axes.last[kind] = number(state.get(f"last.{kind}"))
            shift = number(state.get(f"shift.{kind}"))
            axes.shift[kind] = 0.0 if isnan(shift) else shift
        axes.watts, joules = number(state.get("watts")), number(state.get("joules"))
        axes.joules = 0.0 if isnan(joules) else joules
        return axes

    def join(self, block: Block) -> Columns:
        """The axes of the next block, which are also put into it."""
        before = self.last[TIME]
        found = {}
        for kind, source in SOURCES.items():
            column = self._rising(kind, block.columns.get(source), len(block))
            if column is not None:
                found[kind] = column
        if TIME in found:
            joules = self._joules(block.columns.get(POWER), found[TIME], before)
            if joules is not None:
                found[JOULES] = joules
        block.axes = found
        return found

    def _rising(self, kind: str, column: array[float] | None, count: int) -> array[float] | None:
        last, shift = self.last[kind], self.shift[kind]
        if column is None:
            return None if isnan(last) else array("d", [last]) * count
        if not column[0] + shift < last and rises(column):  # as nearly always; a last value that is nan is below all
            self.last[kind] = column[-1] + shift
            return array("d", [value + shift for value in column]) if shift else column[:]
        found = array("d")
        for value in column:
            if isnan(value):
                value = last
            else:
                value += shift
                if value < last:
                    shift += last - value
                    value = last
            found.append(value)
            last = value
        self.last[kind], self.shift[kind] = last, shift
        if isnan(last):
            return None
        return found if not isnan(found[0]) else _begun(found)

    def _joules(self, column: array[float] | None, seconds: array[float], before: float) -> array[float] | None:
        watts, total = self.watts, self.joules
        if column is None and isnan(watts):
            return None
        powers = array("d", [NAN]) * len(seconds) if column is None else column
        past = 0.0 if isnan(before) else before
        if min(powers) >= 0 and isfinite(sum(powers)) and seconds[0] >= past and rises(seconds):
            spans = map(sub, seconds, chain((past,), seconds))
            found = array("d", accumulate(map(mul, powers, spans), initial=total))
            self.watts, self.joules = powers[-1], found[-1]
            return found[1:]
        found = array("d")
        for second, power in zip(seconds, powers, strict=True):
            if power >= 0:  # false for nan
                watts = power
            if watts >= 0 and second > past:
                total += watts * (second - past)
            past = second
            found.append(total)
        self.watts, self.joules = watts, total
        return None if isnan(watts) else found


def rises(column: array[float]) -> bool:
    """Whether no value is below the one before, nor nan."""
    return all(map(le, column, islice(column, 1, None))) and isfinite(sum(column))


def _begun(column: array[float]) -> array[float]:
    """Rows before the first number stand where it is."""
    first = next(value for value in column if not isnan(value))
    return array("d", [first if isnan(value) else value for value in column])

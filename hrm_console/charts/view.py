"""What part of a chart is shown, and how: limits, log axis, smoothing, kind of x axis, cursor.

Charts room. A frozen value: keys of the app make a new one with dataclasses.replace, so that a view can be kept,
compared and shared by several charts. `rounded_limits` turns bounds of data into axis limits that stay the same while a
live curve grows a little: limits that move at every tick would repaint every row of the chart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from hrm_console.charts.series import STEP
from hrm_console.charts.ticks import nice_step

LARGEST = 1e150  # limits are cut to +-this, so that differences and scales of them stay finite
MAX_SMOOTHING = 0.9999


@final
@dataclass(frozen=True, slots=True)
class View:
    """Limits in data units (None: automatic; seconds on a time axis), log_y, smoothing weight in [0, 1), axis, cursor.

    Limits that are not finite or the wrong way round are taken as automatic, so that no key can break a chart.
    """

    x_low: float | None = None
    x_high: float | None = None
    y_low: float | None = None
    y_high: float | None = None
    log_y: bool = False
    smoothing: float = 0.0
    x_kind: str = STEP
    cursor: float | None = None

    @property
    def weight(self) -> float:
        """The smoothing weight, kept inside its bounds."""
        return min(MAX_SMOOTHING, self.smoothing) if self.smoothing > 0 else 0.0


def chosen_limits(low: float | None, high: float | None, automatic: tuple[float, float]) -> tuple[float, float]:
    """The limits asked for where they make sense, else the automatic ones. The result is finite and rising."""
    a = automatic[0] if low is None or not math.isfinite(low) else _inside(low)
    b = automatic[1] if high is None or not math.isfinite(high) else _inside(high)
    return (a, b) if b - a > _smallest_span(a, b) else automatic


def rounded_limits(low: float, high: float, parts: int = 10) -> tuple[float, float]:
    """Limits around finite bounds low <= high, moved outward to multiples of about a tenth (1 / parts) of the span.

    A flat curve gets room above and below; zero alone gets 0 to 1.
    """
    low, high = _inside(low), _inside(high)
    if high - low <= _smallest_span(low, high):
        return padded_flat((low + high) / 2)
    quantum = nice_step(high - low, parts)
    return math.floor(low / quantum + 1e-9) * quantum + 0.0, math.ceil(high / quantum - 1e-9) * quantum + 0.0


def padded_flat(value: float, room: float = 0.1) -> tuple[float, float]:
    """Limits for a curve that has one value."""
    if abs(value) < 1e-140:
        return 0.0, 1.0
    return value - abs(value) * room, value + abs(value) * room


def rounded_log_limits(low: float, high: float) -> tuple[float, float]:
    """The same for a log axis, 0 < low <= high: outward to tenths of the span in decades; flat: a factor of 2."""
    low, high = (max(1 / LARGEST, min(LARGEST, value)) for value in (low, high))
    if math.log10(high) - math.log10(low) < 1e-9:
        return low / 2, low * 2
    exponents = rounded_limits(math.log10(low), math.log10(high))
    return 10.0 ** exponents[0], 10.0 ** exponents[1]


def _inside(value: float) -> float:
    return max(-LARGEST, min(LARGEST, value))


def _smallest_span(low: float, high: float) -> float:
    """Below this two limits count as one: the digits of a float would not tell the ticks apart."""
    return max(1e-140, 1e-9 * max(abs(low), abs(high)))

"""Where the axes have ticks and how numbers are written beside them.

Charts room. Limits (floats) and a wished number -> rising lists of floats inside the limits; floats -> short texts. A
tick lies on 1, 2 or 5 times a power of ten, on a time axis on whole seconds, minutes, hours or days, on a log axis on
decades (with 2 and 5 between where few decades are shown). Plain functions; nothing here knows of a screen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
MAX_TICKS = 100  # a guard against absurd arguments, far above what any terminal shows


def nice_step(span: float, count: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that divides a positive span into at most about `count` parts."""
    raw = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1.0, 2.0, 5.0):
        if raw <= factor * power * (1 + 1e-9):
            return factor * power
    return 10.0 * power


def time_step(span_s: float, count: int) -> float:
    """The same for seconds: whole minutes, hours and days instead of powers of ten; below a second as nice_step."""
    raw = span_s / max(1, count)
    if raw <= 0.5:
        return nice_step(span_s, count)
    for step in TIME_STEPS:
        if raw <= step:
            return float(step)
    return nice_step(span_s / 86400, count) * 86400


def _multiples(low: float, high: float, step: float) -> list[float]:
    """Multiples of step within [low, high], rounding errors forgiven at both ends."""
    first = math.ceil(low / step - 1e-6)
    last = math.floor(high / step + 1e-6)
    return [index * step + 0.0 for index in range(first, min(last, first + MAX_TICKS) + 1)]


def linear_ticks(low: float, high: float, count: int, whole: bool = False) -> list[float]:
    """About `count` nice values in [low, high], two at least; whole=True: no step below 1, so perhaps fewer."""
    if not high > low:
        return [low]
    step = nice_step(high - low, count)
    found = _multiples(low, high, max(1.0, step) if whole else step)
    if len(found) >= 2 or (whole and step <= 1) or count > MAX_TICKS:
        return found
    return linear_ticks(low, high, 2 * count, whole)


def time_ticks(low_s: float, high_s: float, count: int) -> list[float]:
    """Ticks in seconds on whole units of time."""
    if not high_s > low_s:
        return [low_s]
    return _multiples(low_s, high_s, time_step(high_s - low_s, count))


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Ticks for a log axis, 0 < low <= high: decades, finer where there are few, linear inside a part of a decade."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    decades = list(range(first, last + 1))
    if len(decades) >= 3 or len(decades) >= count:
        stride = math.ceil(len(decades) / max(1, count))
        return [10.0**power for power in decades if power % stride == 0] or [10.0 ** decades[0]]
    fine = [
        factor * 10.0**power
        for power in range(first - 1, last + 1)
        for factor in (1.0, 2.0, 5.0)
        if low * (1 - 1e-9) <= factor * 10.0**power <= high * (1 + 1e-9)
    ]
    if 2 <= len(fine) <= max(2, count + 1):
        return fine
    return [10.0**power for power in decades] if len(decades) >= 2 else linear_ticks(low, high, count)


def _trim(text: str) -> str:
    """No zeros behind the point that say nothing, no sign on zero."""
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{_trim(mantissa)}e{int(exponent)}"


def format_number(value: float, unit: str = "") -> str:
    """A value for a title line: about four digits, k/M/G/T from 10,000, 3.1e-4 below 0.001; "%": a share as percent."""
    if not math.isfinite(value):
        return "-"
    if unit == "%" and math.isfinite(value * 100):
        share = value * 100
        return f"{_plain(share, 2 if abs(share) < 1 else 1)}%" if abs(share) < 1e4 else f"{_scientific(share, 1)}%"
    return f"{_magnitude(value)}{unit}"


def _plain(value: float, decimals: int) -> str:
    return _trim(f"{value:.{decimals}f}")


def _magnitude(value: float) -> str:
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e15:
        return _scientific(value, 2)
    if size < 1e4:
        return _plain(value, 4 if size < 1 else 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0)
    factor, letter = next((factor, letter) for factor, letter in PREFIXES if size >= factor)
    return _plain(value / factor, 2 if size < 10 * factor else 1 if size < 100 * factor else 0) + letter


def format_duration(seconds: float) -> str:
    """0.5s, 45s, 10m, 1h30m, 2d6h: the two largest units at most."""
    if not math.isfinite(seconds):
        return "-"
    if abs(seconds) < 60:
        return f"{_plain(seconds, 3 if abs(seconds) < 1 else 1)}s"
    sign, whole = ("-" if seconds < 0 else ""), round(abs(seconds))
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next(index for index, (number, _) in enumerate(parts) if number)
    return sign + "".join(f"{number}{letter}" for number, letter in parts[first : first + 2] if number)


def labels(ticks: Sequence[float], unit: str = "") -> list[str]:
    """One text per tick, all with the digits that the distance between ticks needs and one common k/M/G/T."""
    if not ticks:
        return []
    values = [tick * 100 for tick in ticks] if unit == "%" else list(ticks)
    largest = max(abs(value) for value in values)
    step = min((abs(b - a) for a, b in pairwise(values)), default=largest) or largest
    if largest == 0 or not math.isfinite(largest):
        return [f"0{unit}" for _ in values]
    if largest >= 1e15 or (step < 1e-3 and largest < 1e-2):
        texts = [_trim_zero(_scientific(value, min(6, _digits(step, abs(value) or largest)))) for value in values]
    else:
        factor, letter = next(((f, letter) for f, letter in PREFIXES if largest >= f and largest >= 1e4), (1.0, ""))
        decimals = min(8, max(0, -math.floor(math.log10(step / factor) + 1e-9)))
        texts = [_number_with(value / factor, decimals, letter) for value in values]
    return [text + unit for text in texts]


def log_labels(ticks: Sequence[float], unit: str = "") -> list[str]:
    """One text per tick of a log axis, each by itself: 0.01, 1, 100, 10k."""
    return [format_number(tick, unit) for tick in ticks]


def _digits(step: float, value: float) -> int:
    """Digits behind the point that a mantissa of value needs to show a difference of step."""
    return max(0, math.floor(math.log10(value)) - math.floor(math.log10(step) + 1e-9))


def _trim_zero(text: str) -> str:
    return "0" if text in ("0e0", "-0e0") else text


def _number_with(value: float, decimals: int, letter: str) -> str:
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        return "0"
    return text + letter

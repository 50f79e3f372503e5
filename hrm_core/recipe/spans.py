"""Lengths of time within a run: steps (an integer), a share of the run (a float up to 1.0) or time ("6h", "20min").

Recipe room; free of torch. A span is kept as it was written, and resolved against the run's `max_steps` where it is
used, so that one recipe keeps its shape at every length. Time becomes a step only when it strikes: the trainer does
that, and records it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, final

from pydantic import AfterValidator

_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)min)?(?:(\d+(?:\.\d+)?)s)?")
_HINT = 'write steps (2000), a share of the run (0.02) or time ("6h", "20min", "1h30min")'


@final
@dataclass(frozen=True)
class Hours:
    """A span of time that is no step yet."""

    hours: float

    @property
    def seconds(self) -> float:
        """The same in seconds."""
        return self.hours * 3600.0


def parse_time(text: str) -> Hours:
    """'6h', '20min', '45s', '1h30min' -> Hours. ValueError for anything else, and for no time at all."""
    match = _TIME.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f'{text!r} is no time; write it like "6h", "20min" or "1h30min"')
    hours, minutes, seconds = (float(part) if part else 0.0 for part in match.groups())
    total = hours + minutes / 60.0 + seconds / 3600.0
    if not 0.0 < total <= 10_000.0:
        raise ValueError(f"{text!r} is out of bounds: above 0 and at most 10000h")
    return Hours(total)


def is_time(span: int | float | str) -> bool:
    """Whether the span is given as time."""
    return isinstance(span, str)


def resolve_span(span: int | float | str, max_steps: int, minimum: int = 1) -> int | Hours:
    """Span -> steps, or `Hours` where it is given as time.

    Shares round to the nearest step and are at least `minimum` (a period needs 2); 0 stays 0: there is none.
    """
    if isinstance(span, str):
        return parse_time(span)
    if span == 0:
        return 0
    steps = span if isinstance(span, int) else int(span * max_steps + 0.5)
    return max(minimum, steps)


def resolve_steps(span: int | float | str, max_steps: int, seconds_per_step: float, minimum: int = 1) -> int:
    """Like `resolve_span`, with time turned into steps by the measured `seconds_per_step` (> 0)."""
    resolved = resolve_span(span, max_steps, minimum)
    if isinstance(resolved, Hours):
        return max(minimum, int(resolved.seconds / seconds_per_step + 0.5))
    return resolved


def _check_span(span: int | float | str) -> int | float | str:
    if isinstance(span, str):
        try:
            parse_time(span)
        except ValueError:
            raise ValueError(f"{span!r} is no span; {_HINT}") from None
    elif isinstance(span, float) and not 0.0 <= span <= 1.0:
        raise ValueError(f"{span} is no share of the run, which is at most 1.0; {_HINT}")
    elif span < 0:
        raise ValueError(f"{span} is negative; {_HINT}")
    return span


def _check_positive(span: int | float | str) -> int | float | str:
    if span == 0:
        raise ValueError(f"0 is no length; {_HINT}")
    return _check_span(span)


def _check_time(text: str) -> str:
    parse_time(text)
    return text


def _check_length(length: int | str) -> int | str:
    if isinstance(length, str):
        return _check_time(length)
    if not 1 <= length <= 100_000_000:
        raise ValueError(f"{length} is out of bounds: 1 to 100000000 steps")
    return length


SpanOrZero = Annotated[int | float | str, AfterValidator(_check_span)]
Span = Annotated[int | float | str, AfterValidator(_check_positive)]
Time = Annotated[str, AfterValidator(_check_time)]
RunLength = Annotated[int | str, AfterValidator(_check_length)]

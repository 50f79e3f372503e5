"""Room `runs`: why a GPU runs below its clocks, in words, and when that deserves an alarm.

NVML's bit field -> words; status.json and the newest rows of the training log -> an alarm or None. The trainer writes
what it sees (`throttle`, `throttled_share`, `throttled_s` of status.json), whoever reads the run decides. Standard
library only.

A GPU at its power cap is no alarm: a laptop's card with a cap of 80 W is there whenever it works, and nothing is wrong.
What is one: the card or its driver slows it because of heat, or the power supply asks it to (`HOT_WORDS`), for at least
half of the last five minutes; or the card is hot and does a quarter less than this run's own usual.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from typing import Final, final

from hrm_core.runs.files import Row, items, number

# NVML's nvmlClocksEventReasons, bit by bit (NVML API reference, "Clocks event reasons").
REASONS: Final = (
    (0x1, "idle"),
    (0x2, "application clocks"),
    (0x4, "power cap"),
    (0x8, "hardware slowdown"),
    (0x10, "sync boost"),
    (0x20, "heat (driver)"),
    (0x40, "heat (hardware)"),
    (0x80, "power brake"),
    (0x100, "display clocks"),
)
HOT_WORDS: Final = frozenset({"hardware slowdown", "heat (driver)", "heat (hardware)", "power brake"})

WINDOW_S: Final = 300.0
LEAST_SPAN_S: Final = 60.0
LEAST_SHARE: Final = 0.5
HOT_C: Final = 83.0
LEAST_FALL: Final = 0.25
LEAST_ROWS: Final = 20
NEWEST_ROWS: Final = 5
ADVICE: Final = (
    "Let it cool: free the fans, lift the laptop, a cooler room. A lower power cap (`sudo nvidia-smi -pl WATTS`) keeps "
    "it from overheating; `hrm device` shows what holds the clocks down."
)


def throttle_words(bits: int) -> tuple[str, ...]:
    """What the bits say, in words; unknown bits are left out."""
    return tuple(word for bit, word in REASONS if bits & bit)


@final
class ThrottleWindow:
    """How much of the last five minutes a GPU was slowed by heat or power. Fed with what is seen, when it is seen."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, bool]] = deque()

    def add(self, now_s: float, words: Sequence[str]) -> None:
        """What was seen at a moment (seconds on any clock that only rises)."""
        self._seen.append((now_s, not HOT_WORDS.isdisjoint(words)))
        while self._seen[0][0] < now_s - WINDOW_S:
            self._seen.popleft()

    @property
    def span_s(self) -> float:
        """From the first to the last that is remembered."""
        return self._seen[-1][0] - self._seen[0][0] if self._seen else 0.0

    @property
    def share(self) -> float | None:
        """Share of what was seen; None before anything was."""
        return sum(hot for _, hot in self._seen) / len(self._seen) if self._seen else None


def slowed_by_heat(status: Row) -> str:
    """The sentence of an alarm from the throttle reasons that the trainer saw; empty if there is no reason for one."""
    share, span_s = number(status, "throttled_share"), number(status, "throttled_s")
    if share is None or span_s is None or span_s < LEAST_SPAN_S or share < LEAST_SHARE:
        return ""
    said = [word for word in items(status, "throttle") if isinstance(word, str) and word in HOT_WORDS]
    why = " and ".join(said) if said else "heat or power"
    clock, celsius = number(status, "clock_mhz"), number(status, "temperature_c")
    where = [f"{value:.0f} {unit}" for value, unit in ((celsius, "°C"), (clock, "MHz")) if value is not None]
    at = f", now at {' and '.join(where)}" if where else ""
    return (
        f"The GPU was slowed by {why} for {100 * share:.0f} % of the last {span_s:.0f} s "
        f"(limit {100 * LEAST_SHARE:.0f} %){at}."
    )


def is_hot(status: Row) -> bool:
    """Whether the device is so hot that a fall of speed is worth looking for."""
    celsius = number(status, "temperature_c")
    return celsius is not None and celsius >= HOT_C


def slower_while_hot(status: Row, rows: Sequence[Row]) -> str:
    """The sentence of an alarm from the speed: the newest rows against the median of those before, while it is hot.

    Tokens per second, so that a curriculum that changes its canvases does not look like heat.
    """
    speeds = [speed for row in rows if (speed := number(row, "tokens_per_sec")) is not None and speed > 0]
    if not is_hot(status) or len(speeds) < LEAST_ROWS + NEWEST_ROWS:
        return ""
    usual, now = statistics.median(speeds[:-NEWEST_ROWS]), statistics.median(speeds[-NEWEST_ROWS:])
    fall = 1 - now / usual
    if fall < LEAST_FALL:
        return ""
    celsius = number(status, "temperature_c")
    return (
        f"At {celsius:.0f} °C it does {now:,.0f} tokens/s, {100 * fall:.0f} % less than this run's usual {usual:,.0f} "
        f"(limit {100 * LEAST_FALL:.0f} % at {HOT_C:.0f} °C or more)."
    )

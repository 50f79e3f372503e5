"""What befell a run that only clocks can tell: the machine's clock was set anew or it slept, or the run was held.

Training room, standard library. Nothing is decided by these clocks (cadences are steps, budgets monotonic time); the
run says what happened, for whoever wonders about a gap in the times of its rows. A step that takes long is no event.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

JUMP_S = 5.0


@final
class ClockWatch:
    """`look` now and then tells `tell(kind, seconds)` of `clock_jumped`: how far the clock of day has moved against
    the clock that nobody sets, and of `held`: how long ago the run was last seen, where a SIGCONT has come since."""

    def __init__(self, tell: Callable[[str, float], None]) -> None:
        self._tell = tell
        self._seen = time.monotonic()
        self._apart = time.time() - self._seen
        self._continued = False

    def look(self) -> None:
        """What has happened since the last look."""
        now = time.monotonic()
        apart, since = time.time() - now, now - self._seen
        jumped, self._apart, self._seen = apart - self._apart, apart, now
        if abs(jumped) > JUMP_S:
            self._tell("clock_jumped", jumped)
        if self._continued:
            self._continued = False
            self._tell("held", since)

    @contextmanager
    def hears_continue(self) -> Iterator[None]:
        """Within the block a SIGCONT is noted, which follows every SIGSTOP; the handler before it comes back."""

        def continued(number: int, frame: FrameType | None) -> None:
            self._continued = True

        before = signal.signal(signal.SIGCONT, continued)
        try:
            yield
        finally:
            signal.signal(signal.SIGCONT, before)

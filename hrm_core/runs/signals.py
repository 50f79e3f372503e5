"""Signals that ask a long process to stop: SIGTERM, SIGINT, SIGHUP, answered by a handler for as long as it works.

Runs room; standard library only. What a request means is the caller's affair: the trainer writes a checkpoint, a sweep
stops its children.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def answered(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Within the block the handler gets these signals; the handlers before it come back."""
    before = [signal.signal(number, handler) for number in STOPS]
    try:
        yield
    finally:
        for number, earlier in zip(STOPS, before, strict=True):
            signal.signal(number, earlier)

"""The terminal that the app is in: signals that end the app in order, and knowing that it is gone.

A lost connection sends SIGHUP, or nothing at all where the app is not of the terminal's session; then a hang-up shows
on its descriptor. Either way the app leaves, keeps its session, and runs go on.
"""

from __future__ import annotations

import asyncio
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress


def leave_on_signals(leave: Callable[[], object]) -> None:
    """Call `leave` on SIGHUP and SIGTERM. Quiet where that cannot be (a test that runs the app in a thread)."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        with suppress(RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(number, leave)


def is_gone() -> bool:
    """Whether standard input is a terminal whose other end was closed."""
    try:
        watched = select.poll()
        watched.register(sys.__stdin__.fileno() if sys.__stdin__ is not None else 0, 0)
        return any(event & (select.POLLHUP | select.POLLNVAL) for _, event in watched.poll(0))
    except (OSError, ValueError):
        return False

"""The terminal that the app is in: signals that end the app in order, and knowing that it is gone.

A lost connection sends SIGHUP, or nothing at all where the app is not of the terminal's session; then a hang-up shows
on its descriptor. Either way the app leaves, keeps its session, and runs go on.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

LOOK_S: Final = 2.0
GRACE_S: Final = 10.0
HUNG_UP: Final = 128 + signal.SIGHUP


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


def end_when_gone(look_s: float = LOOK_S, grace_s: float = GRACE_S) -> None:
    """End the process, from a thread of its own, `grace_s` after its terminal is gone, if it has not left until then.

    Textual writes to the terminal in a thread, through a queue of 30 frames. A terminal that closes in the midst of a
    frame ends that thread, and the app then waits for room in the queue for ever: no timer runs, no signal is heard.
    """

    def watch() -> None:
        while not is_gone():
            time.sleep(look_s)
        time.sleep(grace_s)
        os._exit(HUNG_UP)

    threading.Thread(target=watch, name="terminal", daemon=True).start()

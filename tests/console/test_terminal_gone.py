"""A console whose terminal is gone ends, even where its main thread waits for ever."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from hrm_console.terminal import HUNG_UP

STUCK = """
import signal, threading
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as where a handler is never run
from hrm_console.terminal import end_when_gone
end_when_gone(look_s=0.05, grace_s=0.05)
print("ready", flush=True)
lock = threading.Lock()
lock.acquire()
lock.acquire()
"""


def stuck_child() -> tuple[subprocess.Popen[bytes], int]:
    """A process that waits for ever in a terminal of its own, and our end of it."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", STUCK], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    said = b""
    while b"ready" not in said:
        said += os.read(ours, 100)
    return child, ours


def test_a_stuck_console_ends_with_its_terminal() -> None:
    child, ours = stuck_child()
    try:
        os.close(ours)
        assert child.wait(60) == HUNG_UP
    finally:
        child.kill()
        child.wait()


def test_while_there_is_a_terminal_nothing_ends() -> None:
    child, ours = stuck_child()
    try:
        # Many looks long: the thread is the only one that could end it.
        try:
            code = child.wait(1.0)
        except subprocess.TimeoutExpired:
            code = None
        assert code is None
    finally:
        child.kill()
        child.wait()
        os.close(ours)

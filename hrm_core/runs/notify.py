"""Room `runs`: a word to the user when a run ends, alarms or has a new best: setting `notify.command`.

title + text -> the user's command with these two behind its own words, such as `notify-send TITLE TEXT`. No shell. It
runs in a session of its own under a small watcher (this module as a process), which ends it and all that it started
after `PATIENCE_S`, so whoever notifies neither waits nor cares; what it prints is dropped and how it ends is nobody's
business. Standard library only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, final

from hrm_core.runs.text import clean

PATIENCE_S: Final = 20.0
QUIET_S: Final = 60.0
TEXT_LENGTH: Final = 200
ENDS: Final = ("finished", "stopped", "failed")


def short(text: object) -> str:
    """One cleaned line of at most 200 characters. A text that began with a minus could be taken for an option."""
    line = clean(text).strip()
    line = f" {line}" if line.startswith("-") else line
    return line if len(line) <= TEXT_LENGTH else line[: TEXT_LENGTH - 1] + "…"


def notify(command: Sequence[str], title: object, text: object, patience_s: float = PATIENCE_S) -> bool:
    """Start the user's command with title and text behind it; True if it was started. Never raises, never waits."""
    if not command:
        return False
    watcher = [sys.executable, "-m", __name__, str(patience_s), *command, short(title), short(text)]
    try:
        process = subprocess.Popen(
            watcher,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
        )
        # Someone must collect it when it ends before we do, or it stays a zombie.
        threading.Thread(target=process.wait, name=f"notify-{process.pid}", daemon=True).start()
    except (OSError, ValueError, RuntimeError):  # no process, or no thread, to be had any more
        return False
    return True


@final
class Notifier:
    """Turns the events of one run into words. At most one of a kind a minute, but every end is told."""

    def __init__(
        self,
        command: Sequence[str],
        run_id: str,
        send: Callable[[Sequence[str], str, str], object] = notify,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.command = tuple(command)
        self.run_id = run_id
        self._send = send
        self._clock = clock
        self._told: dict[str, float] = {}

    def heard(self, kind: str, step: int | None, fields: Mapping[str, Any]) -> None:
        """An event of the run, as `RunWriter.event` writes it. Those that nobody waits for are passed over."""
        words = event_words(kind, step, fields)
        if words is None or not self.command:
            return
        now = self._clock()
        if kind not in ENDS and now - self._told.get(kind, -QUIET_S) < QUIET_S:
            return
        self._told[kind] = now
        title, text = words
        self._send(self.command, f"hrm: {self.run_id} {title}", text)


def event_words(kind: str, step: int | None, fields: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is said of an event: (end of the title, text); None for an event that is not told."""
    if kind in ENDS:
        return kind, f"step {step}: {fields.get('reason') or kind}"
    if kind == "alarm":
        return "alarms", f"{fields.get('name')}: {fields.get('sentence')}"
    if kind == "best":
        trivial = fields.get("trivial")
        beside = f" (best trivial {_percent(trivial)})" if isinstance(trivial, (int, float)) else ""
        return "has a new best", f"{fields.get('metric')} {_percent(fields.get('value'))}{beside} at step {step}"
    return None


def _percent(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, (int, float)) else "-"


def watch(argv: Sequence[str], patience_s: float) -> None:
    """Run a command to its end, or end it and its children when the time is over."""
    try:
        process = subprocess.Popen(list(argv), start_new_session=True)
    except (OSError, ValueError):
        return
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    watch(sys.argv[2:], float(sys.argv[1]))

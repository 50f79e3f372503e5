"""A queue that has stopped is said on every screen: in the title as long as it stands, in a toast when it happens.

Looks at the queue's file every few seconds, in a thread, and reads it only when it has changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

EVERY_S = 2.0


@final
class QueueAlarm:
    """`stopped` is why the queue of the app's runs folder has stopped, empty while it has not."""

    def __init__(self, app: ConsoleApp) -> None:
        self.app = app
        self.stopped = ""
        self.changed_ns = 0
        self.looking = False

    def start(self) -> None:
        """Look now, and from now on."""
        self.look()
        self.app.set_interval(EVERY_S, self.look)

    def look(self) -> None:
        """Ask for what the file says, unless that is under way (a slow disk)."""
        if not self.looking:
            self.looking = True
            self.app.in_background(lambda: reason(self.app.runs_dir, self.changed_ns), self.heard)

    def heard(self, found: tuple[int, str | None]) -> None:
        """The file's time, and why the queue has stopped; None: as before."""
        self.looking = False
        self.changed_ns, stopped = found
        if stopped is None or stopped == self.stopped:
            return
        self.stopped = stopped
        if stopped:
            self.app.say(f"the queue has stopped: {stopped}", bad=True)
        self.app.tell_of_runs()


def reason(runs_dir: Path, known_ns: int) -> tuple[int, str | None]:
    """(time of the queue's file, why it has stopped); None where the file has not changed since `known_ns`."""
    from hrm_core.runs.queue_store import queue_path, read_queue

    try:
        changed_ns = queue_path(runs_dir).stat().st_mtime_ns
    except OSError:
        return 0, ""
    if changed_ns == known_ns:
        return known_ns, None
    try:
        return changed_ns, read_queue(runs_dir).stopped
    except Exception:  # a damaged queue is said on its own screen
        return changed_ns, None

"""Requests to the run, as the loop takes them: between two steps all, while it waits for room only those to stop.

Training room: `control/` -> requests in their order, and why the run was asked to stop. What follows from them is the
trainer's affair.
"""

from __future__ import annotations

from typing import final

from hrm_core.runs.control import Inbox, Request
from hrm_core.runs.layout import RunFolder


@final
class Mail:
    """The inbox of one run. stop: why it was asked to stop, by a request or a signal; empty while it was not."""

    def __init__(self, layout: RunFolder) -> None:
        self.stop = ""
        self._inbox = Inbox(layout)
        self._postponed: list[Request] = []

    def take(self) -> list[Request]:
        """What has come, oldest first."""
        came, self._postponed = [*self._postponed, *self._inbox.poll()], []
        return came

    def stop_asked(self) -> str:
        """`stop`, after a look at what has come; other requests wait for `take`."""
        for request in self._inbox.poll():
            if request.kind in ("stop", "stop-now"):
                self.stop = f"{request.kind} was asked for"
            else:
                self._postponed.append(request)
        return self.stop

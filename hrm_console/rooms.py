"""The screens that can be gone to: name -> where its class is, what it is called, and the letter that jumps there.

Imported lazily, one module a screen, so that the first frame pays for the runs screen alone. No Textual here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class RoomEntry:
    """A screen of the app. `letter` is empty where it is reached from another screen only."""

    module: str
    attribute: str
    title: str
    letter: str = ""
    sentence: str = ""


ROOMS: dict[str, RoomEntry] = {
    "runs": RoomEntry("runs", "RunsScreen", "Runs", "r", "every run, live"),
    "run": RoomEntry("run", "RunScreen", "One run"),
    "launch": RoomEntry("launch", "LaunchScreen", "Launch", "n", "start or queue a new run"),
}
DIALOGS: dict[str, str] = {
    "stop": "Stopping a run",
    "help": "Help",
    "go": "Going to a screen or a pane",
}

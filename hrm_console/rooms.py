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
    "queue": RoomEntry("queue", "QueueScreen", "Queue", "q", "runs that wait for their turn"),
    "settings": RoomEntry("settings", "SettingsScreen", "Settings", "s", "colours, limits, keys"),
    "puzzles": RoomEntry("puzzles", "PuzzlesScreen", "Puzzles", "p", "predictions as grids, test by test"),
    "archive": RoomEntry("archive", "ArchiveScreen", "Archive", "a", "the bests of all runs, by any metric"),
    "compare": RoomEntry("compare", "CompareScreen", "Compare", "c", "runs held against each other, with the verdict"),
    "device": RoomEntry("device", "DeviceScreen", "Device", "d", "what GPU and host do, what slows and holds them"),
}
DIALOGS: dict[str, str] = {
    "catch": "Choosing a key",
    "save": "Saving an experiment of your own",
    "stop": "Stopping a run",
    "archive_ask": "A name or a place for a snapshot",
    "prune": "Pruning the archive",
    "run_rename": "Renaming a run",
    "run_remove": "Removing runs",
    "queue_after": "What a run of the queue waits for",
    "queue_clone": "Cloning with a change",
    "queue_remove": "Taking a run out of the queue",
    "help": "Help",
    "go": "Going to a screen or a pane",
    "pick": "Choosing charts",
}

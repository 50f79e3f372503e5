"""The thread that reads the list of all runs, so that no handler ever does; the rows of a run are following.py's.

runs folder -> `RunsRead` when something about any run changed. Woken every `tick_s` or by `poke`; a look that takes
long makes the pauses longer. At each look the folder is listed and the runs that live are looked at; ended ones, of
which there may be hundreds, take turns, so that each is looked at every ten looks, and those that were known at the
last start are not read at all.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

from textual.message import Message

from hrm_console.messages import RunsRead
from hrm_console.rows.following import Following, Tails
from hrm_console.rows.listing import RunLine, newest_first, run_line
from hrm_console.rows.summaries import Known, Signature, read_list, write_list
from hrm_core.runs.catalogue import is_run
from hrm_core.runs.heartbeat import HeartbeatWatch
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import read_run

__all__ = ["Lines", "Tails", "Watching", "run_folders", "signature_of"]

# One share of the time for reading at most, so that a slow disk or a crowded folder does not keep a core busy.
DUTY = 0.25
# Ended runs are looked at in so many parts, one part at each look.
PARTS = 10
# A run without a change in its files may still have died, stalled or come back: read again after so long.
LIVING_S, LOST_S = 1.5, 4.0
# On a slow disk the runs that have been read so far are shown, instead of none.
PATIENCE_S = 1.0
# The list of ended runs is written when it has changed, but not more often than this.
KEEP_S = 5.0


def signature_of(folder: Path) -> Signature:
    """What changes when a run's listed values may have: size and time of the files they come from."""
    files = RunFolder(folder)
    found = []
    for path in (files.status_json, files.result, files.launch_json, files.metrics, files.evaluations, files.run_json):
        try:
            state = os.stat(path)
            found.append((state.st_mtime_ns, state.st_size))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def _names(runs_dir: Path) -> list[str]:
    """What lies in the folder; nothing if there is no such folder. OSError if it is there but cannot be read."""
    try:
        return [name for name in os.listdir(runs_dir) if not name.startswith(".")]
    except FileNotFoundError:
        return []


def run_folders(runs_dir: Path) -> list[Path]:
    """The folders of runs; none if there is no such folder."""
    return [runs_dir / name for name in _names(runs_dir) if is_run(runs_dir / name)]


@final
@dataclass(slots=True)
class _Entry:
    """A run as it was last read, and when."""

    signature: Signature
    line: RunLine
    read_s: float
    part: int


@final
class Lines:
    """The runs of a folder, of which those that did not change are not read again."""

    def __init__(self, known: Known | None = None) -> None:
        self.known = known if known is not None else {}
        self._watch = HeartbeatWatch()
        self._entries: dict[Path, _Entry] = {}
        self._look = 0
        self._count = 0
        self._sorted: list[RunLine] = []

    def read(
        self, runs_dir: Path, everything: bool = True, so_far: Callable[[list[RunLine]], None] | None = None
    ) -> list[RunLine]:
        """Every run, newest first. OSError if the folder is there but cannot be read.

        everything: look at every ended run too, not only at those whose turn it is. so_far: is given the runs read up
        to now when the first look takes long.
        """
        folders = [runs_dir / name for name in _names(runs_dir)]
        changed, shown_s = False, time.monotonic()
        first = not self._entries
        for folder in folders:
            changed = self._look_at(folder, everything) or changed
            if first and so_far is not None and time.monotonic() - shown_s > PATIENCE_S:
                so_far(self._in_order())
                shown_s = time.monotonic()
        gone = set(self._entries) - set(folders)
        for folder in gone:
            del self._entries[folder]
        self._look += 1
        if changed or gone:
            self._sorted = self._in_order()
        return self._sorted

    def ended(self) -> Known:
        """What is worth being kept until the next start."""
        return {
            folder: (entry.signature, entry.line) for folder, entry in list(self._entries.items()) if entry.line.ended
        }

    def _look_at(self, folder: Path, everything: bool) -> bool:
        """Read a run again if that may be due; whether its line is another now."""
        entry = self._entries.get(folder)
        if entry is not None and entry.line.ended and not everything and entry.part != self._look % PARTS:
            return False
        if not is_run(folder):
            return self._entries.pop(folder, None) is not None
        signature, now = signature_of(folder), time.monotonic()
        if entry is None:
            kept = self.known.get(folder)
            line = kept[1] if kept is not None and kept[0] == signature else run_line(read_run(folder, self._watch))
            self._count += 1
            self._entries[folder] = _Entry(signature, line, now, self._count % PARTS)
            return True
        old = now - entry.read_s > (LOST_S if entry.line.state == "lost" else LIVING_S)
        if entry.signature == signature and (entry.line.ended or not old):
            return False
        line = run_line(read_run(folder, self._watch))
        changed = line != entry.line
        entry.signature, entry.read_s = signature, now
        entry.line = line if changed else entry.line  # the same object, so that comparing lists is quick
        return changed

    def _in_order(self) -> list[RunLine]:
        lines = [entry.line for entry in self._entries.values()]
        return sorted(lines, key=lambda line: (str(line.run_json.get("created_utc") or ""), line.run_id), reverse=True)


@final
class Watching:
    """Polls a runs folder and the followed runs, and posts what changed."""

    def __init__(self, runs_dir: Path, post: Callable[[Message], object], tick_s: float = 0.5) -> None:
        self.runs_dir = runs_dir
        self.following = Following(post, tick_s)
        self.whole: int | None = None  # how many runs the last look at the whole folder found
        self._post = post
        self._wake = threading.Condition()
        self._poked = True
        self._posted: tuple[tuple[RunLine, ...], str] | None = None
        self._lines = Lines()
        self._kept: Known = {}
        self._kept_s = 0.0
        self._leave = False
        self._thread = threading.Thread(target=self._loop, name="watching", daemon=True)

    @property
    def tick_s(self) -> float:
        """How long both threads wait between two looks; may be changed while they run."""
        return self.following.tick_s

    @tick_s.setter
    def tick_s(self, tick_s: float) -> None:
        self.following.tick_s = tick_s

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()
        self.following.start()

    def stop(self) -> None:
        """Ask the threads to end; they are not waited for, since a dead disk may hold them."""
        with self._wake:
            self._leave = True
            self._wake.notify()
        self.following.stop()

    def follow(self, *folders: Path) -> None:
        """Read the rows of these runs from now on; of one that was not followed before, from their beginning."""
        self.following.follow(*folders)

    def poke(self) -> None:
        """Look at everything at once."""
        with self._wake:
            self._poked = True
            self._wake.notify()
        self.following.poke()

    def taken(self) -> None:
        """The app has taken a batch of rows."""
        self.following.taken()

    def _loop(self) -> None:
        self._kept = read_list(self.runs_dir)
        self._lines.known = self._kept
        while not self._leave:
            began = time.monotonic()
            self._read_runs()
            spent = time.monotonic() - began
            self._keep()
            with self._wake:
                if not self._leave and not self._poked:
                    self._wake.wait(max(self.tick_s, spent / DUTY - spent))

    def _read_runs(self) -> None:
        with self._wake:
            everything, self._poked = self._poked, False
        try:
            runs = self._lines.read(self.runs_dir, everything, lambda some: self._tell(newest_first(some), ""))
            self.whole = len(runs)
            self._tell(newest_first(runs), "")
        except Exception as error:  # a thread that died of a strange file would freeze every screen without a word
            self._tell((), str(error) or type(error).__name__)

    def _tell(self, runs: tuple[RunLine, ...], trouble: str) -> None:
        found = runs, trouble
        if found != self._posted:
            self._posted = found
            self._post(RunsRead(*found))

    def _keep(self) -> None:
        """Write the list of ended runs for the next start, where it has changed."""
        now = time.monotonic()
        if now - self._kept_s < KEEP_S:
            return
        self._kept_s = now
        ended = self._lines.ended()
        if ended != self._kept:
            self._kept = ended
            write_list(self.runs_dir, ended)

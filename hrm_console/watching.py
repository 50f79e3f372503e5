"""The thread that reads run folders, so that no handler ever does.

runs folder, and the run that is looked at -> `RunsRead` when something about any run changed, `RunRead` with the
followed run's new rows. One thread, woken every `tick_s` or by `follow`; a read that takes long makes the pauses
longer. A metrics file of 100,000 rows is handed over in small batches, so that the app stays quick meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import final

from textual.message import Message

from hrm_console.feed import LOG_LINES, Batch
from hrm_console.listing import RunLine, newest_first, run_line
from hrm_console.messages import RunRead, RunsRead
from hrm_core.runs.catalogue import is_run
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import HeartbeatWatch, read_run
from hrm_core.runs.tail import JsonlTail, TextTail

Signature = tuple[tuple[int, int], ...]

BATCH_ROWS = 500
LOG_BYTES = 2**18
# One share of the time for reading at most, so that a slow disk or a crowded folder does not keep a core busy.
DUTY = 0.25
# How long the thread waits for the app to take a batch before it sends the next anyway (the app may be leaving).
TAKEN_S = 2.0


@final
class Lines:
    """The runs of a folder, of which those that have ended and did not change are not read again."""

    def __init__(self) -> None:
        self._watch = HeartbeatWatch()
        self._known: dict[Path, tuple[Signature, RunLine]] = {}

    def read(self, runs_dir: Path) -> list[RunLine]:
        """Every run, newest first. OSError if the folder is there but cannot be read."""
        known, self._known = self._known, {}
        for folder in run_folders(runs_dir):
            signature = signature_of(folder)
            line = known[folder][1] if folder in known and known[folder][0] == signature else None
            if line is None or not line.ended:
                line = run_line(read_run(folder, self._watch))
            self._known[folder] = signature, line
        lines = [line for _, line in self._known.values()]
        return sorted(lines, key=lambda line: (str(line.run_json.get("created_utc") or ""), line.run_id), reverse=True)


def run_folders(runs_dir: Path) -> list[Path]:
    """The folders of runs; none if there is no such folder."""
    try:
        names = os.listdir(runs_dir)
    except FileNotFoundError:
        return []
    return [runs_dir / name for name in names if not name.startswith(".") and is_run(runs_dir / name)]


def signature_of(folder: Path) -> Signature:
    """What changes when a run's listed values may have: size and time of the files they come from."""
    files = RunFolder(folder)
    found = []
    for path in (files.status_json, files.result, files.launch_json, files.metrics, files.evaluations, files.run_json):
        try:
            state = path.stat()
            found.append((state.st_mtime_ns, state.st_size))
        except OSError:
            found.append((0, 0))
    return tuple(found)


@final
class Tails:
    """Where reading stopped in the files of one run."""

    def __init__(self, folder: Path) -> None:
        self.files = RunFolder(folder)
        self.run_id = self.files.run_id
        self._begin()

    def _begin(self) -> None:
        self.metrics = JsonlTail(self.files.metrics)
        self.evaluations = JsonlTail(self.files.evaluations)
        self.events = JsonlTail(self.files.events)
        self.log = TextTail(self.files.log, last_bytes=LOG_BYTES)
        self.output = TextTail(self.files.output, last_bytes=LOG_BYTES)
        self.logged = False
        self.first = True

    def poll(self) -> list[Batch]:
        """What was written since the last call, in batches; nothing when all is read.

        A file that was cut or replaced begins the run again, since its curves would not fit the others'.
        """
        batch = self._read()
        if any(tail.restarts for tail in (self.metrics, self.evaluations, self.events, self.log)):
            self._begin()
            batch = self._read()
        return split(batch)

    def _read(self) -> Batch:
        batch = Batch(self.run_id, whole=self.first)
        self.first = False
        batch.metrics, batch.evaluations = self.metrics.poll(), self.evaluations.poll()
        batch.events, batch.log = self.events.poll(), self.log.poll()[-LOG_LINES:]
        self.logged = self.logged or bool(batch.log)
        if not self.logged:
            # Before its first step a run speaks of the data that it builds, or of what went wrong, only there.
            batch.log = self.output.poll()[-LOG_LINES:]
        return batch


def split(batch: Batch) -> list[Batch]:
    """One batch, with the metrics beyond the first few hundred in batches of their own."""
    if not batch:
        return []
    rest = [
        Batch(batch.run_id, metrics=batch.metrics[start : start + BATCH_ROWS])
        for start in range(BATCH_ROWS, len(batch.metrics), BATCH_ROWS)
    ]
    batch.metrics = batch.metrics[:BATCH_ROWS]
    return [batch, *rest]


@final
class Watching:
    """Polls a runs folder and posts what changed."""

    def __init__(self, runs_dir: Path, post: Callable[[Message], object], tick_s: float = 0.5) -> None:
        self.runs_dir = runs_dir
        self.tick_s = tick_s
        self._post = post
        self._wake = threading.Condition()
        self._taken = threading.Semaphore(0)
        self._wanted: tuple[Path, ...] = ()
        self._tails: dict[Path, Tails] = {}
        self._posted: tuple[tuple[RunLine, ...], str] | None = None
        self._said = ""
        self._lines = Lines()
        self._leave = False
        self._thread = threading.Thread(target=self._loop, name="watching", daemon=True)

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it is not waited for, since a dead disk may hold it."""
        with self._wake:
            self._leave = True
            self._wake.notify()

    def follow(self, *folders: Path) -> None:
        """Read the rows of these runs from now on; of one that was not followed before, from their beginning."""
        with self._wake:
            if folders != self._wanted:
                self._wanted = folders
                self._wake.notify()

    def poke(self) -> None:
        """Look at once."""
        with self._wake:
            self._wake.notify()

    def taken(self) -> None:
        """The app has taken a batch of rows."""
        self._taken.release()

    def _loop(self) -> None:
        while not self._leave:
            began = time.monotonic()
            self._read_runs()
            self._read_followed()
            spent = time.monotonic() - began
            with self._wake:
                if not self._leave and set(self._wanted) == set(self._tails):
                    self._wake.wait(max(self.tick_s, spent / DUTY - spent))

    def _read_runs(self) -> None:
        try:
            found = newest_first(self._lines.read(self.runs_dir)), ""
        except Exception as error:  # a thread that died of a strange file would freeze every screen without a word
            found = (), str(error) or type(error).__name__
        if found != self._posted:
            self._posted = found
            self._post(RunsRead(*found))

    def _read_followed(self) -> None:
        wanted = self._wanted
        self._tails = {folder: self._tails.get(folder) or Tails(folder) for folder in wanted}
        for folder, tails in list(self._tails.items()):
            while batches := self._poll(tails):
                for batch in batches:
                    if self._wanted != wanted or self._leave:
                        del self._tails[folder]  # what was not handed over is lost: from the beginning next time
                        return
                    self._post(RunRead(batch))
                    # One batch under way at a time: the app's queue never holds seconds of work before the next key.
                    self._taken.acquire(timeout=TAKEN_S)

    def _poll(self, tails: Tails) -> list[Batch]:
        try:
            return tails.poll()
        except Exception as error:  # as above
            trouble = f"cannot read {tails.files.path}: {error}"
            if trouble == self._said:
                return []
            self._said = trouble
            return [Batch(tails.run_id, log=[trouble])]

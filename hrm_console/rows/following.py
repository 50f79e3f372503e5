"""The thread that reads the rows of the runs that are looked at, so that no handler ever does.

run folders -> `RunRead` with what was added to each, in the order of its files, none left out and none twice. Several
runs take turns, so that a long one keeps none of the others waiting. When what is followed changes, the runs that stay
go on where they were. The list of all runs is read by another thread (watching.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import final

from textual.message import Message

from hrm_console.messages import RunRead
from hrm_console.rows.feed import LOG_LINES, Batch
from hrm_console.rows.metrics_reader import MetricsReader
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.tail import JsonlTail, TextTail

LOG_BYTES = 2**18
# One share of the time for reading at most, so that a file that grows fast does not keep a core busy.
DUTY = 0.25
# How long the thread waits for the app to take a batch before it sends the next anyway (the app may be leaving).
TAKEN_S = 2.0
# A run has its turn for this long when others wait for theirs.
TURN_S = 0.2
# A run that is only passed on the way down a list is not opened: where the choice has just changed, reading begins when
# the keys rest.
REST_S, JUST_S = 0.05, 0.3


@final
class Tails:
    """Where reading stopped in the files of one run."""

    def __init__(self, folder: Path) -> None:
        self.files = RunFolder(folder)
        self.run_id = self.files.run_id
        self._begin()

    def _begin(self, direct: bool = False) -> None:
        self.metrics = MetricsReader(self.files.metrics, direct)
        self.evaluations = JsonlTail(self.files.evaluations)
        self.events = JsonlTail(self.files.events)
        self.log = TextTail(self.files.log, last_bytes=LOG_BYTES)
        self.output = TextTail(self.files.output, last_bytes=LOG_BYTES)
        self.logged = False
        self.first = True

    def poll(self) -> list[Batch]:
        """What was written since the last call; nothing when all is read."""
        return list(self.read())

    def read(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Batch]:
        """What was written since the last call, batch by batch.

        A file that was cut or replaced begins the run again, since its curves would not fit the others'.
        """
        batch = self._short_files()
        restarted = any(tail.restarts for tail in (self.evaluations, self.events, self.log))
        if restarted or not self.metrics.goes_on():
            self._begin(self.metrics.direct)
            batch = self._short_files()
        if batch:
            yield batch
        share: float | None = None
        for block, share in self.metrics.read(cancelled):
            yield Batch(self.run_id, block=block, share=share)
        if share is not None and share < 1 and not self.metrics.broken:
            yield Batch(self.run_id, share=1.0)  # what is left of the file is a torn line, or no rows

    def _short_files(self) -> Batch:
        batch = Batch(self.run_id, whole=self.first)
        self.first = False
        batch.evaluations, batch.events = self.evaluations.poll(), self.events.poll()
        batch.log = self.log.poll()[-LOG_LINES:]
        self.logged = self.logged or bool(batch.log)
        if not self.logged:
            # Before its first step a run speaks of the data that it builds, or of what went wrong, only there.
            batch.log = self.output.poll()[-LOG_LINES:]
        return batch


@final
class Followed:
    """A followed run: its tails, and what of its last look is still to be handed over."""

    def __init__(self, folder: Path, cancelled: Callable[[], bool]) -> None:
        self.tails = Tails(folder)
        self.cancelled = cancelled
        self.said = ""
        self._rest: Iterator[Batch] | None = None

    def next(self) -> Batch | None:
        """The next batch; None when all that was there at this look has been given."""
        try:
            if self._rest is None:
                self._rest = self.tails.read(self.cancelled)
            batch = next(self._rest, None)
        except Exception as error:  # a thread that died of a strange file would freeze every screen without a word
            self._rest = None
            trouble = f"cannot read {self.tails.files.path}: {error}"
            if trouble == self.said:
                return None
            self.said = trouble
            return Batch(self.tails.run_id, log=[trouble])
        if batch is None:
            self._rest = None
        return batch

    def close(self) -> None:
        """Nobody wants it any more."""
        close = getattr(self._rest, "close", None)
        if close is not None:
            close()
        self._rest = None


@final
class Following:
    """Reads the runs given to `follow` and posts what was added."""

    def __init__(self, post: Callable[[Message], object], tick_s: float) -> None:
        self.tick_s = tick_s
        self._post = post
        self._wake = threading.Condition()
        self._taken = threading.Semaphore(0)
        # A folder that is let go and wanted again gets a new number: the app has forgotten its rows meanwhile.
        self._wanted: dict[Path, int] = {}
        self._count = 0
        self._changed_s = self._before_s = -JUST_S
        self._leave = False
        self._thread = threading.Thread(target=self._loop, name="following", daemon=True)

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it is not waited for, since a dead disk may hold it."""
        with self._wake:
            self._leave = True
            self._wake.notify()

    def follow(self, *folders: Path) -> None:
        """Read these runs from now on; one that was not followed until now from its beginning."""
        with self._wake:
            wanted: dict[Path, int] = {}
            for folder in folders:
                self._count += 1
                wanted[folder] = self._wanted.get(folder, self._count)
            if wanted != self._wanted:
                self._before_s, self._changed_s = self._changed_s, time.monotonic()
                self._wanted = wanted  # never changed in place: the thread looks without the lock
                self._wake.notify()

    def poke(self) -> None:
        """Look at once."""
        with self._wake:
            self._wake.notify()

    def taken(self) -> None:
        """The app has taken a batch of rows."""
        self._taken.release()

    def _loop(self) -> None:
        followed: dict[tuple[Path, int], Followed] = {}
        while not self._leave:
            began = time.thread_time()  # waiting for another process, or for the app, is no work
            self._fit(followed)
            self._turns(followed)
            spent = time.thread_time() - began
            with self._wake:
                if not self._leave and set(self._wanted.items()) == set(followed):
                    self._wake.wait(max(self.tick_s, spent / DUTY - spent))

    def _fit(self, followed: dict[tuple[Path, int], Followed]) -> None:
        """Let go of what is not wanted any more, and begin with what is new once the keys rest."""
        wanted = set(self._wanted.items())
        while wanted - set(followed) and self._changed_s - self._before_s < JUST_S and not self._leave:
            with self._wake:
                if set(self._wanted.items()) == wanted and not self._wake.wait(REST_S):
                    break
            wanted = set(self._wanted.items())
        for key in set(followed) - wanted:
            followed.pop(key).close()
        for key in [key for key in list(self._wanted.items()) if key in wanted and key not in followed]:
            followed[key] = Followed(key[0], lambda key=key: self._gone(key))  # type: ignore[misc]

    def _gone(self, key: tuple[Path, int]) -> bool:
        return self._leave or self._wanted.get(key[0]) != key[1]

    def _turns(self, followed: dict[tuple[Path, int], Followed]) -> None:
        """Hand over what was added, each run in its turn, until all is handed over or others are wanted."""
        waiting = list(followed)
        while waiting:
            for key in list(waiting):
                until = time.monotonic() + TURN_S
                while not self._gone(key):
                    batch = followed[key].next()
                    if batch is None:
                        waiting.remove(key)
                        break
                    self._hand_over(batch)
                    if time.monotonic() > until and len(waiting) > 1:
                        break
                if self._leave or set(self._wanted.items()) != set(followed):
                    return

    def _hand_over(self, batch: Batch) -> None:
        """One batch under way at a time: the app's queue never holds seconds of work before the next key."""
        while self._taken.acquire(blocking=False):
            pass
        self._post(RunRead(batch))
        self._taken.acquire(timeout=TAKEN_S)

"""What goes on during the soak: one trainer that never ends, and a queue whose short runs are stopped and resumed.

Torture room. bench -> processes in its folder, kept busy by `turn`, which never waits. The console looks at `runs/`:
the long run is there, the queue and its runs by links, since a worker on a CPU waits while a run that it did not start
goes on in its own folder. Old short runs are removed, so that what there is to hold stays the same. What is measured
meanwhile is in `soak.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs import queue
from hrm_core.runs.control import request
from hrm_core.runs.housekeeping import remove_run
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.queue_records import DONE, FAILED, HELD, RUNNING, STOPPED, WAITING, Entry
from hrm_core.runs.queue_status import ask_stop
from hrm_core.runs.queue_store import queue_folder, read_queue
from hrm_core.runs.reader import events, metrics_rows
from hrm_core.torture.bench import SMALL_RUN, Bench

LONG: Final = "long"
KEPT: Final = 6  # ended short runs
AHEAD: Final = 2  # entries that wait
# The long run. Its rows come as often as a laptop's. A console holds rows and validations of the run in sight, which is
# no leak: so there are no more of them in a soak than in some hours of a real run.
_LONG_RUN: Final = (
    "training.max_steps=100000000",
    "training.time_budget=1000h",
    "training.deterministic=false",
    "training.log_every=50",
    "schedule.warmup=100",
)
_SHARES: Final = {"checkpoint_every": 0.02, "fast_validation_every": 0.1, "full_validation_every": 0.25}


@final
class Load:
    """The processes of a soak. Use it in a `with`: everything it started has ended afterwards."""

    def __init__(self, bench: Bench, seconds: float) -> None:
        """seconds: how long the soak will be."""
        self.bench, self.seconds = bench, seconds
        self.runs, self.queued = bench.folder / "runs", bench.folder / "queued"
        self.made = self.finished = self.resumed = self.bests = self.removed = 0
        self.failures: list[str] = []
        self._asked: set[str] = set()
        self._counted: set[str] = set()
        self._worker: subprocess.Popen[bytes] | None = None
        self._long: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Load:
        for folder in (self.runs, queue_folder(self.queued)):
            folder.mkdir(parents=True, exist_ok=True)
        os.symlink(os.path.relpath(queue_folder(self.queued), self.runs), queue_folder(self.runs))
        place = ("--name", LONG, "--runs", str(self.runs), "--data", str(self.bench.data))
        spans = [f"training.{name}={max(3.0, share * self.seconds):.1f}s" for name, share in _SHARES.items()]
        self._long = self._start("long.txt", "run", "demo", *SMALL_RUN, *_LONG_RUN, *spans, *place)
        self.turn()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(UserError, OSError):
            ask_stop(self.queued, runs_too=True)
        for process in (self._worker, self._long):
            if process is not None:
                process.send_signal(signal.SIGTERM)
        for process in (self._worker, self._long):
            if process is not None:
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    @property
    def trainer(self) -> int:
        """The process of the long run. AssertionError where it has ended: the soak is worth nothing without it."""
        assert self._long is not None
        if self._long.poll() is not None:
            said = (self.bench.folder / "long.txt").read_text(errors="replace")[-400:]
            raise AssertionError(f"the long run ended by itself ({self._long.returncode}): {said}")
        return self._long.pid

    @property
    def long_bests(self) -> int:
        """How many snapshots the long run has archived."""
        with suppress(OSError):
            return len(os.listdir(RunFolder(self.runs / LONG).archive))
        return 0

    def _start(self, output: str, *words: str) -> subprocess.Popen[bytes]:
        with open(self.bench.folder / output, "ab") as file:
            return subprocess.Popen(
                self.bench.command(*words),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=self.bench.environment(),
                start_new_session=True,
            )

    def turn(self) -> None:
        """Looks after the queue: entries ahead, a worker, every second run stopped and resumed, old ones removed."""
        now = read_queue(self.queued)
        for entry in now.in_state(HELD):  # the checkout was edited meanwhile
            self._try(queue.retry, self.queued, [entry.id])
        for entry in now.in_state(RUNNING):
            self._link(entry)
            self._interrupt(entry)
        for entry in now.in_state(STOPPED):
            self._link(entry)
            if entry.run_id in self._asked:
                self._try(queue.retry, self.queued, [entry.id])
        for entry in now.in_state(DONE, FAILED):
            self._count(entry)
        for _ in range(AHEAD - len(now.in_state(WAITING))):
            self.made += 1
            name, words = f"short-{self.made:05d}", (*SMALL_RUN, f"training.seed={self.made}")
            self._try(queue.add, self.queued, "demo", words, name=name, data=str(self.bench.data))
        if self._worker is None or self._worker.poll() is not None:
            self._worker = self._start("worker.txt", "queue", "start", "--foreground", "--runs", str(self.queued))

    def _try(self, act: Callable[..., object], *words: object, **more: object) -> None:
        """What may have changed under us is tried again at the next turn; it is said."""
        try:
            act(*words, **more)
        except UserError as error:
            self.bench.say(error.message.splitlines()[0])

    def _link(self, entry: Entry) -> None:
        """The run seen from the console's folder."""
        if entry.run_id is None or not RunFolder(self.queued / entry.run_id).run_json.exists():
            return
        with suppress(FileExistsError):
            os.symlink(os.path.relpath(self.queued / entry.run_id, self.runs), self.runs / entry.run_id)

    def _interrupt(self, entry: Entry) -> None:
        """Every second run is asked to stop as soon as it has a row."""
        if entry.run_id is None or entry.run_id in self._asked or int(entry.id) % 2 == 0:
            return
        if metrics_rows(self.queued / entry.run_id):
            self._asked.add(entry.run_id)
            request(self.queued / entry.run_id, "stop")

    def _count(self, entry: Entry) -> None:
        """Counts an ended run once, and removes the oldest."""
        run_id = entry.run_id or entry.id
        if run_id in self._counted:
            return
        self._counted.add(run_id)
        self._link(entry)
        if entry.state == FAILED:
            self.failures.append(f"{run_id}: {entry.reason}")
        else:
            self.finished += 1
        kinds = [event["kind"] for event in events(self.queued / run_id)]
        self.resumed += kinds.count("resumed")
        self.bests += kinds.count("best")
        for old in sorted(self._counted)[:-KEPT]:
            self._remove(old)

    def _remove(self, run_id: str) -> None:
        self._try(queue.remove, self.queued, [run_id])
        try:
            (self.runs / run_id).unlink(missing_ok=True)
            remove_run(self.queued / run_id)
        except (UserError, OSError) as error:
            self.failures.append(f"{run_id} was not removed: {error}")
        self._counted.discard(run_id)
        self._asked.discard(run_id)
        self.removed += 1

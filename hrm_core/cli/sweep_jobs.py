"""The processes of a sweep: at most so many at once, each a run; a signal stops them all with a checkpoint.

Command-line room: planned runs -> processes `hrm run` or `hrm resume` of a back end, one outcome a run. A run that
another process is at work on (a sweep whose parent was killed) is waited for, not started twice; one whose node was
lost is taken up again. The children are sessions of their own, so that one Ctrl-C reaches them once, through here. What
runs a sweep has is `hrm_core.runs.sweeps`'s affair.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import final

from hrm_core.errors import UserError
from hrm_core.runs.backends.base import LOCAL, Backend, JobState, Order
from hrm_core.runs.backends.local import LocalBackend
from hrm_core.runs.control import request
from hrm_core.runs.launch import HRM_COMMAND
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.queue_records import Code
from hrm_core.runs.queue_turns import MOST_IN_VAIN, was_cut_off
from hrm_core.runs.reader import LIVING, lives, output_tail, read_run
from hrm_core.runs.signals import answered
from hrm_core.runs.sweeps import PlannedRun

POLL_S = 0.2
AGAIN_S = 1.0


@final
@dataclass(frozen=True)
class Outcome:
    """How a run of the sweep ended; `reason` is for those that did not finish."""

    planned: PlannedRun
    state: str
    reason: str
    seconds: float


@final
@dataclass
class _Job:
    planned: PlannedRun
    job: str | None  # None: somebody else's process, which is waited for
    began: float
    found: JobState = field(default_factory=lambda: JobState("waiting"))


@final
class SweepJobs:
    """Runs what it is given, `jobs` at once. `words_of` gives the words after `hrm run EXPERIMENT` for a new run."""

    def __init__(
        self,
        runs_dir: Path,
        jobs: int,
        words_of: Callable[[PlannedRun], Sequence[str]],
        tell: Callable[[str], None],
        ended: Callable[[Outcome], None],
        command: Sequence[str] = HRM_COMMAND,
        backend: Backend | None = None,
        code: Code | None = None,
    ) -> None:
        self.runs_dir = runs_dir
        self.jobs = jobs
        self.words_of = words_of
        self.tell = tell
        self.ended = ended
        self.command = command
        self.backend = backend or LocalBackend()
        self.code = code
        self.losses: dict[str, list[int]] = {}  # of each run the steps at which its nodes were lost
        self.signals = 0
        self._passed_on = 0

    def run(self, planned: Sequence[PlannedRun]) -> bool:
        """Runs them in order; False if a signal ended it before all were done."""
        waiting = deque(planned)
        running: list[_Job] = []
        with self._signals():
            while running or (waiting and not self.signals):
                while waiting and len(running) < self.jobs and not self.signals:
                    self._begin(waiting.popleft(), running)
                time.sleep(POLL_S)
                self._pass_signals_on(running)
                for job in list(running):
                    if not self._is_over(job):
                        continue
                    running.remove(job)
                    if self._goes_on(job):
                        self._begin(job.planned, running)
                    else:
                        self.ended(self._outcome(job))
        return not self.signals

    def _begin(self, planned: PlannedRun, running: list[_Job]) -> None:
        """Starts a run, takes it up again or waits for it; one that cannot be started is an outcome, not the end."""
        layout = RunFolder(self.runs_dir / planned.name)
        state = read_run(layout).state
        # A run whose node is lost is silent, and nobody else's.
        if lives(state) and not (state == "stalled" and planned.name in self.losses):
            self.tell(f"{planned.name} is being run already: waiting for it")
            running.append(_Job(planned, None, time.monotonic()))
            return
        ours = ["--runs", str(self.runs_dir.resolve())]
        if layout.run_json.exists():
            words = ["resume", planned.name, *ours, *_data(self.words_of(planned))]
        else:
            words = ["run", planned.experiment, *self.words_of(planned), "--name", planned.name, *ours]
        try:
            here = None if self.backend.name == LOCAL else Path.cwd()
            job = self.backend.start(Order((*self.command, *words), layout.path, here, None, self.code))
        except UserError as error:
            self.ended(Outcome(planned, "failed", error.message, 0.0))
            return
        what = "process" if self.backend.name == LOCAL else f"{self.backend.name} job"
        self.tell(f"{planned.name}: {'resumed' if words[0] == 'resume' else 'started'}, {what} {job}")
        running.append(_Job(planned, job, time.monotonic()))

    def _is_over(self, job: _Job) -> bool:
        layout = RunFolder(self.runs_dir / job.planned.name)
        if job.job is None:
            return not read_run(layout).is_live
        before, job.found = job.found, self.backend.state(job.job)
        if job.found.kind == "unknown" and before.kind != "unknown":
            self.tell(job.found.words)
        # Of a node that is lost the run may still live: it writes its checkpoint, or is out of sight only.
        lives_on = job.found.kind == "lost" and read_run(layout).state in LIVING
        return job.found.kind in ("ended", "lost") and not lives_on

    def _goes_on(self, job: _Job) -> bool:
        """Whether a run is taken up again: its node was lost, and not time after time at the same step."""
        view = read_run(self.runs_dir / job.planned.name)
        if job.found.kind != "lost" or self.signals or (view.result is not None and not was_cut_off(view)):
            return False
        steps = self.losses.setdefault(job.planned.name, [])
        steps.append(view.step or 0)
        node = f" ({job.found.where})" if job.found.where else ""
        self.tell(f"{job.planned.name}: its node{node} was lost at step {steps[-1]}: {job.found.words}")
        return len(steps) <= MOST_IN_VAIN or len(set(steps[-MOST_IN_VAIN - 1 :])) > 1

    def _outcome(self, job: _Job) -> Outcome:
        layout = RunFolder(self.runs_dir / job.planned.name)
        view = read_run(layout)
        seconds = time.monotonic() - job.began
        reason = str((view.result or {}).get("reason") or "")
        code = job.found.code or 0
        if job.found.kind == "ended" and job.found.code is None and job.found.words:
            return Outcome(job.planned, "failed", job.found.words, seconds)
        if view.state == "finished" and not code:
            return Outcome(job.planned, "finished", reason, seconds)
        said = output_tail(layout, 2)
        if code < 0:
            reason = f"killed by signal {-code}"
        elif code and said and not reason:
            reason = " ".join(line.strip() for line in said)
        state = "failed" if code and view.state in ("starting", "finished") else view.state
        return Outcome(job.planned, state, reason or (f"exit code {code}" if code else "no reason given"), seconds)

    def _pass_signals_on(self, running: Sequence[_Job]) -> None:
        """The first signal asks every run for a checkpoint and a stop; a second one ends the processes at once."""
        if self.signals <= self._passed_on:
            return
        self._passed_on = self.signals
        first = self.signals == 1
        names = ", ".join(job.planned.name for job in running)
        if running:
            self.tell(f"{'stopping, with a checkpoint' if first else 'ending at once'}: {names}")
        for job in running:
            if job.job is not None:
                self.backend.stop(job.job, at_once=not first)
            elif first:
                with suppress(UserError, OSError):
                    request(RunFolder(self.runs_dir / job.planned.name), "stop")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        last = [-AGAIN_S]

        def asked(number: int, frame: FrameType | None) -> None:
            # A terminal that goes sends two at once; only a person who asks again means it.
            if time.monotonic() - last[0] >= AGAIN_S:
                self.signals += 1
            last[0] = time.monotonic()

        with answered(asked):
            yield


def _data(words: Sequence[str]) -> list[str]:
    """The --data of the words of a new run, for taking one up again."""
    return list(words[words.index("--data") :][:2]) if "--data" in words else []

"""Room `runs`: the worker of a queue: starts what is its turn, one run a device, and ends when nothing is left to run.

Queue file -> child processes `hrm run` or `hrm resume`, sessions of their own that go on without it. There is no
daemon: killed, or after a reboot, it is started again and finds what runs. One worker a folder, by its lock. Every
change of the queue goes through `queue_store.change`; what it waits for is said in `worker.json`, what it does in
`worker.txt`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import make_folder, open_append
from hrm_core.runs.backends.base import LOCAL, Backend, JobState, Order
from hrm_core.runs.backends.local import LocalBackend
from hrm_core.runs.backends.orders import clean_jobs
from hrm_core.runs.devices import Device, claim_all, environment_of, release_all
from hrm_core.runs.launch import identity
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.locks import FileLock
from hrm_core.runs.notify import notify
from hrm_core.runs.queue_places import Surroundings, command_of, free_devices, too_few
from hrm_core.runs.queue_records import FAILED, FOR_PINS, HELD, RUNNING, WAITING, Entry, Queue
from hrm_core.runs.queue_status import BEAT_S, BEGINNING, log_path, write_status
from hrm_core.runs.queue_store import change, queue_folder, read_queue, worker_lock_path
from hrm_core.runs.queue_turns import lost, next_turn, outcome, run_state, settle, was_cut_off, why_nothing
from hrm_core.runs.reader import read_run
from hrm_core.runs.records import utc_now
from hrm_core.runs.signals import answered

AGAIN_LOOKS: Final = 5


@final
@dataclass
class _Child:
    """A run under way. `job`: its name in its back end; None: one that an earlier worker started on this machine."""

    entry: Entry
    backend: Backend
    job: str | None
    began: float


@final
class _Changed(Exception):
    """The queue is another one than when the decision was made."""


@final
class Worker:
    """`command` is what `run ...` and `resume ...` are put behind. `run` works until nothing can run any more."""

    def __init__(self, runs_dir: Path, command: Sequence[str], around: Surroundings) -> None:
        self.runs_dir = runs_dir.resolve()
        self.command = list(command)
        self.around = around
        self.children: dict[str, _Child] = {}
        self.local = LocalBackend()
        self.engines: dict[str, Backend] = {}
        self.refused: dict[str, tuple[float, str]] = {}  # engine -> until when it is not asked again, and why
        self.signalled = False
        self.words = BEGINNING
        self.since_s = time.time()
        self.beat = 0
        self.beaten = -BEAT_S
        self.looked = 0.0
        self.silent = ""  # why an engine does not answer
        self.seen: Queue | None = None
        self.state_of = run_state(self.runs_dir)

    def run(self) -> str:
        """Works; gives why it ended. UserError (exit 1): another worker does, or the queue's file is damaged."""
        make_folder(queue_folder(self.runs_dir))
        lock = FileLock(worker_lock_path(self.runs_dir), "the queue", "that worker starts what stands in it")
        with lock, answered(self._signal):
            words = "it failed"
            try:
                self._take_up()
                words = self._work()
            except (UserError, OSError) as error:
                words = f"it failed: {error}"
                raise
            finally:
                self._say(f"ended: {words}")
                for engine in self.engines.values():
                    engine.close()
                with suppress(OSError):
                    write_status(self.runs_dir, words, self.since_s, self.beat, ended=True)
        return words

    def _signal(self, number: int, frame: FrameType | None) -> None:
        self.signalled = True

    # Beginning --------------------------------------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Finds what an earlier worker began: what runs is watched again, what was cut off waits to go on."""
        self._say("began")
        clean_jobs(self.runs_dir)
        queue = change(self.runs_dir, lambda queue: replace(queue, stopped="", stop_asked=False))
        for entry in queue.in_state(RUNNING):
            if entry.job is None:
                self._settle(_Child(entry, self.local, None, time.monotonic()), watched=False)
            else:
                name, _, job = entry.job.partition(":")
                self.children[entry.id] = _Child(entry, self._backend(name), job, time.monotonic())

    def _backend(self, name: str) -> Backend:
        """This machine, or an engine, opened when it is first needed."""
        if name == LOCAL:
            return self.local
        if name not in self.engines:
            self.engines[name] = self.around.backend(name, self.runs_dir)
        return self.engines[name]

    def _settle(self, child: _Child, *, watched: bool) -> None:
        """What has become of a run that is not our child. One that is lost goes on, unless we saw it die at once."""
        entry = child.entry
        found = settle(entry, self.runs_dir)
        if found.state == RUNNING:
            self.children[entry.id] = child
            return
        self.children.pop(entry.id, None)
        lasted = (found.ended_s or time.time()) - (entry.started_s or 0.0)
        if found.state != WAITING:
            self._over(entry, found.state, found.reason, lasted)
        elif watched and lasted < self.around.quick_s:
            self._over(entry, FAILED, "its process is gone without a word", lasted)
        else:
            self._say(f"{_name(found)} {found.reason or 'had not begun'}")
            # Only what is new: the rest of the entry may have been changed since its run was first looked at.
            new = {"state": found.state, "reason": found.reason, "device": found.device}
            change(self.runs_dir, lambda queue: queue.changed(found.id, **new))

    # Working ----------------------------------------------------------------------------------------------------------

    def _work(self) -> str:
        while True:
            self._collect()
            queue = read_queue(self.runs_dir)
            if self.signalled:
                return "stopped by a signal"
            if queue.stop_asked:
                return "stopped as asked"
            if queue.stopped:
                return f"stopped: {queue.stopped}"
            hopeful = self._look(queue)
            if not hopeful and not self.children:
                return why_nothing(read_queue(self.runs_dir))
            self._heartbeat()
            time.sleep(self.around.poll_s)

    def _look(self, queue: Queue) -> bool:
        """Starts what may start; False if nothing of what waits ever could. Looks now and then, and at a change."""
        now = time.monotonic()
        if queue == self.seen and now - self.looked < self.around.look_s:
            return True
        self.seen, self.looked = queue, now
        full: dict[str, str] = {}  # back ends that take no more now -> what is waited for
        while not queue.stop_asked and not queue.stopped:
            entry, with_held, hopeful = next_turn(queue, self.state_of, lambda one: self._on(one) in full)
            if with_held != queue:
                queue = self._hold_broken(queue)
                continue
            if entry is None:
                if hopeful or self.children:
                    doing = next((said for said in full.values() if said), "") or self._under_way()
                    self._is_doing(doing or "waiting for a run that others started")
                return hopeful
            devices, words = self._place(entry)
            if words is not None:
                full[self._on(entry)] = words
            elif not self._begin(entry, devices):
                self.seen = None
            queue = read_queue(self.runs_dir)
        return True

    def _hold_broken(self, before: Queue) -> Queue:
        """Holds entries that were to run after something that has failed."""
        after = change(self.runs_dir, lambda queue: next_turn(queue, self.state_of)[1])
        for entry in after.in_state(HELD):
            if entry not in before.entries:
                self._say(f"{_name(entry)} is held: {entry.reason}")
        return after

    def _under_way(self) -> str:
        if self.silent:
            return self.silent
        names = [child.entry.run_id or "" for child in self.children.values()]
        return f"{len(names)} running: {', '.join(names)}" if names else ""

    def _on(self, entry: Entry) -> str:
        return entry.on or self.around.on

    def _place(self, entry: Entry) -> tuple[tuple[Device, ...], str | None]:
        """The devices that it may take (none: its engine's affair), or in words what is waited for."""
        if self._on(entry) == LOCAL:
            ours = {child.entry.run_id or "" for child in self.children.values()}
            devices, words = free_devices(self.around, self.runs_dir, ours, entry.gpus)
            return devices, None if devices else words
        until, words = self.refused.get(self._on(entry), (0.0, ""))
        if time.monotonic() < until:
            return (), words
        jobs = [child for child in self.children.values() if child.backend.name == self._on(entry)]
        ahead = sum(not child.entry.where for child in jobs)
        return (), "" if ahead >= self.around.settings().number("queue.ahead") else None

    # One run ----------------------------------------------------------------------------------------------------------

    def _begin(self, entry: Entry, devices: Sequence[Device]) -> bool:
        """Starts an entry's run on devices, or holds it; False if the queue has changed meanwhile. None: elsewhere."""
        differs = [*self.around.differs(entry), *(too_few(self.around, entry.gpus) if devices else [])]
        if differs:
            words = "; ".join(differs)[:600]
            self._say(f"{_name(entry)} is held: {words}")
            held = replace(entry, state=HELD, held_for=FOR_PINS, reason=words)
            change(self.runs_dir, lambda queue: queue.each(lambda one: held if one == entry else one))
            return True
        run_id, words_of = command_of(self.runs_dir, entry)
        about = {"runs": str(self.runs_dir), "run": run_id}
        if not claim_all(devices, identity(), about, self.around.claims):
            return False
        begun = replace(
            entry, state=RUNNING, reason="", run_id=run_id, fresh=False, attempts=entry.attempts + 1,
            device=",".join(device.name for device in devices) or None, started_s=time.time(), ended_s=None, job=None,
            where="",
        )  # fmt: skip

        def alter(queue: Queue) -> Queue:
            # Between looking and now somebody may have moved, held or removed it, or asked us to stop.
            first = next_turn(queue, self.state_of, lambda one: self._on(one) != self._on(entry))[0]
            if queue.stop_asked or first != entry:
                raise _Changed
            return queue.each(lambda one: begun if one.id == entry.id else one)

        try:
            change(self.runs_dir, alter)
        except _Changed:
            release_all(devices, about, self.around.claims)
            return False
        if devices:
            self._start(begun, devices, words_of, about)
        else:
            self._submit(begun, words_of)
        return True

    def _start(self, entry: Entry, devices: Sequence[Device], words: Sequence[str], about: Mapping[str, Any]) -> None:
        folder = self.runs_dir / (entry.run_id or "")
        there = Path(entry.folder) if entry.folder and os.path.isdir(entry.folder) else None
        environment = {**os.environ, **environment_of(devices)}
        try:
            job = self.local.start(Order((*self.command, *words), folder, there, environment))
        except UserError as error:
            release_all(devices, about, self.around.claims)
            self._over(entry, FAILED, error.message, 0.0)
            return
        self.children[entry.id] = _Child(entry, self.local, job, time.monotonic())
        claim_all(devices, identity(int(job)), about, self.around.claims)
        what, where = "resumed" if words[0] == "resume" else "started", ", ".join(device.label for device in devices)
        self._say(f"{_name(entry)}: {what} as {entry.run_id} on {where}, process {job}")

    def _submit(self, entry: Entry, words: Sequence[str]) -> None:
        """Hands an entry's run to its engine. One that does not take it now gets it again in a while."""
        there = Path(entry.folder) if entry.folder else None
        name = self._on(entry)
        argv, folder = (*self.command, *words), self.runs_dir / (entry.run_id or "")
        order = Order(argv, folder, there, code=self.around.code(entry), gpus=entry.gpus)
        try:
            backend = self._backend(name)
            job = backend.start(order)
        except UserError as error:
            change(self.runs_dir, lambda queue: queue.changed(entry.id, state=WAITING, attempts=entry.attempts - 1))
            until = time.monotonic() + AGAIN_LOOKS * self.around.look_s
            self.refused[name] = (until, " ".join(error.message.split()))
            return
        change(self.runs_dir, lambda queue: queue.changed(entry.id, job=f"{name}:{job}"))
        self.children[entry.id] = _Child(replace(entry, job=f"{name}:{job}"), backend, job, time.monotonic())
        what = "resumed" if words[0] == "resume" else "started"
        self._say(f"{_name(entry)}: {what} as {entry.run_id} by {name}, job {job}")

    def _collect(self) -> None:
        """Takes note of the runs that have ended. After a signal nothing is noted: the machine may be going down."""
        self.silent = ""
        # Once for all: a thousand entries take a while to read.
        queue = read_queue(self.runs_dir) if self.engines else None
        for child in list(self.children.values()):
            if self.signalled:
                return
            if child.job is None:
                self._settle(child, watched=True)
                continue
            if queue is not None and child.backend is not self.local and self._is_taken_back(child, queue):
                continue
            found = child.backend.state(child.job)
            if found.where != child.entry.where and found.where:
                self._has_begun(child, found.where)
            if found.kind == "unknown":
                self.silent = " ".join(found.words.split())
            elif found.kind == "ended":
                self._has_ended(child, found)
            elif found.kind == "lost":
                self._is_lost(child, found)

    def _is_taken_back(self, child: _Child, queue: Queue) -> bool:
        """Whether somebody held or removed an entry that waited in its engine."""
        if (there := queue.find(child.entry.id)) is not None and there.state == RUNNING:
            return False
        del self.children[child.entry.id]
        child.backend.stop(child.job or "")
        self._say(f"{_name(child.entry)}: taken back from {child.backend.name}")
        return True

    def _has_begun(self, child: _Child, where: str) -> None:
        new: dict[str, Any] = {"where": where, "started_s": time.time()}
        child.entry, child.began = replace(child.entry, **new), time.monotonic()
        change(self.runs_dir, lambda queue: queue.changed(child.entry.id, **new))
        self._say(f"{_name(child.entry)}: runs on {where}")

    def _has_ended(self, child: _Child, found: JobState) -> None:
        del self.children[child.entry.id]
        view = read_run(self.runs_dir / (child.entry.run_id or ""))
        state, reason = outcome(view, found.code)
        if found.code is None and found.words:
            state, reason = FAILED, found.words
        self._over(child.entry, state, reason, time.monotonic() - child.began)

    def _is_lost(self, child: _Child, found: JobState) -> None:
        """A node or an engine is gone. A run that still lives is waited for: it may be writing its checkpoint, and
        one whose node is merely out of sight must not be begun twice."""
        view = read_run(self.runs_dir / (child.entry.run_id or ""))
        if view.is_live and view.state != "stalled":
            return
        del self.children[child.entry.id]
        child.backend.stop(child.job or "")
        if view.result is not None and not was_cut_off(view):
            state, reason = outcome(view, None)
            self._over(child.entry, state, reason, time.monotonic() - child.began)
            return
        after = lost(child.entry, view, found.words or "no word from it")
        self._say(f"{_name(after)} {after.reason}; losses: {after.losses}")
        new = {key: value for key, value in vars(after).items() if key not in ("id", "after", "after_is_run", "pins")}
        change(self.runs_dir, lambda queue: queue.changed(after.id, **new))
        self._tell(f"{after.run_id} lost its node", after.reason)
        self.seen = None

    def _over(self, entry: Entry, state: str, reason: str, lasted_s: float) -> None:
        """An entry's run has ended. One that failed at once stops the queue: the next ones would only do the same."""
        self._say(f"{_name(entry)}: {state}{f' ({reason})' if reason else ''} after {lasted_s:.0f} s")
        stop = ""
        if state == FAILED and lasted_s < self.around.quick_s:
            stop = f"{_name(entry)} failed after {max(lasted_s, 0.0):.0f} s: {reason}"
        ended = {"state": state, "reason": reason, "ended_s": time.time(), "device": None, "job": None}

        def alter(queue: Queue) -> Queue:
            queue = queue.changed(entry.id, **ended)
            return replace(queue, stopped=stop) if stop else queue

        change(self.runs_dir, alter)
        self.seen = None
        # Of a run that left no result its trainer has told nobody.
        if stop or (state == FAILED and not RunFolder(self.runs_dir / (entry.run_id or "")).result.exists()):
            self._tell("the queue has stopped" if stop else f"{entry.run_id} is gone", stop or reason)

    # Words ------------------------------------------------------------------------------------------------------------

    def _tell(self, title: str, text: str) -> None:
        notify(self.around.settings().words("notify.command"), f"hrm: {title}", text)

    def _is_doing(self, words: str) -> None:
        if words != self.words:
            self.words, self.beaten = words, -BEAT_S
            self._say(words)

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self.beaten >= BEAT_S:
            self.beaten = now
            self.beat += 1
            with suppress(OSError):  # a full disk must not end it: the runs it watches may still be well
                write_status(self.runs_dir, self.words, self.since_s, self.beat)

    def _say(self, line: str) -> None:
        text = f"{utc_now()} {' '.join(line.split())}\n"
        with suppress(OSError), open(open_append(log_path(self.runs_dir)), "ab") as log:
            log.write(text.encode("utf-8", "replace"))
        if self.around.tell is not None:
            self.around.tell(line)


def _name(entry: Entry) -> str:
    return f"{entry.id} ({entry.experiment})"

"""Room `runs`: the worker of a queue: starts what is its turn, one run a device, and ends when nothing is left to run.

Queue file -> child processes `hrm run` or `hrm resume`, sessions of their own that go on without it. There is no
daemon: killed, or after a reboot, it is started again and finds what runs. One worker a folder, by its lock. Every
change of the queue goes through `queue_store.change`; what it waits for is said in `worker.json`, what it does in
`worker.txt`.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import make_folder, open_append
from hrm_core.runs.catalogue import list_runs
from hrm_core.runs.devices import Device, claim, devices_here, occupant, on_battery, release
from hrm_core.runs.files import integer, mapping, string
from hrm_core.runs.launch import identity, start_process
from hrm_core.runs.layout import RunFolder, new_run_id
from hrm_core.runs.locks import FileLock
from hrm_core.runs.notify import notify
from hrm_core.runs.queue_records import DONE, FAILED, FOR_PINS, HELD, RUNNING, WAITING, Entry, Queue
from hrm_core.runs.queue_status import BEAT_S, BEGINNING, log_path, write_status
from hrm_core.runs.queue_store import change, queue_folder, read_queue, worker_lock_path
from hrm_core.runs.queue_turns import next_turn, outcome, run_state, settle
from hrm_core.runs.reader import read_run
from hrm_core.runs.records import utc_now
from hrm_core.runs.signals import answered
from hrm_core.runs.snapshots import newest_first
from hrm_core.runs.user_settings import UserSettings, read_settings

QUICK_S: Final = 60.0
POLL_S: Final = 0.5
LOOK_S: Final = 2.0
NAME_MOST: Final = 64


@final
@dataclass(frozen=True)
class Surroundings:
    """What a worker asks of the machine. `differs` gives what is different from what an entry pins, a phrase each;
    `quick_s`: a run that fails sooner stops the queue; `claims`: where devices are claimed (default: the user's)."""

    differs: Callable[[Entry], Sequence[str]]
    devices: Callable[[], Sequence[Device]] = devices_here
    battery: Callable[[], bool] = on_battery
    settings: Callable[[], UserSettings] = read_settings
    claims: Path | None = None
    quick_s: float = QUICK_S
    poll_s: float = POLL_S
    look_s: float = LOOK_S
    tell: Callable[[str], None] | None = None


@final
@dataclass
class _Child:
    """A run under way: our child, or `process` None: one that an earlier worker started."""

    entry: Entry
    process: subprocess.Popen[bytes] | None
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
        self.signalled = False
        self.words = BEGINNING
        self.since_s = time.time()
        self.beat = 0
        self.beaten = -BEAT_S
        self.looked = 0.0
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
                with suppress(OSError):
                    write_status(self.runs_dir, words, self.since_s, self.beat, ended=True)
        return words

    def _signal(self, number: int, frame: FrameType | None) -> None:
        self.signalled = True

    # Beginning --------------------------------------------------------------------------------------------------------

    def _take_up(self) -> None:
        """Finds what an earlier worker began: what runs is watched again, what was cut off waits to go on."""
        self._say("began")
        queue = change(self.runs_dir, lambda queue: replace(queue, stopped="", stop_asked=False))
        for entry in queue.in_state(RUNNING):
            self._settle(_Child(entry, None, time.monotonic()), watched=False)

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
                return _why_nothing(read_queue(self.runs_dir))
            self._heartbeat()
            time.sleep(self.around.poll_s)

    def _look(self, queue: Queue) -> bool:
        """Starts what may start; False if nothing of what waits ever could. Looks now and then, and at a change."""
        now = time.monotonic()
        if queue == self.seen and now - self.looked < self.around.look_s:
            return True
        self.seen, self.looked = queue, now
        while not queue.stop_asked and not queue.stopped:
            entry, with_held, hopeful = next_turn(queue, self.state_of)
            if with_held != queue:
                queue = self._hold_broken(queue)
                continue
            if entry is None:
                if hopeful or self.children:
                    self._is_doing(self._under_way() or "waiting for a run that others started")
                return hopeful
            device, words = self._free_device()
            if device is None:
                self._is_doing(words)
                return True
            if not self._begin(entry, device):
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
        names = [child.entry.run_id or "" for child in self.children.values()]
        return f"{len(names)} running: {', '.join(names)}" if names else ""

    def _free_device(self) -> tuple[Device | None, str]:
        """A device that may take a run now, or what is waited for."""
        settings = self.around.settings()
        if settings.flag("queue.hold_on_battery") and self.around.battery():
            return None, "waiting for mains power (setting queue.hold_on_battery)"
        devices = list(self.around.devices())
        taken = {device.name: occupant(device, self.around.claims) for device in devices}
        free = [device for device in devices if taken[device.name] is None]
        rows = [row for row in taken.values() if row is not None]
        # The folder is listed only where it matters: with a device that nobody has claimed.
        strangers = self._strangers(devices, rows) if free else []
        if len(free) <= len(strangers):
            others = [row for row in rows if string(row, "runs") != str(self.runs_dir)]
            names = strangers + [string(row, "run", 80) or f"process {_pid(row)}" for row in others]
            return None, f"waiting for a free device: {', '.join(names)} runs" if names else self._under_way()
        limit = settings.number("queue.hold_above_c")
        cool = [device for device in free if not limit or (device.temperature_c or 0.0) <= limit]
        if not cool:
            hot = free[0]
            return None, f"waiting for {hot.label} to cool: {hot.temperature_c:.0f} °C, the limit is {limit:.0f}"
        return cool[0], ""

    def _strangers(self, devices: Sequence[Device], known: Sequence[Mapping[str, Any]]) -> list[str]:
        """Runs of this folder that take a device and have not claimed it: started by hand, or sharing one."""
        ours = {child.entry.run_id for child in self.children.values()} | {string(row, "run") for row in known}
        pids = {_pid(row) for row in known}
        on_gpu = devices[0].is_gpu if devices else False
        found = []
        for view in list_runs(self.runs_dir):
            elsewhere = on_gpu and string(view.run_json, "device_kind") == "cpu"
            if view.is_live and not elsewhere and view.run_id not in ours and view.pid not in pids - {None}:
                found.append(view.run_id)
        return found

    # One run ----------------------------------------------------------------------------------------------------------

    def _begin(self, entry: Entry, device: Device) -> bool:
        """Starts an entry's run on a device, or holds it; False if the queue has changed meanwhile."""
        differs = list(self.around.differs(entry))
        if differs:
            words = "; ".join(differs)[:600]
            self._say(f"{_name(entry)} is held: {words}")
            held = replace(entry, state=HELD, held_for=FOR_PINS, reason=words)
            change(self.runs_dir, lambda queue: queue.each(lambda one: held if one == entry else one))
            return True
        run_id, words_of = self._command(entry)
        about = {"runs": str(self.runs_dir), "run": run_id}
        if not claim(device, identity(), about, self.around.claims):
            return False
        begun = replace(
            entry, state=RUNNING, reason="", run_id=run_id, device=device.name, fresh=False,
            attempts=entry.attempts + 1, started_s=time.time(), ended_s=None,
        )  # fmt: skip

        def alter(queue: Queue) -> Queue:
            # Between looking and now somebody may have moved, held or removed it, or asked us to stop.
            if queue.stop_asked or next_turn(queue, self.state_of)[0] != entry:
                raise _Changed
            return queue.each(lambda one: begun if one.id == entry.id else one)

        try:
            change(self.runs_dir, alter)
        except _Changed:
            release(device, about, self.around.claims)
            return False
        self._start(begun, device, words_of, about)
        return True

    def _command(self, entry: Entry) -> tuple[str, list[str]]:
        """The run's name, and the words that begin it or take it up again."""
        data = ["--data", entry.data] if entry.data is not None else []
        ours = ["--runs", str(self.runs_dir), *data]
        run_id = None if entry.fresh else entry.run_id
        layout = RunFolder(self.runs_dir / (run_id or ""))
        if run_id is not None and layout.run_json.exists():
            if entry.source is None or newest_first(layout.checkpoints):
                return run_id, ["resume", run_id, *ours]
            run_id = None  # its first weights are in the snapshot alone: another run begins with them
        run_id = run_id or self._free_name(entry.name or new_run_id(entry.experiment))
        source = ["--from", entry.source] if entry.source is not None else []
        return run_id, ["run", entry.experiment, *entry.overrides, "--name", run_id, *ours, *source]

    def _free_name(self, name: str) -> str:
        number, found = 1, name
        while os.path.lexists(self.runs_dir / found):
            number += 1
            found = f"{name[: NAME_MOST - len(str(number)) - 1]}-{number}"
        return found

    def _start(self, entry: Entry, device: Device, words: Sequence[str], about: Mapping[str, Any]) -> None:
        folder = self.runs_dir / (entry.run_id or "")
        there = Path(entry.folder) if entry.folder and os.path.isdir(entry.folder) else None
        environment = {**os.environ, **device.environment()}
        try:
            process = start_process([*self.command, *words], folder, environment, there)
        except UserError as error:
            release(device, about, self.around.claims)
            self._over(entry, FAILED, error.message, 0.0)
            return
        self.children[entry.id] = _Child(entry, process, time.monotonic())
        claim(device, identity(process.pid), about, self.around.claims)
        what = "resumed" if words[0] == "resume" else "started"
        self._say(f"{_name(entry)}: {what} as {entry.run_id} on {device.label}, process {process.pid}")

    def _collect(self) -> None:
        """Takes note of the runs that have ended. After a signal nothing is noted: the machine may be going down."""
        for child in list(self.children.values()):
            if self.signalled:
                return
            if child.process is None:
                self._settle(child, watched=True)
            elif child.process.poll() is not None:
                del self.children[child.entry.id]
                view = read_run(self.runs_dir / (child.entry.run_id or ""))
                state, reason = outcome(view, child.process.returncode)
                self._over(child.entry, state, reason, time.monotonic() - child.began)

    def _over(self, entry: Entry, state: str, reason: str, lasted_s: float) -> None:
        """An entry's run has ended. One that failed at once stops the queue: the next ones would only do the same."""
        self._say(f"{_name(entry)}: {state}{f' ({reason})' if reason else ''} after {lasted_s:.0f} s")
        stop = ""
        if state == FAILED and lasted_s < self.around.quick_s:
            stop = f"{_name(entry)} failed after {max(lasted_s, 0.0):.0f} s: {reason}"
        ended = {"state": state, "reason": reason, "ended_s": time.time(), "device": None}

        def alter(queue: Queue) -> Queue:
            queue = queue.changed(entry.id, **ended)
            return replace(queue, stopped=stop) if stop else queue

        change(self.runs_dir, alter)
        self.seen = None
        if stop:
            notify(self.around.settings().words("notify.command"), "hrm: the queue has stopped", stop)

    # Words ------------------------------------------------------------------------------------------------------------

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


def _pid(row: Mapping[str, Any]) -> int | None:
    return integer(mapping(row, "process"), "pid")


def _why_nothing(queue: Queue) -> str:
    """Why a worker has nothing more to do."""
    held, waiting, done = (len(queue.in_state(state)) for state in (HELD, WAITING, DONE))
    if held or waiting:
        behind = f" and {waiting} wait for held ones" if waiting else ""
        return f"nothing can run: {held} {'entry is' if held == 1 else 'entries are'} held{behind}"
    return f"nothing is left to run ({done} done)" if done else "nothing is left to run"

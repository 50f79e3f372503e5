"""A stand-in for the trainer that writes real run folders, entries for it, and a worker as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from waiting import wait_for

from hrm_core.runs.devices import CPU, Device
from hrm_core.runs.locks import lock_holder
from hrm_core.runs.queue_places import Surroundings
from hrm_core.runs.queue_records import Code, Entry, Pins, Queue
from hrm_core.runs.queue_store import change, read_queue, worker_lock_path
from hrm_core.runs.queue_worker import Worker
from hrm_core.runs.user_settings import SETTINGS, UserSettings

CODE = Code("c" * 40, "", "0.1.0", "2.13.0")
PINS = Pins("0123456789abcdef", 'experiment = "EXP-00"\n', CODE)

# What it does is in the word `do=...`: finish, fail, wait (for a request or a signal), crash before there is a run,
# resume (fail at first, finish when it is taken up again).
STAND_IN = """
    import os, signal, sys, time
    from pathlib import Path
    from hrm_core.runs.control import Inbox
    from hrm_core.runs.writer import RunWriter

    words = sys.argv[1:]
    option = dict(zip(words, words[1:]))
    again = words[0] == "resume"
    folder = Path(option["--runs"]) / (words[1] if again else option["--name"])
    do = (folder / "do").read_text() if again else next(word[3:] for word in words if word.startswith("do="))
    if do == "crash":
        sys.exit("error: nothing works")
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append("signal SIGTERM"))
    writer = RunWriter.open(folder) if again else RunWriter.create(folder, "", {"experiment": words[1]})
    (folder / "do").write_text(do)
    with writer:
        writer.event("words", 0, words=words, here=os.getcwd(), gpu=os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        writer.status({"state": "running", "global_step": 1})
        inbox = Inbox(folder)
        while do == "wait" and not stop and not again:
            stop += ["by request" for request in inbox.poll() if request.kind == "stop"]
            time.sleep(0.02)
        state = "stopped" if stop else "failed" if do == "fail" or do == "resume" and not again else "finished"
        writer.status({"state": state, "global_step": 1})
        writer.result({"state": state, "step": 1, "reason": stop[0] if stop else "as told"})
    sys.exit(1 if state == "failed" else 0)
"""

WORKER = """
    import sys
    from pathlib import Path
    from hrm_core.runs.devices import Device
    from hrm_core.runs.queue_places import Surroundings
    from hrm_core.runs.queue_worker import Worker

    runs, stand_in, claims, devices, quick_s = sys.argv[1:]
    around = Surroundings(
        differs=lambda entry: [],
        devices=lambda: tuple(Device(name, name) for name in devices.split(",")),
        battery=lambda: False,
        claims=Path(claims),
        quick_s=float(quick_s),
        poll_s=0.02,
        look_s=0.1,
    )
    Worker(Path(runs), [sys.executable, stand_in], around).run()
"""


def settings_with(**values: Any) -> UserSettings:
    """The defaults, with some changed: `hold_on_battery=False`."""
    return UserSettings(
        {setting.key: values.get(setting.key.partition(".")[2], setting.default) for setting in SETTINGS}
    )


class Bench:
    """A runs folder with a queue, and what works on it."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        self.runs.mkdir()
        self.claims = folder / "claims"
        self.stand_in = folder / "stand_in.py"
        self.stand_in.write_text(textwrap.dedent(STAND_IN))
        self.worker_script = folder / "worker.py"
        self.worker_script.write_text(textwrap.dedent(WORKER))
        self.processes: list[subprocess.Popen[bytes]] = []

    def put(self, do: str, **values: Any) -> Entry:
        """An entry whose run does this, named after its number."""

        def alter(queue: Queue) -> Queue:
            number = str(queue.next_id)
            made = Entry(id=number, experiment="EXP-00", overrides=(f"do={do}",), pins=PINS, name=f"r{number}")
            entries = (*queue.entries, replace(made, **values))
            return replace(queue, entries=entries, next_id=queue.next_id + 1)

        return change(self.runs, alter).entries[-1]

    def work(
        self,
        *,
        differs: Callable[[Entry], Sequence[str]] = lambda entry: (),
        devices: Callable[[], Sequence[Device]] = lambda: (CPU,),
        battery: Callable[[], bool] = lambda: False,
        settings: Callable[[], UserSettings] = settings_with,
        quick_s: float = 0.0,
        runs: Path | None = None,
        **more: Any,
    ) -> str:
        """A worker in this process, to its end; gives why it ended. `more`: of its surroundings."""
        around = Surroundings(differs, devices, battery, settings, self.claims, quick_s, 0.02, 0.1, **more)
        return Worker(runs or self.runs, [sys.executable, str(self.stand_in)], around).run()

    def start(self, *, devices: str = "cpu", quick_s: float = 0.0, runs: Path | None = None) -> subprocess.Popen[bytes]:
        """A worker as a process of its own, at work."""
        folder = runs or self.runs
        argv = [sys.executable, str(self.worker_script), str(folder), str(self.stand_in), str(self.claims), devices]
        process = subprocess.Popen([*argv, str(quick_s)], start_new_session=True)
        self.processes.append(process)
        wait_for(lambda: lock_holder(worker_lock_path(folder)) == process.pid or process.poll() is not None)
        return process

    def states(self, runs: Path | None = None) -> dict[str, str]:
        """Number -> state of every entry."""
        return {entry.id: entry.state for entry in read_queue(runs or self.runs).entries}

    def entry(self, number: str) -> Entry:
        """The entry of this number."""
        found = read_queue(self.runs).find(number)
        assert found is not None
        return found

    def close(self) -> None:
        """Ends the workers, and the runs that they left."""
        for process in self.processes:
            process.kill()
            process.wait()
        for entry in read_queue(self.runs).entries:
            pid = lock_holder(self.runs / (entry.run_id or "none") / "lock")
            if pid:
                subprocess.run(["kill", "-9", str(pid)], check=False)

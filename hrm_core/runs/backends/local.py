"""Room `runs`: the back end `local`: a process of this machine, in a session of its own.

`Order` -> child process; its job's name is its pid. A child that an earlier process started is not known here: its run
folder says what became of it (`queue_turns.settle`).
"""

from __future__ import annotations

import subprocess
from typing import final

from hrm_core.runs.backends.base import LOCAL, Backend, JobState, Order
from hrm_core.runs.launch import start_process


@final
class LocalBackend(Backend):
    """Child processes of this one."""

    name = LOCAL

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def check(self) -> None:
        """This machine is always there."""

    def start(self, order: Order) -> str:
        """Starts it now. UserError (1) if folder or process cannot be made."""
        process = start_process(order.argv, order.folder, order.environment, order.here)
        self._children[str(process.pid)] = process
        return str(process.pid)

    def state(self, job: str) -> JobState:
        """Running, or ended with its exit code (negative: the signal)."""
        process = self._children[job]
        code = process.poll()
        return JobState("running") if code is None else JobState("ended", code)

    def stop(self, job: str, *, at_once: bool = False) -> None:
        """SIGTERM, or SIGKILL."""
        process = self._children[job]
        process.kill() if at_once else process.terminate()

    def close(self) -> None:
        """Children go on."""

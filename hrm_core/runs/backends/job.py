"""Room `runs`: the node's side of a job: looks whether it may run here, starts the command line, watches it.

Job folder + nonce -> run folder, `launched.json`, `ended.json`. `run_order` is what SLURM and Ray are given: it refuses
what cannot be right (the runs folder is not shared, the code is another one) in a sentence, then starts
`python -m hrm_core.runs.backends.job`, which starts the run and stays beside it: when the engine's process goes, its
pipe ends, and the run is stopped with a checkpoint instead of going on where nobody knows of it.
"""

from __future__ import annotations

import os
import platform
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import IO, Final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import open_append
from hrm_core.runs.backends.orders import JobFolder, read_order, sees, write_ended, write_launched
from hrm_core.runs.launch import WHERE, start_process
from hrm_core.runs.queue_pins import code_differences, code_now

GRACE_S: Final = 120.0
POLL_S: Final = 0.2
LOOK_S: Final = 5.0
WITHDRAWN: Final = "it was taken back before it began"


def run_order(place: str, nonce: str, engine: str, part: str = "") -> tuple[int | None, str]:
    """Runs a job to its end on this node; (exit code, "") or (None, why it did not begin). `part` tells two nodes of
    one machine apart."""
    folder = JobFolder(Path(place))
    why = _refusal(folder, nonce)
    if why:
        if sees(folder, nonce):
            write_ended(folder, None, cut=False, words=why)
        return None, why
    where = f"{engine}:{platform.node()}" + (f"/{part}" if part else "")
    argv = [sys.executable, "-m", "hrm_core.runs.backends.job", place, nonce, where]
    with open(open_append(folder.output), "ab") as said:
        watcher = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True)
    assert watcher.stdin is not None
    try:
        code = watcher.wait()
    except BaseException:
        # The engine wants its process back (SLURM's time is up): the run gets its time for a checkpoint.
        watcher.stdin.close()
        watcher.wait(GRACE_S)
        raise
    watcher.stdin.close()
    return code, ""


def _refusal(folder: JobFolder, nonce: str) -> str:
    """Why a job cannot run on this node, with the remedy; empty if it can."""
    node = platform.node()
    if not sees(folder, nonce):
        return (
            f"node {node} does not see this runs folder: {folder.path} is missing there, or another one. "
            "Put the runs on a file system that all nodes share, under the same path, and name it with --runs."
        )
    order = read_order(folder)
    if order is None:
        return WITHDRAWN
    differs = [] if order.code is None else code_differences(order.code, code_now())
    if differs:
        return (
            f"node {node} has other code: {'; '.join(differs)[:300]}. "
            "Install the same commit and packages on every node, or share one installation."
        )
    return ""


def watch(folder: JobFolder, where: str, engine: IO[bytes]) -> int:
    """Starts the run and waits for it; ends it where `engine` (a pipe) ends, or the order is withdrawn."""
    order = read_order(folder)
    if order is None:
        write_ended(folder, None, cut=True, words=WITHDRAWN)
        return 0
    try:
        environment = {**os.environ, WHERE: where}
        process = start_process(order.argv, order.folder, environment, order.here)
    except UserError as error:
        write_ended(folder, None, cut=False, words=error.message)
        return 1
    write_launched(folder, where, process.pid)
    left, looked, asked = "", time.monotonic(), 0.0
    while process.poll() is None:
        time.sleep(POLL_S)
        now = time.monotonic()
        if left:
            if now - asked > GRACE_S:
                process.kill()
            continue
        if select.select([engine], [], [], 0)[0] and not os.read(engine.fileno(), 1):
            left = "its engine left it"
        elif now - looked > LOOK_S:
            looked = now
            left = "it was taken back" if _is_withdrawn(folder) else ""
        if left:
            asked = now
            process.terminate()
    write_ended(folder, process.returncode, cut=bool(left), words=left)
    return process.returncode


def _is_withdrawn(folder: JobFolder) -> bool:
    """Whether the order is gone while its folder is there; a file system that does not answer withdraws nothing."""
    try:
        names = os.listdir(folder.path)
    except OSError:
        return False
    return folder.nonce.name in names and folder.order.name not in names


def main() -> None:
    """The watching process: `python -m hrm_core.runs.backends.job FOLDER NONCE WHERE`."""

    os.umask(0o077)

    def passed(number: int, frame: FrameType | None) -> None:
        """SLURM sends its signals to every process of a job: the run has it too and knows what to do."""

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, passed)
    # The word that time is nearly up is submitit's. The run inherits this; by default it would die of the signal.
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    place, _, where = sys.argv[1:4]
    code = watch(JobFolder(Path(place)), where, sys.stdin.buffer)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()

"""Room `runs`: the worker of a queue as others see it: starting it, asking it to stop, and whether it lives.

`<runs>/queue/`: `worker.lock` (held by the worker; the truth on this host), `worker.json` (what it does, a heartbeat at
least every ten seconds), `worker.txt` (its log and whatever else it printed). The worker is in `queue_worker.py`.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import explain_os_error, make_folder, open_append, write_json
from hrm_core.runs.control import request
from hrm_core.runs.files import Row, mapping, modified_s, number, read_json_object, string
from hrm_core.runs.launch import identity, same_host
from hrm_core.runs.locks import lock_holder
from hrm_core.runs.queue_records import RUNNING, Queue
from hrm_core.runs.queue_store import change, queue_folder, worker_lock_path
from hrm_core.runs.reader import text_tail
from hrm_core.runs.records import utc_now

BEAT_S: Final = 10.0
SILENT_S: Final = 60.0
BEGINNING: Final = "beginning"
_BEGIN_S: Final = 20.0
_POLL_S: Final = 0.02
_HEED_S: Final = 2.0


@final
@dataclass(frozen=True)
class WorkerView:
    """The worker at one moment. `alive`: it works; `died`: it went without saying so; `words`: what it does or why it
    ended; `since_s`: when it began, seconds since the epoch."""

    alive: bool = False
    died: bool = False
    pid: int | None = None
    words: str = ""
    since_s: float | None = None


def status_path(runs_dir: Path) -> Path:
    """What the worker says of itself."""
    return queue_folder(runs_dir) / "worker.json"


def log_path(runs_dir: Path) -> Path:
    """The worker's log."""
    return queue_folder(runs_dir) / "worker.txt"


def write_status(runs_dir: Path, words: str, since_s: float, beat: int, *, ended: bool = False) -> None:
    """The worker's word of itself. OSError if it cannot be written."""
    row: Row = {"process": identity(), "ended": ended, "words": words, "since_s": since_s, "heartbeat": beat}
    write_json(status_path(runs_dir), {**row, "time_utc": utc_now()})


def read_worker(runs_dir: Path) -> WorkerView:
    """The worker as it is now: by its lock on this host, elsewhere by the age of its heartbeat. Never raises."""
    pid = lock_holder(worker_lock_path(runs_dir))
    row = read_json_object(status_path(runs_dir))
    who = mapping(row, "process")
    said, since_s = string(row, "words", 1000) or "", number(row, "since_s")
    ended = row is None or row.get("ended") is True
    if pid is not None:
        fresh = pid == 0 or (not ended and who.get("pid") == pid)
        return WorkerView(True, False, pid, said if fresh else BEGINNING, since_s if fresh else None)
    if not ended and who and not same_host(who):
        age = time.time() - (modified_s(status_path(runs_dir)) or 0.0)
        if age < SILENT_S:
            return WorkerView(True, False, None, f"{said} (on {string(who, 'host', 60)})", since_s)
    if ended:
        return WorkerView(words=said, since_s=since_s)
    return WorkerView(died=True, words=f"it went without a word; last it said: {said}", since_s=since_s)


def last_log_lines(runs_dir: Path, count: int = 20) -> list[str]:
    """The end of the worker's log; not cleaned for a terminal."""
    return text_tail(log_path(runs_dir), count)


def start_worker(runs_dir: Path, argv: Sequence[str]) -> int | None:
    """Starts `argv`, which is to become the worker, as a session of its own; gives its pid once it works.

    None: it has ended already, since nothing can run (its log says why). UserError (exit 1): there is a worker, or it
    failed at once.
    """
    pid = lock_holder(worker_lock_path(runs_dir))
    if pid is not None:
        raise UserError(f"the queue is being worked on already (process {pid}); see `hrm queue list`.", 1)
    try:
        make_folder(queue_folder(runs_dir))
        with open(open_append(log_path(runs_dir)), "ab") as log:
            process = subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
            )
    except OSError as error:
        raise explain_os_error(error) from error
    end = time.monotonic() + _BEGIN_S
    while process.poll() is None:
        view, late = read_worker(runs_dir), time.monotonic() > end
        # One that finds nothing to run has the lock for a moment too: its first word tells.
        if view.alive and view.pid == process.pid and (view.words != BEGINNING or late):
            # Someone must collect it when it ends before we do, or it stays a zombie.
            threading.Thread(target=process.wait, name="wait-worker", daemon=True).start()
            return process.pid
        if late:
            break
        time.sleep(_POLL_S)
    if process.returncode == 0:
        return None
    said = [line.strip() for line in last_log_lines(runs_dir, 3) if line.strip()]
    words = " ".join(said[-2:])[:300].removeprefix("error: ") or "it said nothing"
    if process.returncode is None:
        process.kill()
        process.wait()
        words = f"no sign of life for {_BEGIN_S:.0f} s"
    raise UserError(f"the queue's worker did not start: {words}", 1)


def ask_stop(runs_dir: Path, *, runs_too: bool = False) -> tuple[bool, list[str]]:
    """Asks the worker to end, and with `runs_too` every run of the queue to stop at its next checkpoint.

    (whether there was a worker, the runs asked). The runs go on otherwise; a worker started later finds them.
    """
    view, end = read_worker(runs_dir), time.monotonic() + _HEED_S
    while view.alive and view.words == BEGINNING and time.monotonic() < end:
        time.sleep(_POLL_S)  # one that has just begun forgets what was asked of those before it
        view = read_worker(runs_dir)
    alive = view.alive

    def alter(queue: Queue) -> Queue:
        return replace(queue, stop_asked=True) if alive else queue

    asked: list[str] = []
    for entry in change(runs_dir, alter).in_state(RUNNING) if runs_too or alive else ():
        if runs_too and entry.run_id is not None:
            if entry.job is not None and not (runs_dir / entry.run_id).is_dir():
                from hrm_core.runs.queue import hold

                hold(runs_dir, [entry.id], "taken back while it waited")
                continue
            try:
                request(runs_dir / entry.run_id, "stop")
            except OSError as error:
                raise explain_os_error(error) from error
            asked.append(entry.run_id)
    return alive, asked

"""Reading the queue for its screen: the file, the worker, and what today's code differs in from what entries pin.

runs folder -> `Seen`, in a thread. Nothing is changed here; that is `hrm_core.runs.queue`'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from hrm_core.errors import UserError
from hrm_core.runs.queue_pins import code_differences, code_now
from hrm_core.runs.queue_records import TO_COME, Code, Queue
from hrm_core.runs.queue_status import WorkerView, read_worker
from hrm_core.runs.queue_store import read_queue

CODE_S = 5.0


@final
@dataclass(frozen=True)
class Seen:
    """The queue as it was read. `differs`: number of an entry -> what its pins and today's code differ in; `code` was
    asked at `code_s` of the monotonic clock."""

    queue: Queue = field(default_factory=Queue)
    worker: WorkerView = field(default_factory=WorkerView)
    differs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trouble: str = ""
    code: Code | None = None
    code_s: float = 0.0


def look(runs_dir: Path, before: Seen | None) -> Seen:
    """Reads the queue; git is asked every few seconds only. Called in a thread; never raises for what lies there."""
    now = time.monotonic()
    try:
        queue = read_queue(runs_dir)
    except (UserError, OSError) as error:
        return Seen(worker=read_worker(runs_dir), trouble=str(error))
    code, code_s = (before.code, before.code_s) if before is not None else (None, 0.0)
    if code is None or now - code_s > CODE_S:
        code, code_s = (code_now(), now) if queue.in_state(*TO_COME) else (code, code_s)
    known: dict[Code, tuple[str, ...]] = {}
    differs = {}
    for entry in queue.in_state(*TO_COME):
        if code is not None:
            pinned = entry.pins.code
            if pinned not in known:
                known[pinned] = tuple(code_differences(pinned, code))
            differs[entry.id] = known[pinned]
    return Seen(queue, read_worker(runs_dir), differs, "", code, code_s)

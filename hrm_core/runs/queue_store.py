"""Room `runs`: the file of the queue, `<runs>/queue/queue.json`: read whole, and changed under one short lock.

path -> `Queue`; a function Queue -> Queue -> the file replaced, so that of two who change it at once neither is lost. A
damaged file is a UserError and stays as it is. The changes that can be made are in `queue.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import ABANDONED_S, clean_leftovers, explain_os_error, make_folder, write_json
from hrm_core.runs.files import read_json_object
from hrm_core.runs.formats import refuse_newer
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.locks import lock_holder, short_lock
from hrm_core.runs.queue_records import FORMAT, Damaged, Entry, Queue, from_json, to_json
from hrm_core.runs.queue_turns import settled
from hrm_core.runs.text import clean

FOLDER: Final = "queue"


def queue_folder(runs_dir: Path) -> Path:
    """Where the queue of a runs folder lies."""
    return runs_dir / FOLDER


def queue_path(runs_dir: Path) -> Path:
    """The file of the queue; it need not exist."""
    return queue_folder(runs_dir) / "queue.json"


def worker_lock_path(runs_dir: Path) -> Path:
    """Held by the worker all its life."""
    return queue_folder(runs_dir) / "worker.lock"


def read_queue(runs_dir: Path) -> Queue:
    """The queue as it is: without a worker, entries whose run has ended meanwhile say so. UserError: damaged."""
    queue = _read(runs_dir)
    return queue if lock_holder(worker_lock_path(runs_dir)) is not None else settled(queue, runs_dir)


def _read(runs_dir: Path) -> Queue:
    path = queue_path(runs_dir)
    if not os.path.lexists(path):
        return Queue()
    row = read_json_object(path)
    refuse_newer(row, FORMAT, f"the queue's file {path}")
    try:
        if row is None:
            raise Damaged("it is no JSON object, or not what was written")
        return from_json(row)
    except Damaged as damage:
        raise UserError(
            f"the queue's file {clean(path)} is damaged: {damage}.\n"
            "Move it away and add the entries again; runs and their folders are not touched.",
            exit_code=1,
        ) from None


def change(runs_dir: Path, alter: Callable[[Queue], Queue]) -> Queue:
    """Reads, alters and replaces the queue under its lock; gives the new one. UserError in `alter`: nothing changes."""
    folder = queue_folder(runs_dir)
    if RunFolder(folder).run_json.exists():
        raise UserError(f"{clean(folder)} is a run; rename it, or choose another folder with --runs.")
    try:
        make_folder(folder)
        with short_lock(folder / "edit.lock", "the queue"):
            clean_leftovers(folder, ABANDONED_S)
            before = _read(runs_dir)
            queue = before if lock_holder(worker_lock_path(runs_dir)) is not None else settled(before, runs_dir)
            after = alter(queue)
            if after != before:
                write_json(queue_path(runs_dir), to_json(after), seal=True)
            return after
    except OSError as error:
        raise explain_os_error(error) from error


def entry_of(queue: Queue, word: str) -> Entry:
    """The entry a person means: its number, or the name of its run. UserError (2) with what there is."""
    found = queue.find(word)
    if found is None:
        found = next((entry for entry in queue.in_order if word and word in (entry.run_id, entry.name)), None)
    if found is None:
        ids = ", ".join(entry.id for entry in queue.in_order[:12])
        there = f"there are {ids}; see `hrm queue list`" if ids else "the queue is empty"
        raise UserError(f"there is no entry {clean(word[:60])!r} in the queue; {there}.")
    return found

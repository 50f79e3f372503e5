"""Room `runs`: every change that can be made to the queue of a runs folder.

Command line, console and worker all come through `queue_store.change`, so no change is lost. One that makes no sense is
a UserError and leaves the file alone. What an entry is: `queue_records.py`; whose turn it is: `queue_turns.py`; who
starts it: `queue_worker.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from hrm_core.errors import UserError
from hrm_core.runs.backends.choose import check_backend
from hrm_core.runs.backends.orders import job_folder, told, withdraw
from hrm_core.runs.catalogue import find_run
from hrm_core.runs.layout import RunFolder, check_name
from hrm_core.runs.queue_pins import code_now, pins_now
from hrm_core.runs.queue_predict import predicted_s
from hrm_core.runs.queue_records import (
    DONE,
    FAILED,
    FOR_AFTER,
    FOR_PINS,
    FOR_USER,
    HELD,
    RUNNING,
    STOPPED,
    TO_COME,
    WAITING,
    Entry,
    Queue,
)
from hrm_core.runs.queue_store import change, entry_of, read_queue
from hrm_core.runs.snapshot_names import find_snapshot
from hrm_core.runs.text import clean
from hrm_core.runs.world import refuse_whole_lane

MOST: Final = 1000


def add(
    runs_dir: Path,
    experiment: str,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    after: str | None = None,
    source: str | None = None,
    data: str | None = None,
    hold: bool = False,
    first: bool = False,
    on: str = "",
    gpus: int = 1,
) -> Entry:
    """Puts a run at the end (or the beginning) of the queue, today's recipe and code pinned. UserError as `hrm run`.

    `after`: number of an entry or name of a run; `source`: a snapshot to begin from; `data`: the data file; `on`: the
    back end it is for, empty: the worker's; `gpus`: how many of one machine it trains on together.
    """
    pins = pins_now(experiment, overrides)
    _check_gpus(experiment, overrides, gpus)
    if data is not None and not os.path.isfile(data):
        raise UserError(f"--data {clean(data)}: there is no such file; see `hrm data build`", 1)
    here = os.getcwd()
    entry = Entry(
        id="0",
        experiment=experiment,
        overrides=tuple(overrides),
        pins=pins,
        state=HELD if hold else WAITING,
        reason="held from the beginning" if hold else "",
        held_for=FOR_USER if hold else "",
        name=None if name is None else check_name(name),
        source=None if source is None else _source(runs_dir, source, after),
        data=None if data is None else os.path.abspath(data),
        folder=here,
        predicted_s=predicted_s(runs_dir, pins.recipe_toml),
        added_s=time.time(),
        on=check_backend(on) if on else "",
        gpus=gpus,
    )
    return _put(runs_dir, entry, after, first)


def _check_gpus(experiment: str, overrides: Sequence[str], gpus: int) -> None:
    """UserError (2) where what is to run cannot be spread over so many GPUs."""
    if gpus > 1:
        from hrm_core.recipe.lay import build_recipe

        refuse_whole_lane(build_recipe(experiment, overrides).recipe.techniques, gpus)


def _source(runs_dir: Path, word: str, after: str | None) -> str:
    """A snapshot as the run will be given it. One of a run that goes before need not exist yet: RUN@best is its best
    then."""
    if os.path.exists(word):
        return os.path.abspath(word)
    if after is None:
        find_snapshot(runs_dir, word)
    return word


def _put(runs_dir: Path, entry: Entry, after: str | None, first: bool = False) -> Entry:
    put: list[Entry] = []

    def alter(queue: Queue) -> Queue:
        if len(queue.entries) >= MOST:
            raise UserError(f"the queue holds {MOST} entries; `hrm queue remove --ended` takes away what is over.")
        if entry.name is not None:
            _check_free(runs_dir, queue, entry.name)
        new = replace(entry, id=str(queue.next_id))
        if after is not None:
            new = _placed_after(runs_dir, queue, new, after)
        put.append(new)
        return replace(_inserted(queue, new, 1 if first else None), next_id=queue.next_id + 1)

    change(runs_dir, alter)
    return put[0]


def _check_free(runs_dir: Path, queue: Queue, name: str) -> None:
    layout = RunFolder(runs_dir / name)
    if layout.run_json.exists() or layout.launch_json.exists():
        raise UserError(f"run {name} exists already; give another --name.")
    other = next((entry for entry in queue.entries if entry.name == name and not entry.is_over), None)
    if other is not None:
        raise UserError(f"entry {other.id} of the queue will be run {name}; give another --name.")


def _placed_after(runs_dir: Path, queue: Queue, entry: Entry, word: str) -> Entry:
    """The entry, to run after another entry or a run. UserError if there is none, or they would wait for each other."""
    other = queue.find(word) or next((one for one in queue.in_order if word in (one.run_id, one.name)), None)
    if other is None:
        try:
            before = find_run(runs_dir, word)
        except UserError as error:
            raise UserError(f"there is no entry {clean(word[:60])!r} in the queue, and {error.message}") from None
        if Path(os.path.abspath(before.path)).parent.resolve() != runs_dir.resolve():
            raise UserError(
                f"run {clean(before.path)} is not in {clean(runs_dir)}; name a run or an entry of that folder."
            )
        return replace(entry, after=check_name(before.run_id), after_is_run=True)
    walked: Entry | None = other
    while walked is not None:
        if walked.id == entry.id:
            raise UserError(f"{entry.id} cannot run after {clean(word)}: they would wait for each other.")
        walked = queue.find(walked.after) if walked.after is not None and not walked.after_is_run else None
    return replace(entry, after=other.id, after_is_run=False)


def _inserted(queue: Queue, entry: Entry, place: int | None) -> Queue:
    """The queue with an entry at a place among those to come, from 1; at its end without one."""
    rest = [one for one in queue.entries if one.id != entry.id]
    coming = [index for index, one in enumerate(rest) if one.state in TO_COME]
    at = len(rest) if place is None or place > len(coming) else coming[max(place, 1) - 1]
    rest.insert(at, entry)
    return replace(queue, entries=tuple(rest))


def move(runs_dir: Path, word: str, to: str) -> Queue:
    """Moves an entry that is to come: `up`, `down`, `first`, `last` or a place from 1."""

    def alter(queue: Queue) -> Queue:
        entry = entry_of(queue, word)
        place = queue.place_of(entry.id)
        if place is None:
            raise UserError(f"{entry.id} is {_state(entry)}: only what is to come has a place.")
        if to.isascii() and to.isdecimal() and int(to) > 0:
            wanted: int | None = int(to)
        elif to in ("up", "down", "first", "last"):
            wanted = {"up": max(place - 1, 1), "down": place + 1, "first": 1, "last": None}[to]
        else:
            raise UserError(f"{clean(to[:40])!r} is no place; write up, down, first, last or a number from 1.")
        return _inserted(queue, entry, wanted)

    return change(runs_dir, alter)


def hold(runs_dir: Path, words: Sequence[str], why: str = "") -> Queue:
    """Holds entries until they are released."""

    def alter(queue: Queue) -> Queue:
        for word in words:
            entry = entry_of(queue, word)
            if entry.state not in TO_COME and not _take_back(runs_dir, entry):
                raise UserError(f"{entry.id} is {_state(entry)}; only what is to come can be held.")
            queue = queue.changed(entry.id, state=HELD, held_for=FOR_USER, reason=why[:300] or "held by hand", job=None)
        return queue

    return change(runs_dir, alter)


def release(runs_dir: Path, words: Sequence[str]) -> Queue:
    """Lets entries run that somebody held. What the worker holds needs a decision, which the error names."""

    def alter(queue: Queue) -> Queue:
        for word in words:
            entry = entry_of(queue, word)
            if entry.state != HELD:
                raise UserError(f"{entry.id} is {_state(entry)}, not held.")
            if entry.held_for == FOR_PINS:
                raise UserError(f"{entry.id} is held: {entry.reason}.\n`hrm queue retry {entry.id}` accepts that.")
            if entry.held_for == FOR_AFTER:
                raise UserError(f"{entry.id} is held: {entry.reason}.\n`hrm queue after {entry.id} none` lets it run.")
            queue = queue.changed(entry.id, state=WAITING, held_for="", reason="")
        return queue

    return change(runs_dir, alter)


def run_after(runs_dir: Path, word: str, other: str | None) -> Queue:
    """Lets an entry run only after another entry or a run has finished; None: whenever its turn comes."""

    def alter(queue: Queue) -> Queue:
        entry = entry_of(queue, word)
        if entry.state not in TO_COME:
            raise UserError(f"{entry.id} is {_state(entry)}; only what is to come can wait for another.")
        if other is None:
            placed = replace(entry, after=None, after_is_run=False)
        else:
            placed = _placed_after(runs_dir, queue, entry, other)
        if entry.held_for == FOR_AFTER:
            placed = replace(placed, state=WAITING, held_for="", reason="")
        return queue.each(lambda one: placed if one.id == entry.id else one)

    return change(runs_dir, alter)


def retry(runs_dir: Path, words: Sequence[str], *, fresh: bool = False, everything: bool = False) -> Queue:
    """Lets failed, stopped and held entries run, with today's recipe and code; `everything`: all that wait, too.

    A run that was begun goes on from its last checkpoint; with `fresh` another is begun.
    """
    there = read_queue(runs_dir)
    known = {entry.id: entry for entry in (entry_of(there, word) for word in words)}
    if everything:
        known.update({one.id: one for one in there.in_state(*TO_COME) if one.held_for in ("", FOR_PINS)})
    code = code_now()
    pins = {entry.id: pins_now(entry.experiment, entry.overrides, code) for entry in known.values()}

    def alter(queue: Queue) -> Queue:
        # Each that is over goes to the front, so the last named goes there first: they run in the order named.
        for entry_id in reversed(known):
            entry = entry_of(queue, entry_id)
            if entry.state in (RUNNING, DONE):
                raise UserError(f"{entry.id} is {_state(entry)}; `hrm queue clone {entry.id}` makes another of it.")
            again = replace(entry, state=WAITING, held_for="", reason="", attempts=0, ended_s=None)
            again = replace(again, fresh=fresh or entry.fresh, pins=pins[entry.id], in_vain=0)
            queue = _inserted(queue, again, 1 if entry.is_over else queue.place_of(entry.id))
        return queue

    return change(runs_dir, alter)


def clone(
    runs_dir: Path, word: str, changes: Sequence[str] = (), *, name: str | None = None, hold: bool = False
) -> Entry:
    """Puts another entry like this one at the end of the queue, with changed overrides. UserError as `add`."""
    from hrm_core.recipe.my_experiments import merged_overrides

    entry = entry_of(read_queue(runs_dir), word)
    overrides = merged_overrides(entry.overrides, changes)
    pins = pins_now(entry.experiment, overrides)
    _check_gpus(entry.experiment, overrides, entry.gpus)
    new = Entry(
        id="0",
        experiment=entry.experiment,
        overrides=overrides,
        pins=pins,
        state=HELD if hold else WAITING,
        reason="held from the beginning" if hold else "",
        held_for=FOR_USER if hold else "",
        name=None if name is None else check_name(name),
        source=entry.source,
        data=entry.data,
        folder=entry.folder,
        predicted_s=predicted_s(runs_dir, pins.recipe_toml),
        added_s=time.time(),
        on=entry.on,
        gpus=entry.gpus,
    )
    return _put(runs_dir, new, None)


def remove(runs_dir: Path, words: Sequence[str], *, ended: bool = False) -> Queue:
    """Takes entries out, with `ended` all that are over; runs stay. Entries that waited for one of them are held."""

    def alter(queue: Queue) -> Queue:
        gone = [entry_of(queue, word) for word in words]
        gone_running = [entry for entry in gone if entry.state == RUNNING]
        running = next((entry for entry in gone_running if not _take_back(runs_dir, entry)), None)
        if running is not None:
            raise UserError(f"{running.id} is running; stop it first: hrm stop {running.run_id}")
        gone += [entry for entry in queue.entries if ended and entry.is_over]
        ids = {entry.id for entry in gone}
        done = {entry.id for entry in gone if entry.state == DONE}
        kept = []
        for entry in queue.entries:
            if entry.id in ids:
                continue
            if entry.after in ids and not entry.after_is_run and not entry.is_over:
                if entry.after in done:
                    entry = replace(entry, after=None)
                elif entry.state in TO_COME:
                    reason = f"{entry.after}, which it was to run after, was removed"
                    entry = replace(entry, state=HELD, held_for=FOR_AFTER, reason=reason)
            kept.append(entry)
        return replace(queue, entries=tuple(kept))

    return change(runs_dir, alter)


def _take_back(runs_dir: Path, entry: Entry) -> bool:
    """Takes a run back that waits in SLURM or Ray; False if it is none, or has begun. The worker ends its job there."""
    if entry.state != RUNNING or entry.job is None:
        return False
    folder = job_folder(runs_dir, entry.job.partition(":")[2])
    if told(folder) is not None:
        return False
    withdraw(folder)
    return True


def _state(entry: Entry) -> str:
    return {STOPPED: "over (stopped)", FAILED: "over (failed)"}.get(entry.state, entry.state)

"""Room `runs`: whose turn it is in the queue, and what has become of an entry whose run nobody watched.

`Queue` and run folders -> the entry that may start, those to be held, words for those that wait; a running entry whose
process is gone -> done, stopped, failed, or waiting to be taken up again. Decides, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

from hrm_core.runs.backends.base import LOCAL
from hrm_core.runs.files import mapping, modified_s, string
from hrm_core.runs.launch import identity
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.queue_records import (
    DONE,
    FAILED,
    FOR_AFTER,
    HELD,
    RUNNING,
    STOPPED,
    WAITING,
    Entry,
    Queue,
)
from hrm_core.runs.reader import RunView, lives, output_tail, read_run

MOST_ATTEMPTS: Final = 3
MOST_IN_VAIN: Final = 3
# The trainer's words for a stop that no request asked for: the machine went down, or somebody sent a signal.
BY_SIGNAL: Final = "signal "

RunState = Callable[[str], str | None]
"""Name of a run -> its state, None if there is no such run."""


@final
@dataclass(frozen=True)
class Turn:
    """ready: may start; broken: never will, for the reason in `words`; else it waits, `hopeless` if for a held one."""

    ready: bool = False
    broken: bool = False
    hopeless: bool = False
    words: str = ""


def run_state(runs_dir: Path) -> RunState:
    """The states of the runs in a folder, as the reader has them."""

    def state(run_id: str) -> str | None:
        layout = RunFolder(runs_dir / run_id)
        return read_run(layout).state if layout.run_json.exists() or layout.launch_json.exists() else None

    return state


def turn_of(entry: Entry, queue: Queue, state_of: RunState, seen: frozenset[str] = frozenset()) -> Turn:
    """Whether a waiting entry may start."""
    if entry.after is None:
        return Turn(ready=True)
    if entry.after_is_run:
        return _after_run(entry.after, state_of(entry.after))
    other = queue.find(entry.after)
    if other is None:
        return Turn(broken=True, words=f"{entry.after}, which it was to run after, is not in the queue any more")
    name = f"{other.id} ({other.experiment})"
    if other.state == DONE:
        return Turn(ready=True)
    if other.state in (FAILED, STOPPED):
        return Turn(broken=True, words=f"{name}, which it was to run after, has {_has(other.state)}")
    if other.state == HELD or other.id in seen:
        return Turn(hopeless=True, words=f"waits for {name}, which is held")
    if other.state == WAITING:
        before = turn_of(other, queue, state_of, seen | {entry.id})
        return Turn(hopeless=before.hopeless or before.broken, words=f"waits for {name}")
    return Turn(words=f"waits for {name}, which is running")


def _has(state: str) -> str:
    return "been stopped" if state == STOPPED else "failed"


def _after_run(run_id: str, state: str | None) -> Turn:
    if state == "finished":
        return Turn(ready=True)
    if lives(state):
        return Turn(words=f"waits for run {run_id}, which is {state}")
    words = "is not there any more" if state is None else f"is {state}"
    return Turn(broken=True, words=f"run {run_id}, which it was to run after, {words}")


def next_turn(
    queue: Queue, state_of: RunState, passed: Callable[[Entry], bool] = lambda entry: False
) -> tuple[Entry | None, Queue, bool]:
    """(the first entry that may start and is not passed over, the queue with broken ones held, whether waiting can
    bring anything)."""
    first: Entry | None = None
    hopeful = False
    while True:
        turns = {entry.id: turn_of(entry, queue, state_of) for entry in queue.in_state(WAITING)}
        broken = {entry_id: turn for entry_id, turn in turns.items() if turn.broken}
        if not broken:
            break
        for entry_id, turn in broken.items():
            queue = queue.changed(entry_id, state=HELD, held_for=FOR_AFTER, reason=turn.words)
    for entry in queue.in_state(WAITING):
        turn = turns[entry.id]
        hopeful = hopeful or turn.ready or not turn.hopeless
        first = entry if first is None and turn.ready and not passed(entry) else first
    return first, queue, hopeful


def last_words(view: RunView) -> str:
    """Why a run ended: what its result says, else the last lines of what its process printed."""
    said = string(view.result, "reason", 300)
    if said:
        return said
    lines = [line.strip() for line in output_tail(view.folder, 8) if line.strip()]
    for place, line in enumerate(lines):
        if line.startswith("error: "):
            return " ".join(lines[place:]).removeprefix("error: ")[:300]
    return " ".join(lines[-2:])[:300]


def ended_at_s(view: RunView) -> float | None:
    """When a run ended, by its files: seconds since the epoch."""
    layout = RunFolder(view.folder)
    known = [modified_s(path) for path in (layout.result, layout.status_json, layout.output, layout.launch_json)]
    return max((found for found in known if found is not None), default=None)


def outcome(view: RunView, code: int | None) -> tuple[str, str]:
    """(state of the entry, reason) of a run whose process ended; `code` is its exit code, None where nobody saw it."""
    words = last_words(view)
    if view.state == "finished" and not code:
        return DONE, ""
    if view.state == "stopped":
        return STOPPED, words
    if code is not None and code < 0:
        hint = " (the machine may be out of memory)" if code == -9 else ""
        return FAILED, f"killed by signal {-code}{hint}"
    if view.state == "failed" and words:
        return FAILED, words
    return FAILED, words or (f"exit code {code}, without a word" if code is not None else "it ended without a word")


def was_cut_off(view: RunView) -> bool:
    """Whether a run was stopped by a signal, which no person's request is."""
    return view.state == "stopped" and last_words(view).startswith(BY_SIGNAL)


def settled(queue: Queue, runs_dir: Path) -> Queue:
    """The queue as it is in truth while no worker looks after it: entries whose run ended meanwhile say so."""
    return queue.each(lambda entry: settle(entry, runs_dir) if entry.state == RUNNING else entry)


def settle(entry: Entry, runs_dir: Path) -> Entry:
    """A running entry by what its run's folder says. One that was cut off waits to be taken up again."""
    again = replace(entry, state=WAITING, device=None, where="")
    layout = RunFolder(runs_dir / (entry.run_id or ""))
    if entry.run_id is None or not (layout.run_json.exists() or layout.launch_json.exists()):
        return again if entry.job is None else entry
    view = read_run(layout)
    # What is not over by its own files, SLURM or Ray know: the worker asks them.
    if view.is_live or (entry.job is not None and (view.result is None or was_cut_off(view))):
        return entry
    ended_s = ended_at_s(view)
    if was_cut_off(view):
        return replace(again, reason=f"cut off at step {view.step or 0} by a {last_words(view)}; goes on from there")
    if view.state == "lost":
        known = string(mapping(view.status or view.run_json, "process"), "boot_id")
        rebooted = known not in (None, "", identity()["boot_id"])
        if rebooted or entry.attempts < MOST_ATTEMPTS:
            cut = "the machine went down" if rebooted else "its process is gone"
            return replace(again, reason=f"{cut} at step {view.step or 0}; goes on from its last checkpoint")
        words = f"its process was gone {entry.attempts} times without a word; see `hrm tail {entry.run_id}`"
        return replace(entry, state=FAILED, reason=words, ended_s=ended_s, device=None)
    state, reason = outcome(view, None)
    return replace(entry, state=state, reason=reason, ended_s=ended_s, device=None)


def lost(entry: Entry, view: RunView, words: str) -> Entry:
    """A running entry whose node is gone under it: it waits to be taken up again, the loss counted. One that does not
    get any further from loss to loss has failed: it may be what ends the nodes."""
    step = view.step or 0
    in_vain = 1 if step > entry.lost_at else entry.in_vain + 1
    again = replace(entry, job=None, device=None, losses=entry.losses + 1, in_vain=in_vain, lost_at=step)
    node = f" ({entry.where})" if entry.where else ""
    if in_vain > MOST_IN_VAIN:
        reason = f"{in_vain} nodes were lost under it at step {step}, the last{node}: {words}"
        return replace(again, state=FAILED, reason=reason[:300], ended_s=ended_at_s(view))
    reason = f"its node{node} was lost at step {step}: {words}; goes on from its last checkpoint"
    return replace(again, state=WAITING, reason=reason[:300])


def any_elsewhere(queue: Queue) -> bool:
    """Whether anything in the queue is not for this machine, so that lists say where."""
    return any(entry.where or entry.job or entry.on not in ("", LOCAL) for entry in queue.entries)


def where_words(entry: Entry) -> str:
    """Where it runs or ran, else where it waits or is to run; and how many nodes were lost under it."""
    engine = (entry.job or "").partition(":")[0]
    words = entry.where or (f"waits in {engine}" if engine else entry.on)
    return words + (f", {entry.losses} lost" if entry.losses else "")


def why_nothing(queue: Queue) -> str:
    """Why a worker has nothing more to do."""
    held, waiting, done = (len(queue.in_state(state)) for state in (HELD, WAITING, DONE))
    if held or waiting:
        behind = f" and {waiting} wait for held ones" if waiting else ""
        return f"nothing can run: {held} {'entry is' if held == 1 else 'entries are'} held{behind}"
    return f"nothing is left to run ({done} done)" if done else "nothing is left to run"

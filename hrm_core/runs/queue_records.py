"""Room `runs`: what stands in the queue, `<runs>/queue/queue.json`: entries in their order, and what they pin.

JSON object <-> `Queue` of frozen `Entry`s; nothing is read or written here. An entry that is not what was written makes
the whole file damaged: leaving it out would lose it at the next edit. Edits are in `queue.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, final

from hrm_core.errors import UserError
from hrm_core.runs.files import Row, integer, items, mapping, number, string
from hrm_core.runs.layout import check_name

FORMAT: Final = 1
WAITING, HELD, RUNNING, DONE, STOPPED, FAILED = "waiting", "held", "running", "done", "stopped", "failed"
STATES: Final = (WAITING, HELD, RUNNING, DONE, STOPPED, FAILED)
OVER: Final = (DONE, STOPPED, FAILED)
TO_COME: Final = (WAITING, HELD)
FOR_USER, FOR_PINS, FOR_AFTER = "user", "pins", "after"
MOST_GPUS: Final = 1024
_BACKENDS: Final = re.compile(r"local|slurm|ray", re.ASCII)
_JOB: Final = re.compile(r"(slurm|ray):[A-Za-z0-9][A-Za-z0-9._-]{0,120}", re.ASCII)


@final
class Damaged(Exception):
    """Raised for a queue file that is not what was written, with a phrase."""


@final
@dataclass(frozen=True)
class Code:
    """The code that would run: commit of the checkout, digest of what differs from it (both None outside a checkout,
    the digest empty where nothing differs), our version and torch's."""

    commit: str | None
    dirty: str | None
    version: str | None
    torch: str | None


@final
@dataclass(frozen=True)
class Pins:
    """What an entry was made for: the recipe as it was laid then, and the code."""

    recipe_hash: str
    recipe_toml: str
    code: Code


@final
@dataclass(frozen=True)
class Entry:
    """One run to be. `after` names an entry, or a run where `after_is_run`; `reason` says why it is held or failed.

    id: digits, never used twice; source: the snapshot that it begins from; folder: where `hrm run` is called;
    name: wanted for the run, run_id: the run it has become; fresh: a retry begins anew; held_for: FOR_USER, FOR_PINS or
    FOR_AFTER; attempts: how often a process was started; predicted_s: what the like took; times in seconds since the
    epoch. on: the back end it is for, empty: the worker's; job: what SLURM or Ray runs for it (`ray:NAME`), where: on
    which node; losses: nodes lost under it, in_vain: how many since its step lost_at without any getting further;
    gpus: how many it trains on together.
    """

    id: str
    experiment: str
    overrides: tuple[str, ...]
    pins: Pins
    state: str = WAITING
    reason: str = ""
    held_for: str = ""
    after: str | None = None
    after_is_run: bool = False
    name: str | None = None
    source: str | None = None
    data: str | None = None
    folder: str = ""
    run_id: str | None = None
    device: str | None = None
    fresh: bool = False
    attempts: int = 0
    predicted_s: float | None = None
    added_s: float = 0.0
    started_s: float | None = None
    ended_s: float | None = None
    on: str = ""
    job: str | None = None
    where: str = ""
    losses: int = 0
    in_vain: int = 0
    lost_at: int = 0
    gpus: int = 1

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.state in OVER


@final
@dataclass(frozen=True)
class Queue:
    """The entries in their order. `stopped`: why the worker stopped by itself; `stop_asked`: somebody wants it to."""

    entries: tuple[Entry, ...] = ()
    next_id: int = 1
    stopped: str = ""
    stop_asked: bool = False

    def find(self, entry_id: str | None) -> Entry | None:
        """The entry of this id, if there is one."""
        return next((entry for entry in self.entries if entry.id == entry_id), None)

    def in_state(self, *states: str) -> tuple[Entry, ...]:
        """Those in one of these states, in order."""
        return tuple(entry for entry in self.entries if entry.state in states)

    @property
    def in_order(self) -> tuple[Entry, ...]:
        """As lists show it: what runs, what is to come, then what is over, the newest first."""
        over = sorted(self.in_state(*OVER), key=lambda entry: (entry.ended_s or 0.0, int(entry.id)), reverse=True)
        return (*self.in_state(RUNNING), *self.in_state(*TO_COME), *over)

    def place_of(self, entry_id: str) -> int | None:
        """Its place among those to come, from 1."""
        ids = [entry.id for entry in self.in_state(*TO_COME)]
        return ids.index(entry_id) + 1 if entry_id in ids else None

    def changed(self, entry_id: str, **values: Any) -> Queue:
        """With values of one entry replaced."""
        return self.each(lambda entry: replace(entry, **values) if entry.id == entry_id else entry)

    def each(self, change: Callable[[Entry], Entry]) -> Queue:
        """With every entry changed."""
        return replace(self, entries=tuple(change(entry) for entry in self.entries))


def to_json(queue: Queue) -> Row:
    """What is written."""
    return {"format": FORMAT, **asdict(queue)}


def _strings(row: object, key: str) -> tuple[str, ...]:
    found = items(row, key)
    if not all(isinstance(part, str) for part in found):
        raise Damaged(f"{key} holds something else than words")
    return tuple(found)


def _name(row: object, key: str) -> str | None:
    """A name of a run, which becomes a part of paths."""
    found = string(row, key)
    try:
        return None if found is None else check_name(found)
    except UserError:
        raise Damaged(f"{key} is no name of a run") from None


def _word(row: object, key: str, form: re.Pattern[str]) -> str | None:
    """A back end, or a job of one, which becomes a part of paths."""
    found = string(row, key)
    if found and form.fullmatch(found) is None:
        raise Damaged(f"{key} is no word of ours")
    return found or None


def _gpus(row: object) -> int:
    """1 where an older version wrote none."""
    found = integer(row, "gpus")
    if found is not None and not 1 <= found <= MOST_GPUS:
        raise Damaged("gpus is no number of GPUs")
    return found or 1


def _pins(row: Row) -> Pins:
    code = mapping(row, "code")
    hashed, toml = string(row, "recipe_hash"), string(row, "recipe_toml", 2**20)
    if hashed is None or toml is None:
        raise Damaged("an entry pins no recipe")
    return Pins(hashed, toml, Code(*(string(code, field.name) for field in fields(Code))))


def _entry(row: object) -> Entry:
    entry_id, experiment, state = string(row, "id"), string(row, "experiment"), string(row, "state")
    is_number = entry_id is not None and entry_id.isascii() and entry_id.isdecimal() and len(entry_id) <= 18
    if not is_number or not experiment or state not in STATES:
        raise Damaged("an entry has no id, experiment or state")
    assert entry_id is not None and state is not None
    return Entry(
        id=entry_id,
        experiment=experiment,
        overrides=_strings(row, "overrides"),
        pins=_pins(mapping(row, "pins")),
        state=state,
        reason=string(row, "reason") or "",
        held_for=string(row, "held_for") or "",
        after=_name(row, "after"),
        after_is_run=isinstance(row, dict) and row.get("after_is_run") is True,
        name=_name(row, "name"),
        source=string(row, "source"),
        data=string(row, "data"),
        folder=string(row, "folder") or "",
        run_id=_name(row, "run_id"),
        device=string(row, "device"),
        fresh=isinstance(row, dict) and row.get("fresh") is True,
        attempts=integer(row, "attempts") or 0,
        predicted_s=number(row, "predicted_s"),
        added_s=number(row, "added_s") or 0.0,
        started_s=number(row, "started_s"),
        ended_s=number(row, "ended_s"),
        on=_word(row, "on", _BACKENDS) or "",
        job=_word(row, "job", _JOB),
        where=string(row, "where", 200) or "",
        losses=integer(row, "losses") or 0,
        in_vain=integer(row, "in_vain") or 0,
        lost_at=integer(row, "lost_at") or 0,
        gpus=_gpus(row),
    )


def from_json(row: Row) -> Queue:
    """What was written, of our format or an older one. Damaged for anything else."""
    entries = tuple(_entry(part) for part in items(row, "entries"))
    ids = [int(entry.id) for entry in entries]
    if len(set(ids)) != len(ids):
        raise Damaged("two entries have one id")
    return Queue(
        entries=entries,
        next_id=max([integer(row, "next_id") or 1, *(found + 1 for found in ids)]),
        stopped=string(row, "stopped") or "",
        stop_asked=row.get("stop_asked") is True,
    )

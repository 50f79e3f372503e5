"""Room `runs`: how many rows a run had written, and which of them are gone.

Every row has its crc, but rows cut off exactly between two lines leave no trace in their file. So `meta.json` of a
checkpoint, and `result.json`, hold `rows`: for each file how many rows were on the disk before, and the step of the
last. Those against what is there -> `Missing`. What came after the newest checkpoint may be lost with the power; it is
not asked for, nor is anything where `rows` is not there (an older version wrote it).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from hrm_core.runs.files import Row, integer, mapping, read_json_object, string
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.snapshots import newest_first, read_meta
from hrm_core.runs.tail import JsonlTail, LineTail

ROWS: Final = "rows"
METRICS, EVALUATIONS, EVENTS = "metrics.jsonl", "evaluations.jsonl", "events.jsonl"
# What tells the rows of a file apart: of those with the same key the last one counts. Of events every line counts.
KEYS: Final[dict[str, tuple[str, ...]]] = {METRICS: ("step",), EVALUATIONS: ("step", "kind", "split", "weights")}
_TRIES: Final = 20
_MOST_AT_A_STEP: Final = 1000  # of a file that nobody here wrote

Key = tuple[Any, ...]


@final
@dataclass(frozen=True)
class Missing:
    """Rows of one file that were on the disk and are not there now: `missing` of `of`, the last of them at step
    `until` (None for events). `at_end`: all after step `after`, which is None where no row is left."""

    file: str
    missing: int
    of: int
    until: int | None = None
    at_end: bool = False
    after: int | None = None

    @property
    def sentence(self) -> str:
        """In words."""
        begin = f"{self.file}: {self.missing} of {self.of} rows are missing"
        if self.until is None:
            return begin
        if not self.at_end:
            return f"{begin}, from before step {self.until}"
        return begin + ("" if self.after is None else f", after step {self.after}") + f", up to step {self.until}"


def key_of(row: object, names: Sequence[str]) -> Key | None:
    """What tells a row apart, None where it has no step."""
    step = integer(row, "step")
    return None if step is None else (step, *(string(row, name, 100) for name in names[1:]))


@final
class Counted:
    """Counts rows as they come, one with the key of another at the same step only once."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self.rows = 0
        self.step: int | None = None
        self._at_step: set[Key] = set()
        for key in keys:
            self.add(key)

    def add(self, key: Key) -> None:
        """One row more; its step comes first in the key."""
        if key[0] != self.step:
            self.step, self._at_step = key[0], set()
        self.rows += key not in self._at_step
        if len(self._at_step) < _MOST_AT_A_STEP:
            self._at_step.add(key)

    def to_json(self) -> Row:
        """As it stands in `rows`."""
        return {"rows": self.rows, "step": self.step}


@final
class Written:
    """The counts of a run's one writer. Of files that held rows before it began nothing is known until they are cut."""

    def __init__(self, layout: RunFolder) -> None:
        self.events_found = self._events = count_lines(layout)
        files = {METRICS: layout.metrics, EVALUATIONS: layout.evaluations}
        self._counted = {name: Counted() for name, path in files.items() if path.stat().st_size == 0}

    def add(self, name: str, row: object) -> None:
        """A row has been appended."""
        counted, key = self._counted.get(name), key_of(row, KEYS[name])
        if counted is not None and key is not None:
            counted.add(key)

    def add_event(self) -> None:
        """An event has been appended."""
        self._events += 1

    def cut(self, name: str, kept: Iterable[Key]) -> None:
        """A file has these rows now."""
        self._counted[name] = Counted(kept)

    def rows(self) -> Row:
        """What a checkpoint holds as `rows`."""
        return {**{name: one.to_json() for name, one in self._counted.items()}, EVENTS: {"rows": self._events}}

    def found(self) -> Row:
        """The rows but without the events of this writer."""
        return {**self.rows(), EVENTS: {"rows": self.events_found}}


def count_lines(layout: RunFolder) -> int:
    """Whole lines of events.jsonl that are not blank, damaged ones too."""
    tail, count = LineTail(layout.events), 0
    while lines := tail.poll():
        count += sum(bool(line.strip()) for line in lines)
    return count + tail.skipped


def lacking(wanted: object, there: object) -> list[Missing]:
    """What `there` has fewer of than `wanted`, both `rows`. A file that one of them does not know is left out."""
    found = []
    for name in (METRICS, EVALUATIONS, EVENTS):
        number, have = integer(mapping(wanted, name), "rows"), integer(mapping(there, name), "rows")
        if number is None or have is None or have >= number:
            continue
        until, last = integer(mapping(wanted, name), "step"), integer(mapping(there, name), "step")
        at_end = until is not None and (last is None or last < until)
        found.append(Missing(name, number - have, number, until, at_end, last if at_end else None))
    return found


def wanted_rows(layout: RunFolder, result: Row | None) -> Row:
    """`rows` of the result, else of the newest checkpoint whose meta.json can be read; empty if there is none."""
    rows = mapping(result, ROWS)
    if rows:
        return rows
    metas = (read_meta(folder) for folder in newest_first(layout.checkpoints))
    return mapping(next((meta for meta in metas if meta is not None), None), ROWS)


def ends_early(layout: RunFolder, result: Row | None, metrics: Row | None, evaluation: Row | None) -> str:
    """A sentence where the last rows of metrics and evaluations are not the last that were on the disk, else "". A look
    at the last rows only; rows missing before them are found by `look_through`."""
    wanted, said = wanted_rows(layout, result), []
    for name, path, row in ((METRICS, layout.metrics, metrics), (EVALUATIONS, layout.evaluations, evaluation)):
        until, last = integer(mapping(wanted, name), "step"), integer(row, "step")
        if until is None or (last is not None and last >= until) or (row is None and _size(path)):
            continue
        said.append(f"{name} is empty" if last is None else f"{name} ends at step {last}")
        said[-1] += f" and went up to step {until}"
    return "; ".join(said) + "." if said else ""


def _size(path: Path) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return 0


@final
@dataclass(frozen=True)
class Lines:
    """What lies in the files of rows: lines that are none, by file, what is missing, and whether that can be said."""

    damaged: dict[str, int]
    missing: list[Missing]
    known: bool


def look_through(layout: RunFolder) -> Lines:
    """Reads every row of a run. One that goes back to a checkpoint meanwhile is read anew."""
    found = Lines({}, [], False)
    for _ in range(_TRIES):
        wanted = wanted_rows(layout, read_json_object(layout.result))
        found = _look_through(layout, wanted)
        if not found.missing or wanted_rows(layout, read_json_object(layout.result)) == wanted:
            break
    return found


def _look_through(layout: RunFolder, wanted: Row) -> Lines:
    damaged: dict[str, int] = {}
    there: Row = {}
    for name, path in ((METRICS, layout.metrics), (EVALUATIONS, layout.evaluations), (EVENTS, layout.events)):
        tail, counted, lines = JsonlTail(path), Counted(), 0
        until = integer(mapping(wanted, name), "step")
        while rows := tail.poll():
            lines += len(rows)
            keys = (key_of(row, KEYS.get(name, ())) for row in rows)
            for key in keys:
                if key is not None and until is not None and key[0] <= until:
                    counted.add(key)
        if tail.damaged:
            damaged[name] = tail.damaged
        # Of events damaged ones count too, as they did when they were counted (`count_lines`).
        there[name] = counted.to_json() if name in KEYS else {"rows": lines + tail.damaged}
    return Lines(damaged, lacking(wanted, there), bool(wanted))

"""A run's rows for other tools: CSV, or TensorBoard's event files; after the run, or live beside it.

Interchange room: a run folder -> FOLDER/metrics.csv and evaluations.csv, or FOLDER/events.out.tfevents.*. Read through
the run's own tails: a row that is damaged is passed over and counted, and where a run went back, what it does again
replaces what was written. Nothing here runs inside the training loop.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import open_append, write_all, write_bytes
from hrm_core.runs.files import Row, string
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.tail import JsonlTail
from hrm_core.runs.text import clean

Form = Literal["csv", "tensorboard"]
Value = float | int | str | bool
MOST_LISTED: Final = 128  # numbers of a list that become columns
DEEPEST: Final = 6
LEFT_OUT: Final = frozenset({"alarms", "notes", "crc"})


def flat(row: Row, before: str = "", depth: int = 0) -> Iterator[tuple[str, Value | None]]:
    """Every number, word and gap of a row under its dotted name: metrics.exact, halting.histogram.3."""
    for key, value in row.items():
        name = f"{before}{clean(key)[:100]}"
        if key in LEFT_OUT:
            continue
        if isinstance(value, dict) and depth < DEEPEST:
            yield from flat(value, f"{name}.", depth + 1)
        elif isinstance(value, list) and len(value) <= MOST_LISTED:
            numbered = {str(place): item for place, item in enumerate(value) if not isinstance(item, (list, dict, str))}
            yield from flat(numbered, f"{name}.", depth + 1)
        elif value is None or isinstance(value, (bool, int, float, str)):
            yield name, value


def cell(value: Value | None) -> str:
    """A value as a cell. Words that a spreadsheet would take for a formula get an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, str):
        text = clean(value)
        return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
    return str(int(value)) if isinstance(value, bool) else repr(value)


@final
@dataclass
class _Table:
    """One CSV file: its columns, and the rows so far for when a new column comes."""

    path: Path
    columns: list[str] = field(default_factory=list)
    rows: list[dict[str, Value | None]] = field(default_factory=list)

    def add(self, rows: Sequence[Row], anew: bool) -> None:
        """Appends, or writes all again where a column is new or the run went back."""
        if anew:
            self.columns, self.rows = [], []
        new = [dict(flat(row)) for row in rows]
        known = set(self.columns)
        more = list(dict.fromkeys(name for row in new for name in row if name not in known))
        self.rows += new
        if more or anew:
            self.columns += more
            write_bytes(self.path, self._text(self.rows, True))
        elif new:
            descriptor = open_append(self.path)
            try:
                write_all(descriptor, self._text(new, False))
            finally:
                os.close(descriptor)

    def _text(self, rows: Sequence[dict[str, Value | None]], head: bool) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if head:
            writer.writerow([cell(name) for name in self.columns])
        writer.writerows([cell(row.get(name)) for name in self.columns] for row in rows)
        return text.getvalue().encode("utf-8")


@final
class CsvLog:
    """metrics.csv and evaluations.csv in a folder."""

    def __init__(self, folder: Path) -> None:
        self.tables = {name: _Table(folder / f"{name}.csv") for name in ("metrics", "evaluations")}

    def write(self, name: str, rows: Sequence[Row], anew: bool) -> None:
        """Takes rows over; `anew`: they replace all that came before."""
        self.tables[name].add(rows, anew)

    def close(self) -> None:
        """Nothing is held back."""


@final
class TensorBoardLog:
    """Event files: `metrics/loss`, `full/metrics.exact`, `full/trivial.exact.copy`, each at its step and clock time."""

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise UserError(
                "--to tensorboard needs the package tensorboardX; install it with `pip install tensorboardX`."
            ) from None
        self.make: Any = lambda purge: SummaryWriter(str(folder), purge_step=purge, write_to_disk=True)
        self.writer: Any = self.make(None)

    def write(self, name: str, rows: Sequence[Row], anew: bool) -> None:
        """As of CsvLog. TensorBoard drops what it has from the first step of what comes anew."""
        if anew and rows:
            self.writer.close()
            self.writer = self.make(_step(rows[0]))
        for row in rows:
            at = _clock(row)
            kind = string(row, "kind", 20) or "full"
            for tag, value in flat(row):
                if (
                    isinstance(value, (int, float))
                    and not isinstance(value, bool)
                    and math.isfinite(value)
                    and tag != "step"
                ):
                    group = name if name == "metrics" else clean(kind)
                    self.writer.add_scalar(f"{group}/{tag}", value, _step(row), walltime=at)
        self.writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self.writer.close()


def _step(row: Row) -> int:
    step = row.get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) else 0


def _clock(row: Row) -> float | None:
    try:
        return datetime.fromisoformat(string(row, "time_utc", 40) or "").timestamp()
    except ValueError:
        return None


@final
class Follower:
    """A run's two files followed into a log. `poll` takes over what has come since; `rows` and `damaged` count."""

    def __init__(self, layout: RunFolder, log: CsvLog | TensorBoardLog) -> None:
        self.log = log
        self.tails = {"metrics": JsonlTail(layout.metrics), "evaluations": JsonlTail(layout.evaluations)}
        self.restarts = dict.fromkeys(self.tails, 0)
        self.rows = 0

    @property
    def damaged(self) -> int:
        """Lines passed over so far."""
        return sum(tail.damaged for tail in self.tails.values())

    def poll(self) -> int:
        """How many rows have been taken over. OSError where the disk does not let it."""
        taken = 0
        for name, tail in self.tails.items():
            while rows := tail.poll():
                self.log.write(name, rows, tail.restarts != self.restarts[name])
                self.restarts[name] = tail.restarts
                taken += len(rows)
        self.rows += taken
        return taken


def open_log(form: Form, folder: Path) -> CsvLog | TensorBoardLog:
    """A log in a folder, made where it is not there. UserError where the form's package is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return CsvLog(folder) if form == "csv" else TensorBoardLog(folder)

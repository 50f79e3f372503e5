"""Reading a run while it is written as fast as can be: status, rows, archive; how many reads saw something torn.

Torture room. A child writes a run with the real writer without a pause, rows are cut, archived bests come, are replaced
and go; this process reads -> one row for each kind of reader. What is written fits together by arithmetic (a row's
`twice` is two times its step), so a mixture of two states is seen where a checksum would not see it.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, final

from hrm_core.runs.archive import Archive, Entry
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import last_rows, metrics_rows, read_run, read_status
from hrm_core.runs.snapshots import META_NAME, latest_good, newest_first, verify_folder
from hrm_core.runs.tail import JsonlTail
from hrm_core.torture.bench import Bench, Row

PATIENCE_S: Final = 120.0
READS: Final = (100_000, 5_000)  # whole and short
LAST: Final = 1500  # steps, after which the writer cuts back to FIRST
FIRST: Final = 50

# argv: run folder, LAST, FIRST. Writes until it is killed.
_WRITER: Final = """
import json, os, sys
from pathlib import Path
from hrm_core.runs.atomic import atomic_folder
from hrm_core.runs.snapshots import newest_first, prune, write_meta
from hrm_core.runs.writer import RunWriter

folder, last, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
writer = RunWriter.create(folder, "", {"experiment": "demo"})
layout, step, replaced = writer.layout, 0, 0
while True:
    step += 1
    writer.metrics({"step": step, "twice": 2 * step, "text": "x" * (step % 200)})
    if step % 5 == 0:
        writer.status({"state": "running", "global_step": step, "twice": 2 * step, "text": "x" * (step % 5000)})
    if step % 10 == 0:
        writer.evaluation({"step": step, "kind": "full", "twice": 2 * step})
        place = layout.best(step // 100 * 100 + 100)
        replaced += 1
        with atomic_folder(place, replace=True) as temporary:
            evaluation = {"step": step, "kind": "full", "loss": float(replaced), "metrics": {"exact": float(replaced)}}
            (temporary / "evaluation.json").write_text(json.dumps(evaluation))
            (temporary / "weights.safetensors").write_bytes(bytes([replaced % 256]) * 20000)
            write_meta(temporary, {"kind": "best", "step": step, "run_id": folder.name, "replaced": replaced})
        prune(layout.archive, 3)
    if step == last:
        writer.cut(first)
        step = first
        for lost in folder.glob("*.lost-*"):
            os.unlink(lost)
"""


@final
@dataclass
class Seen:
    """Reads of one kind, and what was torn; `more` counts what else is worth telling."""

    reads: int = 0
    torn: int = 0
    first: str = ""
    more: Counter[str] = field(default_factory=Counter)

    def note(self, problem: str) -> None:
        """One read; "" if it was whole."""
        self.reads += 1
        if problem:
            self.torn += 1
            self.first = self.first or problem


def trials(bench: Bench) -> Iterator[Row]:
    """One row for each kind of reader."""
    reads = bench.times(*READS)
    folder = bench.folder / "runs/written"
    folder.parent.mkdir(exist_ok=True)
    with (bench.folder / "writer.txt").open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(folder), str(LAST), str(FIRST)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(bench.environment()),
        )
    try:
        _wait_for_writer(folder, child)
        readers = kinds(folder)
        seen = {name: Seen() for name in readers}
        chance = random.Random(bench.seed)
        order = [name for name, reader in readers.items() for _ in range(reader.share)]
        for number in range(reads):
            name = chance.choice(order)
            seen[name].note(readers[name].read(seen[name].more))
            if number % 10_000 == 9_999:
                bench.say(f"{number + 1} reads, {sum(each.torn for each in seen.values())} torn")
        writes, wrote = read_status(folder).get("heartbeat"), child.poll() is None
    finally:
        child.kill()
        child.wait()
    said = (bench.folder / "writer.txt").read_text(encoding="utf-8", errors="replace").strip()
    for name, reader in readers.items():
        yield row_of(reader, seen[name], writes if wrote else None, said)


def _wait_for_writer(folder: Path, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while read_run(folder).evaluation is None or not newest_first(RunFolder(folder).archive):
        assert child.poll() is None and time.monotonic() < until, "the writer of the torture did not begin"
        time.sleep(0.01)


@final
@dataclass(frozen=True)
class Reader:
    """A way of reading. read: what was torn, "" for nothing; share: how often it is chosen among the others."""

    fault: str
    how: str
    read: Callable[[Counter[str]], str]
    share: int


def kinds(folder: Path) -> dict[str, Reader]:
    """The readers of one run folder."""
    layout, log = RunFolder(folder), RunFolder(folder).metrics
    return {
        "status": Reader("status read while written", "`read_status`", StatusReads(layout).read, 14),
        "run": Reader("run looked at while written", "`read_run`, as the list does", RunReads(layout).read, 3),
        "tail": Reader("rows followed while written and cut", "`JsonlTail.poll`", TailReads(layout).read, 14),
        "last": Reader("last rows read while written", "`last_rows`", lambda _: torn_rows(last_rows(log)), 1),
        "all": Reader("all rows read while written", "`metrics_rows`", lambda _: torn_rows(metrics_rows(layout)), 1),
        "list": Reader("archive listed while written", "`Archive.read`", ListReads(layout).read, 3),
        "verify": Reader("archive verified while written", "`verify_folder`", lambda more: verified(layout, more), 3),
        "good": Reader("last good snapshot looked for while written", "`latest_good`", GoodReads(layout).read, 1),
    }  # fmt: skip


def row_of(reader: Reader, seen: Seen, writes: object, said: str) -> Row:
    """What one kind found. A writer that ended before the reads did makes it fail."""
    more = "".join(f", {count} {what}" for what, count in sorted(seen.more.items()))
    lost = [f"{seen.torn} reads torn, the first: {seen.first}"] * bool(seen.torn)
    lost += [f"the writer ended: {said[-160:]}"] * (writes is None)
    return Row(
        reader.fault,
        f"{reader.how} beside a writer that does not pause; {writes or 'some'} statuses written meanwhile",
        seen.reads,
        "no read is torn, mixed or empty",
        f"{seen.reads} reads, {seen.torn} torn{more}",
        "; ".join(lost) or "nothing",
        not lost and seen.reads > 0,
    )


def torn_row(row: dict[str, Any], key: str = "step") -> str:
    """Nothing for a row whose numbers belong together."""
    return "" if row.get("twice") == 2 * row.get(key, -1) else f"step {row.get(key)} with {row.get('twice')}"


def torn_rows(rows: list[dict[str, Any]]) -> str:
    """Nothing for rows each one step after the other."""
    if not rows:
        return "no rows"
    for before, row in pairwise(rows):
        if row["step"] != before["step"] + 1:
            return f"step {row['step']} after {before['step']}"
    return next((torn for row in rows if (torn := torn_row(row))), "")


@final
class StatusReads:
    """status.json: never empty, its numbers of one writing, its heartbeat never back."""

    def __init__(self, layout: RunFolder) -> None:
        self.layout, self.beat = layout, 0

    def read(self, more: Counter[str]) -> str:
        """One read."""
        status = read_status(self.layout)
        if not status:
            return "no status"
        before, self.beat = self.beat, status["heartbeat"]
        more["new"] += self.beat > before
        return f"heartbeat {self.beat} after {before}" if self.beat < before else torn_row(status, "global_step")


@final
class RunReads:
    """A whole view: living, with its last row and validation, each of one writing."""

    def __init__(self, layout: RunFolder) -> None:
        self.layout = layout

    def read(self, more: Counter[str]) -> str:
        """One read."""
        view = read_run(self.layout)
        if view.state != "running" or view.metrics is None or view.evaluation is None or not view.status:
            return f"state {view.state}, row {view.metrics is not None}, validation {view.evaluation is not None}"
        return torn_row(view.metrics) or torn_row(view.evaluation) or torn_row(view.status, "global_step")


@final
class TailReads:
    """metrics.jsonl followed: every step after the one before, begun anew after a cut, no line damaged."""

    def __init__(self, layout: RunFolder) -> None:
        self.tail, self.step = JsonlTail(layout.metrics), 0

    def read(self, more: Counter[str]) -> str:
        """One poll."""
        restarts, damaged = self.tail.restarts, self.tail.damaged
        rows = self.tail.poll()
        if self.tail.restarts != restarts:
            more["cuts met"] += 1
            self.step = 0
        if self.tail.damaged != damaged:
            return "a damaged line"
        if not rows:
            return ""
        more["rows"] += len(rows)
        before, self.step = self.step, rows[-1]["step"]
        return f"step {rows[0]['step']} after {before}" if rows[0]["step"] != before + 1 else torn_rows(rows)


@final
class ListReads:
    """The archive listed by one reader that remembers, as the console has it, and by one that has just come."""

    def __init__(self, layout: RunFolder) -> None:
        self.runs, self.archive, self.number = layout.path.parent, Archive(layout.path.parent), 0

    def read(self, more: Counter[str]) -> str:
        """One listing."""
        self.number += 1
        archive = self.archive if self.number % 2 else Archive(self.runs)
        entries = archive.read().entries
        more["entries"] += len(entries)
        return next((torn for entry in entries if (torn := torn_entry(entry, more))), "")


def torn_entry(entry: Entry, more: Counter[str]) -> str:
    """Nothing for an entry whose meta.json and evaluation are of one writing, or one that is just being removed."""
    if entry.damaged:
        being_removed = not os.path.lexists(entry.folder / META_NAME)
        more["removed meanwhile"] += being_removed
        return "" if being_removed else f"{entry.name} is damaged"
    names, loss = sorted(entry.files), entry.loss
    if names != ["evaluation.json", "weights.safetensors"] or loss is None or loss != entry.metric("exact"):
        return f"{entry.name} has {', '.join(names) or 'no files'} and loss {loss}"
    if len(entry.blocks) != 3:
        return f"{entry.name} has {len(entry.blocks)} files on the disk"
    return ""


def verified(layout: RunFolder, more: Counter[str]) -> str:
    """Each folder of the archive that is there: whole. For one removed meanwhile that is said, and no more."""
    for folder in newest_first(layout.archive):
        problems = verify_folder(folder)
        if problems == [f"{META_NAME} is missing"] and _comes_in_parts(folder):
            return f"{folder.name} came in parts"
        if problems and problems not in (["there is no such folder"], [f"{META_NAME} is missing"]):
            return f"{folder.name}: {problems[0]}"
        more["folders not there" if problems else "folders whole"] += 1
    return ""


def _comes_in_parts(folder: Path) -> bool:
    """Whether the very folder that had no meta.json gets one; a folder without one is otherwise being removed."""
    try:
        same = os.stat(folder).st_ino
        for _ in range(40):
            if os.stat(folder).st_ino != same:
                return False
            if os.path.lexists(folder / META_NAME):
                return os.stat(folder).st_ino == same
            time.sleep(0.002)
    except OSError:
        return False
    return False


@final
class GoodReads:
    """The newest whole snapshot: there is always one."""

    def __init__(self, layout: RunFolder) -> None:
        self.layout = layout

    def read(self, more: Counter[str]) -> str:
        """One search."""
        return "" if latest_good(self.layout.archive) is not None else "none is whole"

"""How the queue is written: the rows of `hrm queue list` and `show`. Pure functions; text is cleaned where printed.

Command-line room. `Queue`, `Entry`, `WorkerView` -> strings and plain JSON values.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrm_core.runs.queue_turns import any_elsewhere, where_words

if TYPE_CHECKING:
    from hrm_core.runs.queue_records import Entry, Queue
    from hrm_core.runs.queue_status import WorkerView

# The long ones last: a terminal cuts rows at its width. Why something is held stands under the table.
COLUMNS = ("place", "id", "state", "experiment", "after", "takes", "run", "overrides")


def length(seconds: float | None) -> str:
    """45s, 3m20, 2h05."""
    if seconds is None:
        return "-"
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}"


def took_s(entry: Entry) -> float | None:
    """How long an entry has run or ran, or will by a run like it."""
    if entry.started_s is not None and (entry.is_over or entry.state == "running"):
        return (entry.ended_s or time.time()) - entry.started_s
    return entry.predicted_s


def headline(queue: Queue, folder: Path) -> str:
    """How many are in which state."""
    counts = [
        (len(queue.in_state(state)), state) for state in ("running", "waiting", "held", "failed", "stopped", "done")
    ]
    words = ", ".join(f"{number} {state}" for number, state in counts if number)
    return f"Queue of {folder.absolute()}: {words or 'empty'}"


def worker_line(queue: Queue, worker: WorkerView) -> str:
    """What the worker does, or why there is none."""
    if worker.alive:
        since = "" if worker.since_s is None else f" for {length(time.time() - worker.since_s)}"
        ending = ", ending: it was asked to stop" if queue.stop_asked else ""
        return f"Worker: process {worker.pid or '?'} at work{since}: {worker.words}{ending}"
    if queue.stopped:
        return (
            f"Stopped: {queue.stopped}\n  `hrm queue start` goes on with the next; `hrm queue retry` tries that again"
        )
    if worker.died:
        return f"Worker: gone ({worker.words}); `hrm queue start` takes it up again"
    to_come = queue.in_state("waiting", "running")
    return "Worker: none" + ("; `hrm queue start` starts what waits" if to_come else "")


def why_lines(entries: Sequence[Entry], differs: Mapping[str, Sequence[str]]) -> list[str]:
    """Why entries are as they are, and what would hold them; what is so for several is said once."""
    said: dict[str, list[str]] = {}
    for entry in entries:
        if entry.reason:
            said.setdefault(f"{entry.state}: {entry.reason}", []).append(entry.id)
        found = differs.get(entry.id, [])
        if found and entry.held_for != "pins":
            said.setdefault(f"pinned otherwise: {'; '.join(found)}", []).append(entry.id)
    return [f"{', '.join(ids)} {words}" for words, ids in said.items()]


def table(queue: Queue) -> tuple[tuple[str, ...], list[list[str]]]:
    """Titles and rows of the list; with the column `where` as soon as an entry is not for this machine."""
    rows = [cells(queue, entry) for entry in queue.in_order]
    if not any_elsewhere(queue):
        return COLUMNS, rows
    place = COLUMNS.index("run")
    places = [where_words(entry) for entry in queue.in_order]
    wider = [[*row[:place], words, *row[place:]] for row, words in zip(rows, places, strict=True)]
    return (*COLUMNS[:place], "where", *COLUMNS[place:]), wider


def cells(queue: Queue, entry: Entry) -> list[str]:
    """A row of the list."""
    place = queue.place_of(entry.id)
    about = length(took_s(entry))
    predicted = entry.state in ("waiting", "held") and entry.predicted_s is not None
    return [
        "" if place is None else str(place),
        entry.id,
        entry.state,
        entry.experiment + (f" on {entry.gpus} GPUs" if entry.gpus > 1 else ""),
        entry.after or "",
        f"~{about}" if predicted else about,
        entry.run_id or entry.name or "",
        " ".join(entry.overrides),
    ]


def entry_lines(queue: Queue, entry: Entry, differs: Sequence[str]) -> list[str]:
    """Everything about an entry."""
    code = entry.pins.code
    place = queue.place_of(entry.id)
    rows = [
        ("state", entry.state + (f", place {place}" if place else "")),
        ("why", entry.reason),
        ("experiment", " ".join([entry.experiment, *entry.overrides])),
        ("run", entry.run_id or entry.name or "named when it starts"),
        ("after", (f"run {entry.after}" if entry.after_is_run else entry.after) if entry.after else ""),
        ("from", entry.source or ""),
        ("data", entry.data or ""),
        ("called in", entry.folder),
        ("where", where_words(entry)),
        ("GPUs", f"{entry.gpus} together" if entry.gpus > 1 else ""),
        ("takes", length(took_s(entry))),
        ("recipe", entry.pins.recipe_hash),
        ("commit", (code.commit or "no checkout") + (f", changes {code.dirty}" if code.dirty else "")),
        ("versions", f"hrm-console {code.version}, torch {code.torch}"),
    ]
    lines = [f"entry {entry.id}", *(f"  {name:<11}{value}" for name, value in rows if value)]
    return lines + [f"  differs    {phrase}" for phrase in differs or ["nothing"]]


def as_json_row(queue: Queue, entry: Entry, differs: Sequence[str]) -> dict[str, Any]:
    """An entry as JSON: its fields, its place, what differs; the pinned recipe by its hash."""
    row = asdict(entry)
    row["pins"].pop("recipe_toml")
    return {**row, "place": queue.place_of(entry.id), "differs": list(differs)}

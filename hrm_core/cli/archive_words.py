"""The archive in words: the lines and cells of `hrm archive`.

Command-line room. Entries, details and plans -> plain text and JSON values; pure functions. No metric stands without
the best trivial predictor's value on the same tests. Cleaned where it is printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hrm_core.cli.runs_words import NOTHING, duration, percent, points, short
from hrm_core.runs.archive import EVALUATED_WEIGHTS, OTHER_ORDERS, RAW_WEIGHTS, Entry, Listing
from hrm_core.runs.archive_changes import PrunePlan
from hrm_core.runs.archive_details import Details
from hrm_core.runs.archive_lineage import Branch
from hrm_core.runs.files import integer, items, mapping, number, string

PRUNE_COLUMNS: Final = ("goes", "validated", "exact % (trivial)", "size")


def size(count: float) -> str:
    """A number of bytes: `812 B`, `4.1 MiB`, `3.20 GiB`."""
    if count < 1024:
        return f"{count:.0f} B"
    for limit, name, digits in ((2**20, "KiB", 1), (2**30, "MiB", 1)):
        if count < limit:
            return f"{count / (limit / 1024):.{digits}f} {name}"
    return f"{count / 2**30:.2f} GiB"


def total_line(listing: Listing) -> str:
    """How many there are, of how many runs, and what they take."""
    runs = len({entry.run_id for entry in listing.entries})
    return f"{len(listing.entries)} snapshots of {runs} runs, {size(listing.disk_bytes)}"


def flags(entry: Entry) -> str:
    """best, pinned, promoted names, damaged."""
    said = [word for word, holds in (("best", entry.is_best), ("pinned", entry.pinned)) if holds]
    said += [f"promoted {name}" for name in entry.promoted] + ["DAMAGED"] * entry.damaged
    return ", ".join(said)


def beside(entry: Entry, metric: str) -> str:
    """A metric in percent with the best trivial value in brackets."""
    value, trivial = entry.metric(metric), entry.trivial(metric)
    return NOTHING if value is None else f"{percent(value)} ({percent(None if trivial is None else trivial[1])})"


def _metric_of(by: str) -> str:
    return "exact" if by in OTHER_ORDERS else by


def list_columns(by: str) -> list[str]:
    """Names of the columns of `hrm archive list`."""
    name = _metric_of(by).replace("_", " ")
    return ["snapshot", "experiment", f"{name} % (trivial)", "lift", "loss", "validated", "size", "marks"]


def list_cells(entry: Entry, by: str) -> list[str]:
    """One row of it."""
    metric = _metric_of(by)
    return [
        entry.name,
        entry.origin.experiment or NOTHING,
        beside(entry, metric),
        points(entry.lift(metric)),
        short(entry.loss),
        when(entry),
        size(entry.size_bytes),
        flags(entry),
    ]


def when(entry: Entry) -> str:
    """Day and minute of its validation."""
    return entry.time_utc[:16].replace("T", " ") or NOTHING


def head_lines(details: Details) -> list[str]:
    """What and where it is, its weights, and the status of that moment."""
    entry, origin = details.entry, details.entry.origin
    about = f"{origin.experiment or 'unknown'} (preset {origin.preset or NOTHING}, seed {origin.seed})"
    lines = [
        f"snapshot    {entry.name}" + (f"   [{flags(entry)}]" if flags(entry) else ""),
        f"folder      {entry.folder}",
        f"experiment  {about}",
        f"validated   {when(entry)} UTC",
        f"size        {size(entry.size_bytes)}",
    ]
    for name, file in (("evaluated", EVALUATED_WEIGHTS), ("raw", RAW_WEIGHTS)):
        count = entry.bytes_of(file)
        if count is not None:
            lines.append(f"weights     {name}: {size(count)}, sha256 {entry.digest(file)}")
    if details.problems is not None:
        lines.append(
            f"files       {'; '.join(details.problems)}"
            if details.problems
            else "files       every byte is as it was written"
        )
    lines += [f"status then {line}" for line in status_words(details)]
    source = string(mapping(details.meta, "promoted"), "from", 200)
    return lines + ([f"taken from  {source}"] if source else [])


def status_words(details: Details) -> list[str]:
    """The status at the moment of archiving, a line for each matter."""
    status = details.status
    if not status:
        return []
    step, most = integer(status, "global_step"), integer(status, "max_steps")
    said = [f"step {step} of {most}" if most else f"step {step}"]
    for name, key in (("learning rate", "lr"), ("training loss", "loss"), ("gradient norm", "grad_norm")):
        if number(status, key) is not None:
            said.append(f"{name} {short(number(status, key))}")
    elapsed = number(status, "elapsed_s")
    said += [f"after {duration(elapsed)}"] if elapsed is not None else []
    alarms = [
        f"alarm {string(row, 'name', 60)}: {string(row, 'sentence', 300)}" for row in items(status, "alarms")[:10]
    ]
    return [", ".join(said), *alarms]


def lineage_lines(details: Details) -> list[str]:
    """Ancestors above, the entry, and what began from its run, each level indented."""
    lines: list[str] = []
    for depth, parent in enumerate(details.lineage.ancestors):
        lines.append("   " * depth + ("└ " if depth else "") + f"{parent.run}@{parent.step}")
    depth = len(lines)
    lines.append("   " * depth + ("└ " if depth else "") + f"{details.entry.name}   (this one)")
    return lines + _branch_lines(details.lineage.branches, depth + 1)


def _branch_lines(branches: Sequence[Branch], depth: int) -> list[str]:
    lines = []
    for branch in branches[:200]:
        about = f"{branch.experiment or 'unknown'}, from step {branch.from_step}"
        lines.append("   " * depth + f"└ {branch.run_id}   ({about})")
        lines += _branch_lines(branch.branches, depth + 1)
    return lines


def plan_line(plan: PrunePlan) -> str:
    """What the archive takes, its budget, and what would come free."""
    head = f"The archive takes {size(plan.total)} of a budget of {size(plan.budget)}"
    if not plan.goes:
        return head + "; nothing can go." if plan.short else head + "; nothing needs to go."
    return head + f"; {len(plan.goes)} snapshots go, which frees {size(plan.frees)}:"


def plan_notes(plan: PrunePlan) -> list[str]:
    """What stays although it is over the budget, and why."""
    notes = []
    if plan.short:
        notes.append(f"{size(plan.short)} over the budget stay: bests of their runs, pinned or promoted ones.")
    if plan.busy:
        notes.append(f"left alone, since these runs go on: {', '.join(plan.busy)}")
    return notes


def plan_json(plan: PrunePlan) -> dict[str, Any]:
    """The plan as plain values."""
    return {
        "budget_bytes": plan.budget,
        "total_bytes": plan.total,
        "goes": [{"name": entry.name, "size_bytes": entry.size_bytes} for entry in plan.goes],
        "frees_bytes": plan.frees,
        "over_budget_bytes": plan.short,
        "busy_runs": list(plan.busy),
    }


def prune_cells(entry: Entry) -> list[str]:
    """One row of what would go."""
    return [entry.name, when(entry), beside(entry, "exact"), size(entry.size_bytes)]

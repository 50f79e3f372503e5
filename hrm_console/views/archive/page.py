"""One snapshot of the archive in words: what it is, how good, what it weighs, where it comes from. Pure functions.

`Details` of the runs room, and the answer of `hrm eval` -> rows of Text for a width in cells. No metric is written
without what the best trivial predictor gets on the same tests. The list is archive_words.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from hrm_console.rows.evaluations import Row, best_trivial, metric_of
from hrm_console.theme import Palette
from hrm_console.views.archive.words import NAMES, byte_size, marks_text
from hrm_console.words import (
    NOTHING,
    count,
    duration,
    finite,
    fold,
    middle,
    number,
    plain,
    share,
    signed_share,
    table,
    wrap,
)
from hrm_core.runs.archive import EVALUATED_WEIGHTS, RAW_WEIGHTS, Entry
from hrm_core.runs.archive_details import Details
from hrm_core.runs.archive_lineage import Branch
from hrm_core.runs.text import clean


def details_rows(
    details: Details,
    problems: tuple[str, ...] | None,
    checking: bool,
    palette: Palette,
    width: int,
    again: Sequence[Text] = (),
) -> list[Text]:
    """One snapshot opened: what it is, its metrics, weights, settings, status of then, lineage; the log comes after.

    `again` are the rows of an evaluation that was made since.
    """
    entry, origin = details.entry, details.entry.origin
    title = Text(" ", no_wrap=True, end="").append_text(plain(middle(entry.name, max(8, width - 30)), palette.strong))
    title.append("  ").append_text(marks_text(entry, palette, 40))
    title.truncate(width, overflow="ellipsis")
    about = f"{origin.experiment or 'unknown experiment'}, preset {origin.preset or NOTHING}, seed {origin.seed}"
    rows = [title, *wrap(about, width - 1, palette.text, indent=" ")]
    rows += [row for name in entry.promoted for row in wrap(f"promoted as {name}", width - 1, palette.special, " ")]
    rows += [*again, *metric_rows(details.evaluation, palette, width)]
    rows += [Text(""), *weights_rows(entry, problems, checking, palette, width)]
    rows += [Text(""), *settings_rows(details, palette, width)]
    rows += [Text(""), *status_rows(details.status, palette, width)]
    return [*rows, Text(""), *lineage_rows(details, palette, width)]


def _heading(words: str, palette: Palette, width: int) -> list[Text]:
    return wrap(words, width - 1, palette.accent, indent=" ")


def metric_rows(evaluation: Row, palette: Palette, width: int, then: Row | None = None) -> list[Text]:
    """Every metric with its trivial value and lift; beside `then` also what it was."""
    if not isinstance(evaluation.get("metrics"), dict):
        return [Text(""), *wrap("No evaluation is kept with it.", width - 1, palette.muted, indent=" ")]
    head = f"{evaluation.get('kind', '')} validation, {evaluation.get('split', '')}, {count(evaluation.get('pairs'))}"
    head += f" tests, {evaluation.get('weights', '')} weights, loss {number(evaluation.get('loss'))}"
    rows = [Text(""), *_heading(head, palette, width)]
    columns = f" {'':<20}{'model':>7}{'trivial':>9}{'lift':>7}" + ("" if then is None else f"{'then':>7}")
    rows.append(Text(columns, palette.muted, no_wrap=True, end=""))
    metrics = evaluation["metrics"]
    for key in [name for name in NAMES if name in metrics] + sorted(set(metrics) - set(NAMES)):
        value, trivial = metric_of(evaluation, key), best_trivial(evaluation, key)
        lift = None if value is None or trivial is None else value - trivial
        name = clean(NAMES.get(key, key.replace("_", " ")))
        row = Text(f" {middle(name, 20):<20}", palette.muted, no_wrap=True, end="")
        row.append(f"{share(value):>7}", palette.strong).append(f"{share(trivial):>9}", palette.muted)
        row.append(f"{signed_share(lift):>7}", palette.good if lift is not None and lift > 0 else palette.warn)
        if then is not None:
            row.append(f"{share(metric_of(then, key)):>7}", palette.text)
        rows.append(row)
    for row in rows:
        row.truncate(max(0, width))
    for what in ("input", "identity"):
        if finite(evaluation.get(f"{what}_sensitivity")) is not None:
            words = f"{share(evaluation[f'{what}_sensitivity'])} % of the grids change when the {what} is swapped"
            rows += wrap(words, width - 1, palette.text, indent=" ")
    notes = evaluation.get("notes")
    for note in notes[:20] if isinstance(notes, list) else []:
        rows += wrap(note, width - 1, palette.muted, indent="   ", first=" · ")
    return rows


def weights_rows(
    entry: Entry, problems: tuple[str, ...] | None, checking: bool, palette: Palette, width: int
) -> list[Text]:
    """Size and digest of the weights, and whether every byte is whole."""
    rows = _heading(f"weights, {byte_size(entry.size_bytes)} with all files", palette, width)
    for name, file in (("evaluated", EVALUATED_WEIGHTS), ("raw", RAW_WEIGHTS)):
        size = entry.bytes_of(file)
        if size is not None:
            words = f"{name:<10}{byte_size(size):>9}  sha256 {entry.digest(file)}"
            rows += [Text(part, palette.text, no_wrap=True, end="") for part in fold(clean(words), width - 1)]
    if problems is None:
        words = "reading every byte …" if checking else "not checked yet; enter reads every byte"
        return [*rows, Text(f" {words}", palette.muted, no_wrap=True, end="")]
    if not problems:
        return [*rows, Text(" ✓ every byte is as it was written", palette.good, no_wrap=True, end="")]
    return rows + [row for one in problems for row in wrap(one, width - 1, palette.bad, indent="   ", first=" ✗ ")]


def settings_rows(details: Details, palette: Palette, width: int) -> list[Text]:
    """The settings that differ from EXP-00."""
    rows = _heading(f"difference from {details.control}", palette, width)
    if details.recipe_problem:
        return rows + wrap(f"cannot be told: {details.recipe_problem}", width - 1, palette.warn, indent=" ")
    if not details.changes:
        return [*rows, Text(" none", palette.muted, no_wrap=True, end="")]
    column = min(max(len(key) for key, *_ in details.changes), max(16, width // 2))
    for key, control, own in details.changes:
        row = Text(no_wrap=True, end="").append_text(plain(f" {key:<{column}}  ", palette.muted))
        row.append_text(plain(control, palette.faint)).append(" → ", palette.faint)
        row.append_text(plain(own, palette.text))
        row.truncate(width, overflow="ellipsis")
        rows.append(row)
    return rows


def status_rows(status: Mapping[str, Any], palette: Palette, width: int) -> list[Text]:
    """The status at that moment, with its alarms."""
    rows = _heading("status then", palette, width)
    if not status:
        return [*rows, Text(" none is kept with it", palette.muted, no_wrap=True, end="")]
    pairs = [
        ("step", f"{count(status.get('global_step'))} of {count(status.get('max_steps'))}"),
        ("training", duration(status.get("elapsed_s"))),
        ("loss", number(status.get("loss"))),
        ("learning rate", number(status.get("lr"))),
        ("gradient norm", number(status.get("grad_norm"))),
        ("memory", f"{number(status.get('memory_gib'))} GiB"),
    ]
    rows += table([pair for pair in pairs if not pair[1].startswith(NOTHING)], palette, width)
    alarms = status.get("alarms")
    for alarm in alarms[:10] if isinstance(alarms, list) else []:
        if isinstance(alarm, dict):
            words = f"{alarm.get('name', '')}: {alarm.get('sentence', '')}"
            rows += wrap(words, width - 1, palette.warn, indent="   ", first=" ▲ ")
    return rows


def lineage_rows(details: Details, palette: Palette, width: int) -> list[Text]:
    """The snapshots before it, itself, and the runs that began from its run, as a tree."""
    rows = _heading("lineage", palette, width)
    ancestors = details.lineage.ancestors[-6:]
    depth = 0
    for parent in ancestors:
        rows.append(_tree_row(depth, f"{parent.run}@{parent.step}", "", palette.text, palette, width))
        depth += 1
    rows.append(_tree_row(depth, details.entry.name, "this one", palette.strong, palette, width))
    rows += _branch_rows(details.lineage.branches, depth + 1, palette, width)
    if not ancestors and not details.lineage.branches:
        rows += wrap("its run began with drawn weights; no run has begun from it", width - 1, palette.muted, indent=" ")
    return rows


def _tree_row(depth: int, name: str, about: str, style: str, palette: Palette, width: int) -> Text:
    row = Text(" " + "   " * max(0, depth - 1) + ("└─ " if depth else ""), palette.faint, no_wrap=True, end="")
    row.append_text(plain(name, style))
    if about:
        row.append_text(plain(f"  {about}", palette.muted))
    row.truncate(width, overflow="ellipsis")
    return row


def _branch_rows(branches: Sequence[Branch], depth: int, palette: Palette, width: int) -> list[Text]:
    rows: list[Text] = []
    for branch in branches[:50] if depth < 12 else ():
        about = f"{branch.experiment or 'unknown'}, from step {branch.from_step}"
        rows.append(_tree_row(depth, branch.run_id, about, palette.text, palette, width))
        rows += _branch_rows(branch.branches, depth + 1, palette, width)
    return rows


def log_rows(details: Details, palette: Palette, width: int) -> list[Text]:
    """The window of the log that was archived with it."""
    rows = [Text(""), *_heading(f"log then, its last {len(details.log)} lines", palette, width)]
    for line in details.log:
        style = palette.warn if "alarm" in line.lower() else palette.muted
        rows += [Text(part, style, no_wrap=True, end="") for part in fold(clean(line.expandtabs(4)), width - 1)]
    return rows


def again_rows(answer: Row | str | None, details: Details, palette: Palette, width: int) -> list[Text]:
    """What `hrm eval` found when the snapshot was evaluated again: a row, a reason in words, or None while it works."""
    rows = [Text(""), *_heading("evaluated again on val", palette, width)]
    if answer is None:
        words = "evaluating …  this takes as long as a full validation; go on meanwhile"
        return rows + wrap(words, width - 1, palette.text, indent=" ")
    if isinstance(answer, str):
        return rows + wrap(answer, width - 1, palette.bad, indent=" ")
    return rows + metric_rows(answer, palette, width, then=details.evaluation)[1:]

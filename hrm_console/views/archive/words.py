"""The archive in words: a row of its list, the lines above it, what a filter means. Pure functions, tested alone.

`Entry` and `Listing` of the runs room -> rows of Text for a width in cells. No metric is written without what the best
trivial predictor gets on the same tests. One snapshot opened: archive_page.py.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from hrm_console.theme import Palette
from hrm_console.widgets.bar import two_ends
from hrm_console.words import NOTHING, duration, middle, number, plain, share, signed_share
from hrm_core.runs.archive import OTHER_ORDERS, Entry, Listing, metric_names
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_console.views.archive.reading import View

NAMES = {
    "exact": "exact",
    "token_exact": "all tokens",
    "pass_at_1": "pass@1",
    "pass_at_2": "pass@2",
    "pass_at_2_per_test": "pass@2/test",
    "cell_accuracy": "cells",
    "color_accuracy": "colours",
    "changed_cell_accuracy": "changed cells",
    "shape_accuracy": "shape",
    "padded_accuracy": "padded 30x30",
}
WIDE = 100
SHORT = {"token_exact": "tokens", "changed_cell_accuracy": "changed", "padded_accuracy": "padded"}
# Columns right of the name, each with its cells; a narrow terminal has no room for the loss.
CELLS = {"metric": 9, "trivial": 9, "lift": 7, "loss": 7, "age": 7, "size": 9}
MARKS_WIDE, MARKS_NARROW = 26, 14


def orders(listing: Listing) -> list[str]:
    """What the list can be sorted by."""
    return [*metric_names(listing.entries), *OTHER_ORDERS]


def shown_metric(by: str) -> str:
    """The metric that the columns show."""
    return "exact" if by in OTHER_ORDERS else by


def matches(entry: Entry, wanted: str) -> bool:
    """Whether an entry has every word of the filter in its name, experiment, preset or marks, and none with a minus."""
    text = " ".join(
        (
            entry.name,
            entry.origin.experiment,
            entry.origin.preset,
            *entry.promoted,
            *(word for word, _ in _marks(entry)),
        )
    ).lower()
    words = wanted.lower().split()
    return all((word[1:] not in text) if word[:1] == "-" and word[1:] else word in text for word in words)


def byte_size(size: float | None) -> str:
    """A number of bytes in at most 8 cells: 812 B, 8.2 MiB."""
    if size is None:
        return NOTHING
    for limit, name in ((2**10, "B"), (2**20, "KiB"), (2**30, "MiB")):
        if size < limit:
            scaled = size / (limit / 2**10)
            return f"{scaled:.0f} {name}" if scaled >= 100 or name == "B" else f"{scaled:.1f} {name}"
    return f"{size / 2**30:.1f} GiB"


def age_of(entry: Entry, now_s: float | None = None) -> str:
    """How long ago it was validated."""
    try:
        then = datetime.fromisoformat(entry.time_utc.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return NOTHING
    age_s = max(0.0, (time.time() if now_s is None else now_s) - then)
    return duration(age_s) if age_s < 10 * 86400 else f"{age_s / 86400:.0f}d"


def _marks(entry: Entry) -> list[tuple[str, str]]:
    """(word, name of a style of the palette) of each mark."""
    found = [("damaged", "bad")] if entry.damaged else []
    found += [("best", "good")] if entry.is_best else []
    found += [("pinned", "accent")] if entry.pinned else []
    return found + ([("promoted", "special")] if entry.promoted else [])


def marks_text(entry: Entry, palette: Palette, width: int) -> Text:
    """The marks in words, in few cells shortened: best pin prom."""
    text = Text(no_wrap=True, end="")
    for word, style in _marks(entry):
        short = {"pinned": "pin", "promoted": "prom"}.get(word, word)
        text.append(word if width > MARKS_NARROW else short, getattr(palette, style))
        text.append(" ")
    text.truncate(width)
    return text


def _columns(by: str, width: int) -> list[str]:
    """The columns that there is room for; the one that is sorted by is always there."""
    if width >= WIDE:
        return list(CELLS)
    return [name for name in CELLS if name != ("age" if by == "loss" else "loss")]


def _widths(columns: list[str], width: int) -> tuple[int, int]:
    """Cells of the name and of the marks."""
    marks = MARKS_WIDE if width >= WIDE else MARKS_NARROW
    return max(8, width - sum(CELLS[name] for name in columns) - marks - 3), marks


def header_row(by: str, palette: Palette, width: int) -> Text:
    """Names of the columns; the one that is sorted by has an arrow."""
    columns = _columns(by, width)
    name_width, _ = _widths(columns, width)
    metric = shown_metric(by)
    sorted_by = {"loss": "loss", "newest": "age", "size": "size"}.get(by, "metric")
    row = Text(f" {middle('snapshot', name_width):<{name_width}}", palette.muted, no_wrap=True, end="")
    for name in columns:
        word = SHORT.get(metric, NAMES.get(metric, metric.replace("_", " "))) if name == "metric" else name
        word = middle(f"▾{word}" if name == sorted_by else word, CELLS[name] - 1)
        row.append(f"{word:>{CELLS[name]}}", palette.accent if name == sorted_by else palette.muted)
    row.append("  marks", palette.muted)
    row.truncate(width)
    return row


def entry_row(entry: Entry, by: str, palette: Palette, width: int, now_s: float | None = None) -> Text:
    """One row of the list."""
    metric, columns = shown_metric(by), _columns(by, width)
    name_width, marks = _widths(columns, width)
    value, trivial, lift = entry.metric(metric), entry.trivial(metric), entry.lift(metric)
    cells = {
        "metric": (share(value), palette.strong),
        "trivial": (share(None if trivial is None else trivial[1]), palette.muted),
        "lift": (signed_share(lift), palette.muted if lift is None else palette.good if lift > 0 else palette.warn),
        "loss": (number(entry.loss), palette.text),
        "age": (age_of(entry, now_s), palette.muted),
        "size": (byte_size(entry.size_bytes), palette.muted),
    }
    row = Text(" ", no_wrap=True, end="")
    row.append(f"{middle(entry.name, name_width):<{name_width}}", palette.bad if entry.damaged else palette.text)
    for name in columns:
        text, style = cells[name]
        row.append(f"{text:>{CELLS[name]}}", style)
    row.append("  ")
    row.append_text(marks_text(entry, palette, marks))
    row.truncate(width)
    return row


def summary_text(listing: Listing, view: View, budget_gib: float, palette: Palette, width: int) -> Text:
    """How many there are and are shown, by what they are sorted, and what they take of the budget."""
    shown, by = len(view.entries), view.by
    entries = listing.entries
    left = Text(f" {shown} of {len(entries)} bests" if shown < len(entries) else f" {shown} bests", palette.strong)
    left.append(f" of {len({entry.run_id for entry in entries})} runs", palette.muted)
    left.append(", by ", palette.muted).append_text(plain(NAMES.get(by, by.replace("_", " ")), palette.accent))
    if view.only_best:
        left.append(", one a run", palette.accent)
    if view.filter:
        left.append(", with ", palette.muted).append_text(plain(view.filter, palette.accent))
    taken, budget = listing.disk_bytes, budget_gib * 2**30
    over = taken > budget
    words = f"{byte_size(taken)} of {byte_size(budget)}" + (" ▲ over budget, x prunes " if over else " ")
    return two_ends(left, Text(words, palette.warn if over else palette.muted), width, "")


def overrides_line(run_json: Mapping[str, Any]) -> str:
    """The overrides that a run was started with, its preset first, as one types them: to start another one like it."""
    sources, recipe = run_json.get("sources"), run_json.get("recipe")
    if not isinstance(sources, dict) or not isinstance(recipe, dict):
        return ""
    words = [f"preset={recipe['preset']}"] if isinstance(recipe.get("preset"), str) else []
    for key, source in sources.items():
        if source != "override" or key == "preset":
            continue
        value: Any = recipe
        for part in str(key).split("."):
            value = value.get(part) if isinstance(value, dict) else None
        words.append(f"{key}={_written(value)}")
    return shlex.join(clean(word) for word in words)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_written(part) for part in value)
    return "none" if value is None else str(value)

"""The launch form in words: an experiment's row and page, and how the run differs from EXP-00. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from rich.text import Text
from textual.message import Message

from hrm_console.theme import Palette
from hrm_console.words import plain, wrap

if TYPE_CHECKING:
    from hrm_console.recipes import Card, Checked


Form = tuple[str, str, str]
"""Experiment, preset, overrides as typed."""
INDENT = " " * 11
VERDICT_ROWS = 5


@final
@dataclass
class Answered(Message):
    """What a form describes, and the help for the word being typed."""

    form: Form
    checked: Checked
    help: str


def verdict_rows(
    starting: str, problem: str, answer: Answered | None, has_gpu: bool, palette: Palette, width: int, typing: bool
) -> list[Text]:
    """Whether the form can start, or why not, and help for what is typed; under the fields, so indented as they are."""
    if starting:
        return wrap(starting, width, palette.accent, indent=INDENT)[:VERDICT_ROWS]
    rows: list[Text] = []
    if problem:
        rows += wrap(problem, width, palette.bad, indent=INDENT + "  ", first=INDENT + "✗ ")
    elif answer is not None and not typing:
        small = not has_gpu and answer.form[1] == "cpu"
        words = "can start" + (" (no NVIDIA GPU here, so preset cpu)" if small else "")
        rows += wrap(words, width, palette.good, indent=INDENT + "  ", first=INDENT + "✓ ")
    if typing and answer is not None and answer.help:
        rows += wrap(answer.help, width, palette.muted, indent=INDENT)
    return rows[:VERDICT_ROWS]


def experiment_row(card: Card, palette: Palette) -> Text:
    """A row of the list; what is not built yet is dim and marked."""
    row = Text(no_wrap=True, end="")
    row.append_text(plain(f" {card.name:<13}", palette.muted if card.unbuilt else palette.strong))
    row.append_text(plain(card.title, palette.faint if card.unbuilt else palette.text))
    return row


def experiment_rows(card: Card, palette: Palette, width: int) -> list[Text]:
    """Title, hypothesis, set-up, what to watch for."""
    title = Text(no_wrap=True, end="").append_text(plain(f"{card.name}  {card.title}", palette.strong))
    title.truncate(width, overflow="ellipsis")
    rows = [title]
    for label, words in (("Hypothesis", card.hypothesis), ("Set-up", card.setup), ("Watch for", card.watch_for)):
        if words:
            prose = wrap(f"{label}: {words}", width, palette.text, indent="  ", first="")
            prose[0].stylize(palette.accent, 0, len(label))
            rows += prose
    return rows


def size_rows(checked: Checked, palette: Palette, width: int) -> list[Text]:
    """Steps, slots, segments and memory, as many in a row as there is room for."""
    lines: list[str] = []
    for name, value in checked.size:
        item = f" {name} {value}"
        if lines and len(lines[-1]) + 2 + len(item) <= width:
            lines[-1] += f"  {item}"
        else:
            lines.append(item)
    return [Text(line, style=palette.bad if checked.problem else palette.strong, no_wrap=True) for line in lines]


def change_rows(checked: Checked, card: Card, palette: Palette, width: int) -> list[Text]:
    """The size of the run, then every key that differs from EXP-00 at the preset of the plan, and who set it."""
    rows = size_rows(checked, palette, width)
    if checked.problem:
        return rows
    if not checked.changes:
        return [*rows, Text(" nothing: this is EXP-00", style=palette.muted)]
    column = min(max(len(key) for key, *_ in checked.changes), max(16, width // 2))
    for key, before, after, source in checked.changes:
        row = Text(no_wrap=True, end="")
        row.append_text(plain(f" {key:<{column}}  ", palette.muted))
        row.append_text(plain(before, palette.faint)).append(" → ", palette.faint)
        row.append_text(plain(after, palette.good if source == "override" else palette.text))
        row.append_text(plain(f"  {source}", palette.faint))
        row.truncate(width, overflow="ellipsis")
        rows.append(row)
    return rows

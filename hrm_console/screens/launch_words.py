"""The launch form in words: experiments, suggestions, all settings, how the run differs from EXP-00. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from rich.text import Text
from textual.message import Message

from hrm_console.theme import Palette
from hrm_console.words import plain, wrap

if TYPE_CHECKING:
    from hrm_console.rows.listing import RunLine
    from hrm_console.views.launch.overrides import Candidate
    from hrm_console.views.launch.recipes import Card, Checked
    from hrm_core.recipe.schema_info import SettingInfo


Form = tuple[str, str, str]
"""Experiment, preset, overrides as typed. Of a run that is made longer: its name, nothing, overrides."""
INDENT = " " * 11
VERDICT_ROWS = 5
CANDIDATE_ROWS = 2
COUNT_CELLS = 6
# Group and mark, then name, value and EXP-00's value; the description gets the rest.
GROUP, NAME, VALUE = 11, 26, 14
ROOMY = 88


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


def candidate_rows(found: Sequence[Candidate], at: int, palette: Palette, width: int) -> list[Text]:
    """What the word may become, as far as two rows hold it around the marked one, which stands in ‹ ›."""
    if not found:
        return []
    room = max(8, width - len(INDENT) - COUNT_CELLS)
    pages: list[list[list[int]]] = [[[]]]
    used = 0
    for number, candidate in enumerate(found):
        length = len(candidate.shown) + 2
        if used and used + length > room:
            used = 0
            if len(pages[-1]) < CANDIDATE_ROWS:
                pages[-1].append([])
            else:
                pages.append([[]])
        pages[-1][-1].append(number)
        used += length
    page = next(lines for lines in pages if any(at in line for line in lines))
    rows = []
    for line in page:
        rows.append(Text(INDENT, no_wrap=True, end=""))
        for number in line:
            marked = number == at
            word = f"‹{found[number].shown}›" if marked else f" {found[number].shown} "
            rows[-1].append_text(plain(word, f"bold {palette.accent}" if marked else palette.muted))
    if len(pages) > 1:
        rows[-1].append(f" {at + 1}/{len(found)}", palette.faint)
    return rows


def experiment_row(card: Card, palette: Palette) -> Text:
    """A row of the list; what is not built yet is dim and marked."""
    row = Text(no_wrap=True, end="")
    mark = "*" if card.mine else " "
    row.append_text(plain(f"{mark}{card.name:<13} "[:15], palette.muted if card.unbuilt else palette.strong))
    row.append_text(plain(card.title, palette.faint if card.unbuilt else palette.text))
    return row


def experiment_rows(card: Card, palette: Palette, width: int) -> list[Text]:
    """Title, hypothesis, set-up, what to watch for."""
    head = f"{card.name}  {card.title}" + ("  (your own)" if card.mine else "")
    title = Text(no_wrap=True, end="").append_text(plain(head, palette.strong))
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
    rows = [Text(line, style=palette.bad if checked.problem else palette.strong, no_wrap=True) for line in lines]
    for note in checked.notes:
        rows += wrap(note, width, palette.muted, indent="   ", first=" ")
    return rows


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


def longer_rows(line: RunLine | None, name: str, palette: Palette, width: int) -> list[Text]:
    """The run that is made longer."""
    if line is None:
        return wrap(f"{name} is not in the folder.", width, palette.bad)
    words = f"It is {line.state}"
    if line.step is not None and line.max_steps is not None:
        words += f" at step {line.step:.0f} of {line.max_steps:.0f}"
    reason = line.result.get("reason")
    words += f" ({reason})." if reason else "."
    rows = [plain(f"Extend {name}", palette.strong, width), *wrap(words, width, palette.text)]
    prose = (
        "It goes on from a checkpoint with its own recipe and a new length: training.max_steps=N, or a new "
        "training.time_budget. Where its learning rate had begun to fall, from the last checkpoint before that."
    )
    return rows + wrap(prose, width, palette.text)


def setting_header(palette: Palette, width: int) -> Text:
    """The names of the columns of all settings."""
    last = "what it is" if width >= ROOMY else ""
    words = f" {'group':<{GROUP}}{'setting':<{NAME}} {'value':<{VALUE}} {'EXP-00':<{VALUE}} {last}"
    row = Text(words, palette.muted, no_wrap=True, end="")
    row.truncate(width)
    return row


def setting_row(info: SettingInfo, group: str, value: str, source: str, palette: Palette, width: int) -> Text:
    """A setting: marked where it differs from EXP-00, by a sign as well as by colour."""
    control, name = _control(info), info.key.partition(".")[2]
    differs = value not in ("", control)
    style = palette.good if source == "override" else palette.accent if differs else palette.text
    row = Text(no_wrap=True, end="")
    row.append_text(plain(f" {group:<{GROUP - 1}}", palette.muted))
    row.append("≠" if differs else " ", style)
    row.append_text(plain(_cell(name, NAME), palette.text if info.built else palette.faint))
    row.append(" ")
    row.append_text(plain(_cell(value or "off", VALUE), style if value else palette.faint))
    row.append(" ")
    row.append_text(plain(_cell(control, VALUE), palette.muted))
    if width >= ROOMY:
        row.append(" ").append_text(plain(info.description, palette.faint))
    row.truncate(width, overflow="ellipsis")
    return row


def detail_rows(info: SettingInfo, value: str, source: str, palette: Palette, width: int) -> list[Text]:
    """What the setting under the cursor is, what it may be, and who set it."""
    who = f"; set by {source}" if source and value else "; its technique is off" if not value else ""
    later = "" if info.built else " Not built yet."
    words = f"{info.key}: {info.description} ({info.type_text}; EXP-00: {_control(info)}{who}).{later}"
    return wrap(words, width - 1, palette.text, indent=" ")


def _control(info: SettingInfo) -> str:
    value = info.default
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _cell(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else text[: width - 1] + "…"

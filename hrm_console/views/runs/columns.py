"""The runs table: which columns fit a width, and a run's row in them. Pure functions, also used by `--once`.

`RunLine` and a width in cells -> rich Text of that width. Columns have a rank; the last ranks are left out where the
terminal is narrow, and what is over goes to the run's name first and the alarms' names then. The first two cells say
whether the run is marked and whether it is the baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import final

from rich.text import Text

from hrm_console.rows.listing import RunLine
from hrm_console.theme import Palette
from hrm_console.words import (
    NOTHING,
    count,
    duration,
    finite,
    middle,
    number,
    plain,
    progress_bar,
    rate,
    share,
    signed_share,
    state_text,
)
from hrm_core.runs.facts import SORTS

NAME_LEAST, NAME_MOST, ALARMS_MOST = 16, 36, 48
MARKED, BASELINE = "◆", "B"
# The cells before the first column, and the one that a scroll bar may take.
LEAD, SCROLL_BAR = 2, 1
# Columns of this rank and higher come only where names have room for an experiment, a date and a time.
LUXURY, NAME_ROOMY = 9, 30


@final
@dataclass(frozen=True)
class Column:
    """A column: its title, its least width, what stands in it, and what it sorts by. A low rank stays longest."""

    title: str
    width: int
    rank: int
    cell: Callable[[RunLine, int, Palette], Text]
    key: str = ""
    right: bool = True


def _state(line: RunLine, width: int, palette: Palette) -> Text:
    return state_text(line.state, palette)


def _name(line: RunLine, width: int, palette: Palette) -> Text:
    return plain(middle(line.run_id, width), palette.strong if not line.ended else palette.text)


def _progress(line: RunLine, width: int, palette: Palette) -> Text:
    return progress_bar(line.fraction, width, palette)


def _steps(line: RunLine, width: int, palette: Palette) -> Text:
    if line.step is None and line.max_steps is None:
        return Text(NOTHING, style=palette.faint)
    return Text.assemble((count(line.step or 0), palette.text), (f"/{count(line.max_steps)}", palette.muted))


def _number(get: Callable[[RunLine], float | None], form: Callable[[object], str]) -> Callable[..., Text]:
    def cell(line: RunLine, width: int, palette: Palette) -> Text:
        text = form(get(line))
        return Text(text, style=palette.faint if text == NOTHING else palette.text)

    return cell


def _trivial(line: RunLine, width: int, palette: Palette) -> Text:
    return Text(share(line.trivial), style=palette.muted)


def _lift(line: RunLine, width: int, palette: Palette) -> Text:
    if line.lift is None:
        return Text(NOTHING, style=palette.faint)
    return Text(signed_share(line.lift), style=palette.good if line.lift > 0 else palette.warn)


def _begun(line: RunLine, width: int, palette: Palette) -> Text:
    written = str(line.run_json.get("created_utc") or "")
    return plain(written[5:16].replace("T", " "), palette.muted)


def _alarms(line: RunLine, width: int, palette: Palette) -> Text:
    if not line.alarms:
        return Text("")
    style = palette.bad if line.state in ("lost", "failed") else palette.warn
    if width < 14:
        return Text(f"▲{len(line.alarms)}", style=style)
    return plain("▲ " + ", ".join(alarm.name for alarm in line.alarms), style, width)


def _best_exact(line: RunLine) -> float | None:
    """The best exact score; another score would stand beside the trivial value of `exact`."""
    best = line.best or {}
    return finite(best.get("value")) if best.get("metric", "exact") == "exact" else None


def _where(line: RunLine, width: int, palette: Palette) -> Text:
    return plain(middle(line.where or "local", width), palette.muted)


COLUMNS = (
    Column("state", 10, 0, _state, "state", right=False),
    Column("run", NAME_LEAST, 0, _name, "name", right=False),
    Column("", 12, 9, _progress, "done", right=False),
    Column("step", 11, 1, _steps, "step"),
    Column("loss", 6, 4, _number(lambda line: line.loss, number), "loss"),
    Column("exact%", 6, 2, _number(lambda line: line.exact, share), "val"),
    Column("triv%", 5, 3, _trivial),
    Column("lift", 5, 5, _lift, "lift"),
    Column("seg/s", 5, 8, _number(lambda line: line.speed, rate), "speed"),
    Column("best%", 6, 10, _number(_best_exact, share), "best"),
    Column("ETA", 6, 6, _number(lambda line: line.eta_s, duration), "eta"),
    Column("begun", 12, 11, _begun, "age", right=False),
    Column("where", 14, 6, _where, right=False),
    Column("", 3, 7, _alarms, "alarms", right=False),
)


def columns_for(width: int, lines: Sequence[RunLine] = ()) -> list[Column]:
    """The columns that fit, in the order of the table, with what is over given to the name and the alarms. Where runs
    are is said as soon as one of them is not of this machine."""
    elsewhere = any(line.where for line in lines)
    chosen: list[Column] = []
    room = width - LEAD - SCROLL_BAR
    for column in sorted(COLUMNS, key=lambda column: column.rank):
        if column.cell is _where and not elsewhere:
            continue
        kept = NAME_ROOMY - NAME_LEAST if column.rank >= LUXURY else 0
        if column.rank == 0 or room - kept >= column.width + 1:
            chosen.append(column)
            room -= column.width + 1
    widened = []
    for column in (column for column in COLUMNS if column in chosen):
        if column.cell in (_name, _alarms):
            most = NAME_MOST if column.cell is _name else ALARMS_MOST
            more = max(min(room, most - column.width), 0)
            column, room = replace(column, width=column.width + more), room - more
        widened.append(column)
    return widened


def sort_keys(columns: list[Column]) -> tuple[str, ...]:
    """What the columns in sight sort by, from left to right."""
    return tuple(column.key for column in columns if column.key)


def header_row(columns: list[Column], palette: Palette, sort: str = "") -> Text:
    """The titles; the column that the table is sorted by has an arrow: ↓ the largest value stands first."""
    row = Text(" " * LEAD, style=palette.muted, no_wrap=True, end="")
    for column in columns:
        title = "alarms" if column.cell is _alarms and column.width >= 6 else column.title
        if column.key and column.key == sort.removeprefix("-"):
            title = title or {"done": "done", "alarms": "▲"}.get(column.key, "")
            arrow = sort_arrow(sort)
            words = f"{title.rjust(column.width)}{arrow}" if column.right else f"{title}{arrow}".ljust(column.width + 1)
            row.append(words, f"bold {palette.accent}")
            continue
        row.append(title.rjust(column.width) if column.right else title.ljust(column.width))
        row.append(" ")
    return row


def sort_arrow(sort: str) -> str:
    """↓ where values fall from top to bottom, ↑ where they rise. The column of `age` shows when a run was begun."""
    key = sort.removeprefix("-")
    falling = SORTS.get(key, False) != sort.startswith("-")
    return "↓" if falling != (key == "age") else "↑"


def run_row(
    line: RunLine, columns: list[Column], palette: Palette, marked: bool = False, baseline: bool = False
) -> Text:
    """A run's row."""
    row = Text(no_wrap=True, end="")
    row.append(MARKED if marked else " ", palette.special)
    row.append(BASELINE if baseline else " ", f"bold {palette.accent}")
    for column in columns:
        cell = column.cell(line, column.width, palette)
        cell.truncate(column.width, overflow="ellipsis")
        gap = " " * (column.width - cell.cell_len)
        row.append_text(Text(gap) + cell if column.right else cell + Text(gap))
        row.append(" ")
    return row


@final
class RowCache:
    """Rows of runs, made again only for a run that has changed: 200 rows cost 70 ms, and a tick changes a few."""

    def __init__(self) -> None:
        self._look: tuple[list[Column], Palette] | None = None
        self._rows: dict[str, tuple[RunLine, bool, bool, Text]] = {}

    def rows(
        self, lines: Sequence[RunLine], columns: list[Column], palette: Palette, marked: Collection[str], baseline: str
    ) -> list[Text]:
        """A row for each run. Whoever reads runs keeps the object of one that did not change."""
        if self._look != (columns, palette):
            self._look, self._rows = (columns, palette), {}
        known, self._rows = self._rows, {}
        for line in lines:
            flags = line.run_id in marked, line.run_id == baseline
            entry = known.get(line.run_id)
            if entry is None or entry[0] is not line or entry[1:3] != flags:
                entry = (line, *flags, run_row(line, columns, palette, *flags))
            self._rows[line.run_id] = entry
        return [self._rows[line.run_id][3] for line in lines]

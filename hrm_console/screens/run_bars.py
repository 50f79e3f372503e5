"""The lines above the run screen: its pages, and the first alarm. Pure: values, a palette, a width -> a row of Text."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from hrm_console.rows.listing import RunLine
from hrm_console.theme import Palette
from hrm_console.widgets.bar import two_ends
from hrm_console.words import plain, tabs

PAGES = ("curves", "status", "alarms", "log", "config", "halting", "families", "values")
BRIEF_BELOW = 110


def banner_text(line: RunLine | None, palette: Palette, width: int) -> Text:
    """The first alarm, and where to read more."""
    if line is None or not line.alarms:
        return Text("")
    alarm = line.alarms[0]
    more = Text(f" 3: what to try{f', {len(line.alarms) - 1} more' if len(line.alarms) > 1 else ''} ")
    return two_ends(plain(f" ▲ {alarm.name}: {alarm.sentence}"), more, width, palette.bar_alarm)


def tabs_text(page: str, line: RunLine | None, charts: str, share: float | None, palette: Palette, width: int) -> Text:
    """The pages by number, the one shown underlined; at the right how much of a long run is read so far, or which
    charts are in sight, where not all are."""
    brief, alarms = width < BRIEF_BELOW, 0 if line is None else len(line.alarms)
    left = tabs(PAGES, page, palette, brief, "" if not alarms else "▲" if brief else f" ▲{alarms}")
    if share is not None and share < 1:
        right = Text(f"{100 * share:.0f} % read", palette.accent)
    else:
        right = Text.assemble((charts, palette.muted), (" []", palette.key)) if charts else Text("")
        if left.cell_len + right.cell_len > width:  # the keys that turn them are in the help too
            right = Text(charts, palette.muted)
    return two_ends(left, right, width, "")


def in_sight(pane: Widget) -> bool:
    """Whether a pane has room and is not hidden by its page."""
    return bool(pane.size.width) and all(node.display for node in pane.ancestors_with_self if isinstance(node, Widget))

"""How values are written: numbers, shares, times, states. Pure functions, tested alone.

value from a run's files (or None) -> short cleaned text. Anything that comes from a file, a name or an exception goes
through `plain`, the one door to the terminal; nothing here reads a file.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text

from hrm_console.theme import Palette
from hrm_core.runs.text import clean

NOTHING = "·"
STATE_MARKS = {
    "starting": "○",
    "running": "●",
    "paused": "‖",
    "stopping": "◍",
    "finished": "✓",
    "stopped": "■",
    "failed": "✗",
    "lost": "!",
    "stalled": "…",
}
ENDED = frozenset({"finished", "stopped", "failed"})
LIVE = frozenset({"starting", "running", "paused", "stopping", "stalled"})
RESUMABLE = frozenset({"lost", "stopped", "failed"})


def plain(value: object, style: str = "", width: int | None = None) -> Text:
    """Text from outside, cleaned, on one line, cut to `width` with an ellipsis."""
    text = Text(clean(str(value)), style=style, no_wrap=True, end="")
    if width is not None:
        text.truncate(max(0, width), overflow="ellipsis")
    return text


def finite(value: object) -> float | None:
    """A number that can be shown, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def number(value: object, digits: int = 3) -> str:
    """A quantity with `digits` significant digits: 0.912, 12.3, 4.1e-05."""
    found = finite(value)
    if found is None:
        return NOTHING
    if not found:
        return "0"
    if not 1e-3 <= abs(found) < 1e5:
        return f"{found:.{max(0, digits - 2)}e}"
    whole = max(1, len(str(int(abs(found)))))
    return f"{found:.{max(0, digits - whole + (1 if abs(found) < 1 else 0))}f}"


def share(value: object) -> str:
    """A share of 1 in percent without the sign: 12.3."""
    found = finite(value)
    return NOTHING if found is None else f"{100 * found:.1f}"


def signed_share(value: object) -> str:
    """A difference of shares in points: +11.4."""
    found = finite(value)
    return NOTHING if found is None else f"{100 * found:+.1f}"


def count(value: object) -> str:
    """A whole number, shortened: 840, 1.3k, 100k, 6.8M."""
    found = finite(value)
    if found is None:
        return NOTHING
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(found) >= size * 0.9995:
            scaled = found / size
            return f"{scaled:.1f}".rstrip("0").rstrip(".") + letter if scaled < 99.95 else f"{scaled:.0f}{letter}"
    return f"{found:.0f}"


def rate(value: object) -> str:
    """A speed: 1.7, 42, 1.3k."""
    found = finite(value)
    if found is None:
        return NOTHING
    return f"{found:.1f}" if abs(found) < 10 else count(found)


def duration(seconds: object) -> str:
    """A length of time in two units at most: 45s, 3m20, 2h05, 1d04h."""
    found = finite(seconds)
    if found is None or found < 0:
        return NOTHING
    whole = round(found)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02d}"
    return f"{hours // 24}d{hours % 24:02d}h"


def state_style(state: str, palette: Palette) -> str:
    """The colour of a run's state."""
    return {
        "running": palette.good,
        "starting": palette.accent,
        "paused": palette.special,
        "stopping": palette.accent,
        "finished": palette.muted,
        "stopped": palette.muted,
        "failed": palette.bad,
        "lost": palette.bad,
        "stalled": palette.warn,
    }.get(state, palette.muted)


def state_text(state: str, palette: Palette) -> Text:
    """A mark and the word, so that the state does not hang on colour."""
    return plain(f"{STATE_MARKS.get(state, '·')} {state}", state_style(state, palette))


def middle(name: str, width: int) -> str:
    """A name shortened in its middle, since its ends tell runs apart."""
    name = clean(name)
    if len(name) <= width:
        return name
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) // 2
    return name[: width - 1 - tail] + "…" + (name[-tail:] if tail else "")


def wrap(value: object, width: int, style: str = "", indent: str = "", first: str | None = None) -> list[Text]:
    """Prose from outside as rows of at most `width` cells, each after `indent` (the first after `first`)."""
    lines: list[str] = []
    for paragraph in clean_lines(str(value)):
        lines += textwrap.wrap(
            paragraph,
            max(8, width),
            initial_indent=first if first is not None and not lines else indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        ) or [""]
    return [Text(line, style=style, no_wrap=True, end="") for line in lines]


def fold(text: str, width: int, indent: str = "   ") -> list[str]:
    """A cleaned line as rows of at most `width` characters, the further ones indented. Far faster than `wrap`."""
    rows, rest, lead = [], text, " "
    while len(rest) + len(lead) > width > 2 * len(indent):
        room = width - len(lead)
        at = rest.rfind(" ", room // 2, room + 1)
        at = room if at < 0 else at
        rows.append(lead + rest[:at])
        rest, lead = rest[at:].lstrip(" "), indent
    return [*rows, lead + rest]


def clean_lines(text: str) -> list[str]:
    """The lines of a text, each cleaned."""
    return [clean(line) for line in text.splitlines()] or [""]


def table(pairs: Iterable[tuple[str, Any]], palette: Palette, width: int, indent: str = " ") -> list[Text]:
    """Name and value rows with the names in one column; values are strings or Text."""
    listed = list(pairs)
    column = max((len(name) for name, _ in listed), default=0)
    rows = []
    for name, value in listed:
        row = Text(f"{indent}{name:<{column}}  ", style=palette.muted, no_wrap=True, end="")
        row.append_text(value if isinstance(value, Text) else plain(value, palette.text))
        row.truncate(max(0, width), overflow="ellipsis")
        rows.append(row)
    return rows


def tabs(pages: Sequence[str], page: str, palette: Palette, brief: bool = False, alarm: str = "") -> Text:
    """The pages by number, the one shown underlined; `alarm` stands behind the page of that name."""
    row = Text(no_wrap=True, end="")
    for place, name in enumerate(pages, 1):
        mark = alarm if name == "alarms" else ""
        row.append(f"{place} " if brief else f" {place} ", palette.key)
        style = f"{palette.strong} underline" if name == page else palette.warn if mark else palette.muted
        row.append(f"{name}{mark}", style).append(" ")
    return row


def progress_bar(fraction: float | None, width: int, palette: Palette) -> Text:
    """A thin bar of `width` cells, filled to `fraction`."""
    filled = 0 if fraction is None else round(max(0.0, min(1.0, fraction)) * width)
    return Text.assemble(("━" * filled, palette.accent), ("─" * (width - filled), palette.faint), no_wrap=True, end="")

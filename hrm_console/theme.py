"""The colours of the app: one Textual theme and one palette of styles for text drawn by us.

A terminal's number of colours ("standard" is 16, "256", "truecolor", or None) -> the theme's name and a `Palette` of
rich styles. Every colour of the full palette is one of the 240 fixed xterm colours, so that 256-colour terminals (what
SSH gives by default) show exactly what was meant. Sixteen-colour terminals get the terminal's own colours. Which
curve has which colour is decided in charts/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from textual.theme import Theme


@final
@dataclass(frozen=True)
class Palette:
    """Rich style strings by meaning. `cursor` is for the row under the cursor, the others colour words."""

    text: str
    strong: str
    muted: str
    faint: str
    accent: str
    good: str
    warn: str
    bad: str
    special: str
    cursor: str
    cursor_blurred: str
    bar: str
    title: str
    bar_alarm: str
    key: str


FULL = Palette(
    text="#d0d0d0",
    strong="bold #eeeeee",
    muted="#8a8a8a",
    faint="#585858",
    accent="#5fafff",
    good="#87d787",
    warn="#ffd75f",
    bad="#ff8787",
    special="#af87ff",
    cursor="on #303a48",
    cursor_blurred="on #262626",
    bar="#d0d0d0 on #1c1c1c",
    title="bold #eeeeee",
    bar_alarm="bold #121212 on #ffd75f",
    key="bold #5fafff",
)

SIXTEEN = Palette(
    text="default",
    strong="bold",
    muted="dim",
    faint="dim",
    accent="cyan",
    good="green",
    warn="yellow",
    bad="red",
    special="magenta",
    cursor="reverse",
    cursor_blurred="underline",
    bar="reverse",
    title="bold",
    bar_alarm="bold black on yellow",
    key="bold cyan",
)

CALM = Theme(
    name="calm",
    dark=True,
    primary="#5fafff",
    secondary="#5f87af",
    accent="#5fafff",
    warning="#ffd75f",
    error="#ff8787",
    success="#87d787",
    foreground="#d0d0d0",
    background="#121212",
    surface="#1c1c1c",
    panel="#262626",
    variables={
        "scrollbar": "#303030",
        "scrollbar-hover": "#444444",
        "scrollbar-active": "#5f87af",
        "scrollbar-background": "#121212",
        "scrollbar-background-hover": "#121212",
        "scrollbar-background-active": "#121212",
        "scrollbar-corner-color": "#121212",
        "border": "#5fafff",
        "border-blurred": "#303030",
        "input-cursor-background": "#d0d0d0",
        "input-cursor-foreground": "#121212",
        "input-selection-background": "#5f87af 50%",
    },
)


def palette_for(color_system: str | None) -> Palette:
    """The palette for rich's name of a colour system: None (no colour), "standard", "256" or "truecolor"."""
    return FULL if color_system in ("256", "truecolor", "windows") else SIXTEEN


def theme_for(color_system: str | None) -> str:
    """The theme's name for rich's name of a colour system."""
    return CALM.name if color_system in ("256", "truecolor", "windows") else "ansi-dark"

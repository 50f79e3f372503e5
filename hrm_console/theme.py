"""The colours of the app: two Textual themes and two palettes of styles for text drawn by us.

A terminal's number of colours ("standard" is 16, "256", "truecolor", or None) -> the theme's name and a `Palette` of
rich styles. Every colour of the full palette is one of the 240 fixed xterm colours, so that 256-colour terminals (what
SSH gives by default) show exactly what was meant. Sixteen-colour terminals get the terminal's own colours. Which
curve has which colour is decided in charts/.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    muted="bright_black",
    faint="bright_black",
    accent="bright_cyan",
    good="bright_green",
    warn="bright_yellow",
    bad="bright_red",
    special="bright_magenta",
    cursor="bold on blue",
    cursor_blurred="underline",
    bar="default",
    title="bold underline",
    bar_alarm="bold black on yellow",
    key="bold bright_cyan",
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


PLAIN = Theme(
    name="calm-16",
    ansi=True,
    dark=True,
    primary="ansi_bright_cyan",
    secondary="ansi_cyan",
    accent="ansi_bright_cyan",
    warning="ansi_bright_yellow",
    error="ansi_bright_red",
    success="ansi_bright_green",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "border": "ansi_cyan",
        "border-blurred": "ansi_bright_black",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_white",
        "scrollbar": "ansi_bright_black",
        "scrollbar-hover": "ansi_cyan",
        "scrollbar-active": "ansi_cyan",
        "scrollbar-background": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "scrollbar-corner-color": "ansi_default",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-selection-background": "ansi_cyan",
        "input-selection-foreground": "ansi_black",
        "screen-selection-background": "ansi_cyan",
        "screen-selection-foreground": "ansi_black",
    },
)

# After Okabe and Ito: blue, orange and vermilion, told apart by red-, green- and blue-blind eyes, and by brightness.
CLEAR_PALETTE = replace(
    FULL,
    accent="#5fd7ff",
    good="#5fafff",
    warn="#ffaf00",
    bad="#ff5f00",
    special="#d787af",
    bar_alarm="bold #121212 on #ffaf00",
    key="bold #5fd7ff",
)
LIGHT_PALETTE = Palette(
    text="#303030",
    strong="bold #121212",
    muted="#6c6c6c",
    faint="#b2b2b2",
    accent="#005faf",
    good="#008700",
    warn="#af5f00",
    bad="#d70000",
    special="#8700af",
    cursor="on #d0e0f0",
    cursor_blurred="on #e4e4e4",
    bar="#303030 on #dadada",
    title="bold #121212",
    bar_alarm="bold #121212 on #ffd75f",
    key="bold #005faf",
)

CLEAR = Theme(
    name="clear",
    dark=True,
    primary="#5fd7ff",
    secondary="#5fafff",
    accent="#5fd7ff",
    warning="#ffaf00",
    error="#ff5f00",
    success="#5fafff",
    foreground=CALM.foreground,
    background=CALM.background,
    surface=CALM.surface,
    panel=CALM.panel,
    variables={**CALM.variables, "border": "#5fd7ff"},
)
LIGHT = Theme(
    name="light",
    dark=False,
    primary="#005faf",
    secondary="#5f87af",
    accent="#005faf",
    warning="#af5f00",
    error="#d70000",
    success="#008700",
    foreground="#303030",
    background="#eeeeee",
    surface="#e4e4e4",
    panel="#dadada",
    variables={
        "scrollbar": "#bcbcbc",
        "scrollbar-hover": "#9e9e9e",
        "scrollbar-active": "#5f87af",
        "scrollbar-background": "#eeeeee",
        "scrollbar-background-hover": "#eeeeee",
        "scrollbar-background-active": "#eeeeee",
        "scrollbar-corner-color": "#eeeeee",
        "border": "#005faf",
        "border-blurred": "#bcbcbc",
        "input-cursor-background": "#303030",
        "input-cursor-foreground": "#eeeeee",
        "input-selection-background": "#5f87af 40%",
    },
)
THEMES = (CALM, CLEAR, LIGHT, PLAIN)
MANY_COLORS = ("256", "truecolor", "windows")


def palette_for(color_system: str | None) -> Palette:
    """The palette for rich's name of a colour system: None (no colour), "standard", "256" or "truecolor"."""
    return FULL if color_system in MANY_COLORS else SIXTEEN


def look_for(setting: str, color_system: str | None) -> tuple[str, Palette]:
    """(theme's name, palette) for the setting console.theme and rich's name of the terminal's colour system.

    A terminal of sixteen colours always gets its own: it would show others as their nearest, which may be the same.
    """
    if color_system not in MANY_COLORS or setting == "ansi":
        return PLAIN.name, SIXTEEN
    looks = {"clear": (CLEAR.name, CLEAR_PALETTE), "light": (LIGHT.name, LIGHT_PALETTE)}
    return looks.get(setting, (CALM.name, FULL))

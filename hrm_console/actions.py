"""The one table of everything a key does. From it come bindings, footer, help, palette and the README's table of keys.

The rows are in `tables/`, one file a screen, and what several screens share. Nothing binds a key anywhere else, except
the movement keys inside widgets, which are listed in `MOVEMENT` for the help screen. A key map (action's id -> keys,
from the user's keys.toml) changes what is bound and what is shown alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from textual.binding import Binding, BindingType

from hrm_console.action import Action
from hrm_console.rooms import DIALOGS, ROOMS
from hrm_console.tables import (
    archive,
    charts,
    compare,
    device,
    dialogs,
    everywhere,
    launch,
    puzzles,
    queue,
    run,
    runs,
    settings,
    shared,
)

EVERYWHERE = "everywhere"
SCREENS = {EVERYWHERE: "Everywhere", **{name: room.title for name, room in ROOMS.items()}, **DIALOGS}

ACTIONS: tuple[Action, ...] = (
    *runs.ACTIONS,
    *run.ACTIONS,
    *launch.ACTIONS,
    *settings.ACTIONS,
    *puzzles.ACTIONS,
    *archive.ACTIONS,
    *compare.ACTIONS,
    *device.ACTIONS,
    *queue.ACTIONS,
    *dialogs.ACTIONS,
    *shared.ACTIONS,
    *runs.MORE,
    *run.LOOKING,
    *charts.ACTIONS,
    *everywhere.ACTIONS,
)

MOVEMENT: tuple[tuple[str, str], ...] = (
    ("up down", "Move the cursor, or scroll."),
    ("pgup pgdn", "Move by a page."),
    ("home end", "First and last row; in a log, end follows what is written."),
    ("tab shift+tab", "Next and previous pane or field."),
)

KEY_NAMES = {
    "question_mark": "?",
    "escape": "esc",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "slash": "/",
    "backslash": "\\",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "comma": ",",
    "full_stop": ".",
    "colon": ":",
    "semicolon": ";",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "exclamation_mark": "!",
    "number_sign": "#",
    "asterisk": "*",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "delete": "del",
}


def key_name(key: str) -> str:
    """How a key is written for a reader: ^q, F5, ?, esc."""
    if key.startswith("ctrl+"):
        return "^" + key.removeprefix("ctrl+")
    if len(key) in (2, 3) and key[0] == "f" and key[1:].isdigit():
        return key.upper()
    return KEY_NAMES.get(key, key)


def remapped(action: Action, keymap: Mapping[str, str]) -> Action:
    """The action with the user's keys, where the map names it."""
    keys = keymap.get(action.id)
    return action if keys is None else replace(action, keys=keys, shown=key_name(keys.partition(",")[0]))


def actions_of(screen: str, keymap: Mapping[str, str] | None = None) -> tuple[Action, ...]:
    """The actions of a screen, in the order of the table, those of every screen last."""
    own = [action for action in ACTIONS if screen in action.screens]
    common = [action for action in ACTIONS if EVERYWHERE in action.screens and screen not in action.screens]
    return tuple(remapped(action, keymap or {}) for action in own + common)


def bindings_of(screen: str) -> list[BindingType]:
    """Textual's bindings of a screen's own actions, or of the app's with EVERYWHERE. Hidden: the footer is ours."""
    return [
        Binding(action.keys, action.call, action.word, show=False, id=action.id, priority=action.priority)
        for action in ACTIONS
        if screen in action.screens
    ]

"""The user's settings and keys in words, and values as they are typed. Pure functions, tested alone.

`Setting` and its value, or the table of actions and a key map -> rows of Text; typed text -> value or UserError. What
there is to set stands in hrm_core/runs/user_settings.py; whether keys clash is decided by keys.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from rich.text import Text

from hrm_console.action import Action
from hrm_console.actions import ACTIONS, SCREENS, key_name, remapped
from hrm_console.theme import Palette
from hrm_console.words import plain, wrap
from hrm_core.errors import UserError
from hrm_core.runs.user_settings import Setting, Value, allowed, parsed

NAME, VALUE = 24, 18
SCREEN, KEYS, WORD = 14, 14, 18
ROOMY = 100
# Settings of the console that hold from now on; those of other groups are read by what is started from now on.
NEXT_START = frozenset({"console.mouse"})


@final
@dataclass(frozen=True)
class KeyRow:
    """An action as a screen has it."""

    screen: str
    action: Action


def shown(value: Value) -> str:
    """A value as it is written in the list, and typed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return shlex.join(value)
    return f"{value:g}" if isinstance(value, float) else value


def typed(setting: Setting, text: str) -> Value:
    """What was typed, as a value. UserError with what the setting may be."""
    text = text.strip()
    if setting.kind == "number":
        try:
            return parsed(setting, float(text))
        except ValueError:
            raise UserError(f"{setting.key} = {text[:60]!r}: {allowed(setting)}") from None
    if setting.kind == "words":
        try:
            return parsed(setting, shlex.split(text))
        except ValueError as error:
            raise UserError(f"{setting.key}: {str(error).lower()}; close the quote") from None
    if setting.kind == "yes or no":
        if text.lower() not in ("yes", "no", "true", "false"):
            raise UserError(f"{setting.key} = {text[:60]!r}: yes or no")
        return text.lower() in ("yes", "true")
    return parsed(setting, text)


def stepped(setting: Setting, value: Value) -> Value | None:
    """The next choice, the other of yes and no, or None where a value is typed."""
    if setting.kind == "yes or no":
        return value is not True
    if setting.choices:
        at = setting.choices.index(value) + 1 if isinstance(value, str) and value in setting.choices else 0
        return setting.choices[at % len(setting.choices)]
    return None


def holds(setting: Setting) -> str:
    """From when on a changed value holds."""
    if setting.key in NEXT_START:
        return "holds from the next start of the console"
    return "holds at once" if setting.key.startswith("console.") else "holds for what is started from now on"


def setting_row(setting: Setting, group: str, value: Value, palette: Palette, width: int) -> Text:
    """A setting, marked where it is not the default."""
    changed = value != setting.default
    row = Text(no_wrap=True, end="")
    row.append_text(plain(f" {group:<9}", palette.muted))
    row.append("≠" if changed else " ", palette.accent)
    row.append_text(plain(f"{setting.key.partition('.')[2]:<{NAME}}", palette.text))
    row.append_text(plain(_cell(shown(value) or "(none)", VALUE), palette.accent if changed else palette.text))
    row.append_text(plain(_cell(shown(setting.default) or "(none)", VALUE), palette.muted))
    if width >= ROOMY:
        row.append_text(plain(setting.sentence, palette.faint))
    row.truncate(width, overflow="ellipsis")
    return row


def setting_header(palette: Palette, width: int) -> Text:
    """The names of the columns."""
    last = "what it is" if width >= ROOMY else ""
    row = Text(f" {'group':<10}{'setting':<{NAME}}{'value':<{VALUE}}{'default':<{VALUE}}{last}", palette.muted)
    row.truncate(width)
    return row


def setting_detail(setting: Setting, palette: Palette, width: int) -> list[Text]:
    """What the setting under the cursor is, what it may be, and from when on it holds."""
    may = {"yes or no": "yes or no", "text": "text", "words": "words as in a shell, such as notify-send"}
    said = may.get(setting.kind) or allowed(setting)
    rows = wrap(f"{setting.key}: {setting.sentence}", width - 1, palette.text, indent=" ")
    default = shown(setting.default) or "(none)"
    return rows + wrap(f"{said}; default {default}; {holds(setting)}", width - 1, palette.muted, indent=" ")


def key_rows() -> tuple[KeyRow, ...]:
    """Every action by screen, in the order of the help."""
    return tuple(KeyRow(name, action) for name in SCREENS for action in ACTIONS if name in action.screens)


def key_row(row: KeyRow, screen: str, keymap: Mapping[str, str], palette: Palette, width: int) -> Text:
    """An action of a screen with its keys, marked where they are not the usual ones."""
    changed = row.action.id in keymap
    text = Text(no_wrap=True, end="")
    text.append_text(plain(f" {_cell(screen, SCREEN)}", palette.muted))
    text.append("≠" if changed else " ", palette.accent)
    text.append_text(plain(_cell(keys_of(row.action, keymap), KEYS), palette.key))
    text.append_text(plain(_cell(row.action.word, WORD), palette.text))
    text.append_text(plain(row.action.sentence, palette.muted))
    text.truncate(width, overflow="ellipsis")
    return text


def key_header(palette: Palette, width: int) -> Text:
    """The names of the columns."""
    row = Text(f" {'screen':<{SCREEN + 1}}{'keys':<{KEYS}}{'action':<{WORD}}what it does", palette.muted)
    row.truncate(width)
    return row


def key_detail(row: KeyRow, keymap: Mapping[str, str], palette: Palette, width: int) -> list[Text]:
    """What the action under the cursor does, its keys as they come, and where else it holds."""
    others = [SCREENS[name] for name in row.action.screens if name != row.screen and name in SCREENS]
    words = f"{row.action.id}: {row.action.sentence}" + (f" Also on: {', '.join(others)}." if others else "")
    rows = wrap(words, width - 1, palette.text, indent=" ")
    usual = keys_of(row.action, {})
    return rows + wrap(f"usual keys {usual}; enter chooses another, backspace these", width - 1, palette.muted, " ")


def keys_of(action: Action, keymap: Mapping[str, str]) -> str:
    """Its keys as a reader knows them: F5 ^s."""
    return " ".join(key_name(key) for key in remapped(action, keymap).keys.split(","))


def _cell(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) < width else text[: width - 2] + "… "

"""The user's key map: `~/.config/hrm-console/keys.toml`, action id -> keys.

    [keys]
    stop = "x"
    launch = "f2,ctrl+n"

file -> (map, problems). What is no action, no key, or a key that another action of the same screen has, is reported and
left out, so that a mistake never takes a key away. The map goes to Textual's `set_keymap` and to the footer and help.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from hrm_console.actions import ACTIONS, EVERYWHERE, SCREENS, actions_of
from hrm_core.runs.files import read_small
from hrm_core.runs.text import clean

MAX_BYTES = 64 * 1024
# What every terminal sends, inside tmux too: a letter, digit or sign, F keys, ctrl with a letter, and the named keys.
SAFE = re.compile(
    r"[a-zA-Z0-9]|f([1-9]|1[0-2])|ctrl\+[a-z]|up|down|left|right|home|end|pageup|pagedown|tab|shift\+tab|enter|escape"
    r"|space|backspace|delete|insert|[a-z]+(_[a-z]+)*"
)
NAMED = {"?": "question_mark", "/": "slash", "+": "plus", "-": "minus", "[": "left_square_bracket"} | {
    "]": "right_square_bracket",
    "esc": "escape",
    "pgup": "pageup",
    "pgdn": "pagedown",
    ",": "comma",
    ".": "full_stop",
    "<": "less_than_sign",
    ">": "greater_than_sign",
}


def keys_path() -> Path:
    """The file of the key map; it need not exist. UserError where there is no home."""
    from hrm_core.runs.user_settings import config_dir

    return config_dir() / "keys.toml"


def read_keymap(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """The key map of a file, and what in it is not obeyed, a sentence each."""
    if not os.path.lexists(path):  # Path.exists would raise where the folder may not be looked into
        return {}, ()
    import tomllib

    data = read_small(path, MAX_BYTES)
    if data is None:
        return {}, (f"{clean(path)} cannot be read as a key map; the keys stay as they are",)
    try:
        tree = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return {}, (f"{clean(path)}: {clean(str(error)[:200])}; the keys stay as they are",)
    wanted = tree.get("keys", {})
    if not isinstance(wanted, dict):
        return {}, (f'{clean(path)}: write [keys] and under it lines such as stop = "x"',)
    return checked_keymap(wanted)


def write_keymap(path: Path, keymap: Mapping[str, str]) -> Path:
    """Replaces the file; gives its path. UserError for a disk that refuses."""
    from hrm_core.runs.atomic import explain_os_error, write_bytes

    lines = [
        "# Keys of hrm-console, by action: hrm-console's settings screen lists them. Written by that screen.",
        "[keys]",
    ]
    lines += [f'{name} = "{keys}"' for name, keys in sorted(keymap.items())]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, ("\n".join(lines) + "\n").encode("utf-8"))
    except OSError as error:
        raise explain_os_error(error) from error
    return path


def checked_keymap(wanted: Mapping[str, object]) -> tuple[dict[str, str], tuple[str, ...]]:
    """action id -> keys as a person wrote them -> the map in Textual's names, and what is wrong."""
    known = {action.id for action in ACTIONS}
    keymap: dict[str, str] = {}
    problems: list[str] = []
    for name, value in wanted.items():
        if name not in known:
            near = difflib.get_close_matches(name[:200], known, n=1)
            problems.append(f"keys: {clean(name)[:40]} is no action" + (f"; did you mean {near[0]}?" if near else ""))
            continue
        keys = textual_keys(value)
        if keys is None:
            shown = clean(value)[:40] if isinstance(value, str) else "(no text)"
            problems.append(f"keys: {name} = {shown!r}: letters, digits, signs, F keys and ctrl+letter, with commas")
            continue
        keymap[name] = keys
    for screen in SCREENS:
        for name, key in clashes(screen, keymap):
            if keymap.pop(name, None) is not None:
                problems.append(f"keys: {name}: {key} has another use on the screen {screen}; choose another key")
    return keymap, tuple(problems)


def textual_keys(value: object) -> str | None:
    """ "F2, ctrl+n" -> "f2,ctrl+n"; None where that is no key that every terminal sends."""
    if not isinstance(value, str) or not value.strip():
        return None
    keys = []
    for word in value.split(",") if value.strip() != "," else [","]:
        key = word.strip()
        key = NAMED.get(key, key if len(key) == 1 else key.lower())
        if SAFE.fullmatch(key) is None:
            return None
        keys.append(key)
    return ",".join(keys)


def clashes(screen: str, keymap: Mapping[str, str]) -> list[tuple[str, str]]:
    """(action that was given the key, key) of every key that two actions of a screen would have."""
    owner: dict[str, str] = {}
    found = []
    for action in actions_of(screen, keymap) if screen != EVERYWHERE else ():
        for key in action.keys.split(","):
            if key in owner:
                given = action.id if action.id in keymap else owner[key]
                found.append((given, key))
            else:
                owner[key] = action.id
    return found

"""The overrides line of the launch form: completing it, explaining it, and setting one value in it.

A line of `a.b=c` words -> candidates for its last word; (line, key, value) -> the line with that setting, left out
where it would be so anyway. Imports `hrm_core.recipe`, so it is imported after the first frame, as recipes.py is.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import final

from hrm_console.launching import split_overrides
from hrm_core.errors import UserError
from hrm_core.recipe.keys import flatten, leaf_of, leaves
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.schema_info import SettingInfo, settings
from hrm_core.recipe.values import parse_value, show_value

FIXED = ("experiment", "preset")
MOST_CANDIDATES = 24


@final
@dataclass(frozen=True)
class Candidate:
    """What the last word may become: as it is listed, and the whole line with it."""

    shown: str
    line: str


@cache
def keys() -> dict[str, SettingInfo]:
    """Every setting by its dotted key, without what is chosen elsewhere on the form."""
    return {setting.key: setting for setting in settings() if setting.key not in FIXED}


def overrides_of(preset: str, line: str) -> tuple[str, ...]:
    """What goes to `hrm run` behind the experiment's name."""
    return (f"preset={preset}", *split_overrides(line))


def values_of(recipe: Recipe) -> dict[str, str]:
    """Every setting's value as one would type it; a technique is on or none, and its settings have one if it is on."""
    shown = {key: show_value(value) for key, value in flatten(recipe).items()}
    for key, leaf in leaves().items():
        if leaf.group is not None and key not in shown:
            shown[key] = "on"
    return shown


def candidates(line: str) -> tuple[Candidate, ...]:
    """What the last word of a line may become: keys that begin so, else keys that hold it; after = the choices."""
    head, space, word = line.rpartition(" ")
    key, equals, value = word.partition("=")
    if not word:
        return ()
    if equals:
        setting = keys().get(key)
        choices: Sequence[str] = () if setting is None else setting.choices
        begun = [choice for choice in choices if choice.startswith(value)]
        if value in choices:
            return ()
        return tuple(Candidate(choice, f"{head}{space}{key}={choice}") for choice in begun)
    found = [name for name in keys() if name.startswith(word)] or [name for name in keys() if word in name]
    return tuple(Candidate(name, f"{head}{space}{name}=") for name in found[:MOST_CANDIDATES])


def completed(line: str) -> str | None:
    """The line with its last word completed by the first candidate; None where there is none."""
    found = candidates(line)
    return found[0].line if found else None


def helpful(line: str, cursor: int) -> str:
    """What to say of the word under the cursor: what its setting is, or how one is written."""
    word = line[:cursor].rpartition(" ")[2]
    key, equals, _ = word.partition("=")
    if not word:
        return "a.b=c, such as training.max_steps=500 training.seed=2"
    setting = keys().get(key)
    if setting is not None:
        return f"{key}: {setting.description} ({setting.type_text}; EXP-00: {show_value(setting.default)})"
    return "" if equals or candidates(word) else "no setting has this in its name"


def with_override(line: str, key: str, value: str | None) -> str:
    """The line with this key at this value, where it stood or at the end; without it for None. A technique's own
    settings go with it. UserError for an open quote."""
    words = split_overrides(line)
    kept: list[str] = []
    placed = False
    for word in words:
        named = word.partition("=")[0].strip()
        if named != key and not named.startswith(f"{key}."):
            kept.append(word)
        elif value is not None and not placed:
            kept.append(f"{key}={value}")
            placed = True
    if value is not None and not placed:
        kept.append(f"{key}={value}")
    return " ".join(_quoted(word) for word in kept)


def settled(experiment: str, preset: str, line: str, key: str, value: str) -> str:
    """The line that gives a setting this value: without an override where the value is the experiment's own."""
    bare = with_override(line, key, None)
    try:
        own = flatten(build_recipe(experiment, overrides_of(preset, bare)).recipe)
        leaf = leaf_of(key)
        known = key in own or leaf.group is not None
        now = own.get(key, True)  # a technique that is on has settings in place of a value
        if known and show_value(now) == show_value(parse_value(leaf, value)):
            return bare
    except UserError:
        pass  # what is wrong with the line is said by the form's check
    return with_override(line, key, value)


def without(line: str, key: str) -> str:
    """The line without an override of this key, as it is where the quote is open."""
    try:
        return with_override(line, key, None)
    except UserError:
        return line


def taken(line: str, key: str) -> tuple[str, str]:
    """(value of a key in the line or nothing, the line without it)."""
    try:
        words = split_overrides(line)
    except UserError:
        return "", line
    values = [word.partition("=")[2].strip() for word in words if word.partition("=")[0].strip() == key]
    return (values[-1], with_override(line, key, None)) if values else ("", line)


def _quoted(word: str) -> str:
    return word if all(character.isalnum() or character in "._=,+-:/[]~" for character in word) else shlex.quote(word)

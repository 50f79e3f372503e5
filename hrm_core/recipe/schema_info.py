"""Every setting described for people and forms: key, type in words, default, what it is, whether it is built.

Recipe room; free of torch. Read from the schema, so nothing is said twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import Any, final

from hrm_core.recipe.keys import Leaf, leaves
from hrm_core.recipe.values import show_value

_WORDS: dict[type, str] = {bool: "true or false", int: "whole number", float: "number", str: "text", tuple: "list"}


@final
@dataclass(frozen=True)
class SettingInfo:
    """One setting. `built` False: any value but the default is refused for now.

    `choices`: those that can be chosen now, as one would type them; empty where the value is free.
    """

    key: str
    type_text: str
    default: Any
    description: str
    built: bool
    choices: tuple[str, ...]


def _type_text(leaf: Leaf) -> str:
    if leaf.group is not None:
        return "technique: on or none"
    if leaf.choices:
        return " | ".join(show_value(choice) for choice in leaf.choices)
    if {int, float, str} <= leaf.types:
        return "steps, share of the run or time"
    if {int, str} <= leaf.types:
        return "steps or time"
    words = [word for kind, word in _WORDS.items() if kind in leaf.types]
    return " or ".join(words + (["none"] if NoneType in leaf.types else []))


def _choices(leaf: Leaf) -> tuple[str, ...]:
    if leaf.group is not None:
        return ("on", "none")
    if leaf.choices:
        later = leaf.extra("later_values") or {}
        return tuple(show_value(choice) for choice in leaf.choices if choice not in later)
    return ("true", "false") if leaf.types == {bool} else ()


def settings() -> list[SettingInfo]:
    """All settings in the order of the schema; `experiment` and `preset` come first."""
    known = leaves()
    infos = []
    for key, leaf in known.items():
        owner = known.get(".".join(key.split(".")[:2]), leaf)
        built = leaf.extra("later") is None and owner.extra("later") is None
        default = leaf.field.get_default(call_default_factory=False)
        infos.append(SettingInfo(key, _type_text(leaf), default, leaf.field.description or "", built, _choices(leaf)))
    return infos

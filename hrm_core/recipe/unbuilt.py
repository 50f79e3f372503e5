"""Settings of techniques that a later version brings: refused by name, never ignored.

Recipe room; free of torch. A field carries the mark (`later=...` in its declaration); building its technique means
removing the mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrm_core.errors import UserError
from hrm_core.recipe.keys import Leaf, leaves
from hrm_core.recipe.values import show_value


def _awaits(leaf: Leaf, value: Any) -> str | None:
    """The name of what brings this value, or None if it is built."""
    later = leaf.extra("later")
    if later is not None and value != leaf.field.default:
        return str(later)
    choices = leaf.extra("later_values") or {}
    found = choices.get(value) if isinstance(value, str) else None
    return None if found is None else str(found)


def unbuilt(flat: Mapping[str, Any]) -> dict[str, str]:
    """Key -> name of what brings it, for every setting of a flat recipe that is not built yet."""
    found: dict[str, str] = {}
    for key, value in flat.items():
        leaf = leaves()[key]
        technique = ".".join(key.split(".")[:2])
        owner = leaves().get(technique)
        if owner is not None and owner is not leaf and owner.extra("later") is not None:
            found[technique] = str(owner.extra("later"))
        elif (name := _awaits(leaf, value)) is not None:
            found[key] = name
    return found


def refuse_unbuilt(flat: Mapping[str, Any]) -> None:
    """UserError that names the first setting that is not built yet, and what to leave it at."""
    for key, name in unbuilt(flat).items():
        default = leaves()[key].field.default
        value = f"={show_value(flat[key])}" if key in flat else ""
        raise UserError(f"{key}{value}: not built yet ({name}); leave it at {show_value(default)}")

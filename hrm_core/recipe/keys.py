"""Dotted keys: what leaves the tree of settings has, and a recipe as a flat table of them and back.

Recipe room; free of torch. `Recipe` -> {"training.batch": 64, ...} -> `Recipe`. A technique that is off is one key
with None; one that is on has its settings as keys.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, final, get_args, get_origin

from pydantic.fields import FieldInfo

from hrm_core.errors import UserError
from hrm_core.recipe.base import Settings
from hrm_core.recipe.schema import Recipe
from hrm_core.runs.text import clean

Flat = dict[str, Any]


@final
@dataclass(frozen=True)
class Leaf:
    """One key: its field, whether it is a whole technique, and the types, choices and None that its values may have."""

    key: str
    field: FieldInfo
    group: type[Settings] | None
    types: frozenset[type]
    choices: tuple[Any, ...]

    @property
    def nullable(self) -> bool:
        """Whether the value may be None, written `none`."""
        return NoneType in self.types

    def extra(self, name: str) -> Any:
        """What `base.setting` noted under `name`, or None."""
        notes = self.field.json_schema_extra
        return notes.get(name) if isinstance(notes, dict) else None


def _types(annotation: Any) -> Iterator[type]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _types(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _types(part)
    elif origin is Literal:
        yield from {type(choice) for choice in get_args(annotation)}
    elif origin is tuple:
        yield tuple
    else:
        yield NoneType if annotation is None else annotation


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _group(annotation: Any) -> tuple[type[Settings] | None, bool]:
    """The group of settings that an annotation names, and whether it may be off."""
    found = [part for part in _types(annotation) if isinstance(part, type) and issubclass(part, Settings)]
    return (found[0], NoneType in set(_types(annotation))) if found else (None, False)


def _walk(model: type[Settings], prefix: str) -> Iterator[Leaf]:
    for name, field in model.model_fields.items():
        key = prefix + name
        group, optional = _group(field.annotation)
        if group is None or optional:
            yield Leaf(key, field, group, frozenset(_types(field.annotation)), _choices(field.annotation))
        if group is not None:
            yield from _walk(group, key + ".")


@cache
def leaves() -> dict[str, Leaf]:
    """Every key that can be given, in the order of the schema."""
    return {leaf.key: leaf for leaf in _walk(Recipe, "")}


def nearest(name: str, names: Mapping[str, Any] | list[str]) -> str:
    """`; did you mean X` with the likeliest of `names`, or nothing. A bare field name finds its group."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    if not close:
        last = name.rpartition(".")[2]
        order = sorted(names, key=lambda key: key.startswith("training."))  # the likeliest group wins a tie
        by_last = {key.rpartition(".")[2]: key for key in order}
        close = [by_last[found] for found in difflib.get_close_matches(last, list(by_last), n=1, cutoff=0.7)]
    return f"; did you mean {close[0]}" if close else ""


def leaf_of(key: str) -> Leaf:
    """The leaf of a key. UserError with the nearest key where there is none."""
    try:
        return leaves()[key]
    except KeyError:
        raise UserError(f"{clean(key[:80])} is no setting{nearest(key[:200], leaves())}") from None


def flatten(recipe: Recipe) -> Flat:
    """Recipe -> one value for each key that has one."""
    flat: Flat = {}

    def walk(settings: Settings, prefix: str) -> None:
        for name in type(settings).model_fields:
            value = getattr(settings, name)
            if isinstance(value, Settings):
                walk(value, f"{prefix}{name}.")
            else:
                flat[prefix + name] = value

    walk(recipe, "")
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Flat table -> nested dictionaries, as pydantic takes them."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, name = key.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value
    return tree


def _defaults(group: type[Settings], prefix: str) -> Flat:
    return {f"{prefix}.{name}": value for name, value in group()}


def put(flat: Flat, key: str, value: Any) -> list[str]:
    """Set one key of a flat table in place; returns the keys that were set.

    A technique takes True (its defaults) or None (off); one of its settings switches it on.
    """
    leaf = leaf_of(key)
    if leaf.group is not None:
        for name in [name for name in flat if name == key or name.startswith(key + ".")]:
            del flat[name]
        new = {key: None} if value is None else _defaults(leaf.group, key)
        if value is not None and value is not True:
            raise UserError(f"{key} is a technique: {key}=on or {key}=none, or one of its settings")
        flat.update(new)
        return list(new)
    changed = [key]
    parent = key.rpartition(".")[0]
    if parent in flat and parent in leaves():
        changed += put(flat, parent, True)
    flat[key] = value
    return changed

"""Room `runs`: a setting of a recorded recipe by a short name: `lr`, `optimizer`, `model.hidden`.

run.json's recipes -> one tree of the keys that occur; a short name -> the path of the one key that is meant; a recipe
and a path -> the value. Recipes here are what run.json says, not `hrm_core.recipe`: an old run may hold other settings.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final

from hrm_core.errors import UserError
from hrm_core.runs.files import Row
from hrm_core.runs.text import clean

Path = tuple[str, ...]

MOST_DEPTH: Final = 8
# Short words that stand in several groups, and the group that people mean by them.
MEANT: Final = {
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "betas": "optimizer.betas",
    "batch": "training.batch",
}


def tree_of(recipes: Iterable[Row]) -> Row:
    """Every key of the recipes, as dicts in dicts; a setting that is no group in any of them holds {}."""
    tree: Row = {}
    for recipe in recipes:
        _lay(recipe, tree, MOST_DEPTH)
    return tree


def _lay(recipe: Row, tree: Row, depth: int) -> None:
    for key, value in recipe.items():
        below = tree.setdefault(key, {})
        if isinstance(value, dict) and depth:
            _lay(value, below, depth - 1)


def _paths(tree: Row, above: Path = ()) -> list[Path]:
    found: list[Path] = []
    for key, below in tree.items():
        found.append((*above, key))
        found += _paths(below, (*above, key))
    return found


def resolve_key(key: str, tree: Row) -> Path | None:
    """The path that a short name means; None where there are no recipes to look it up in.

    The whole dotted name goes first, then the one key that ends so. A group means its `kind`. UserError (2) names the
    key with what it could be, or the nearest that there is.
    """
    if not tree:
        return None
    low = tuple(part for part in MEANT.get(key.lower(), key.lower()).split(".") if part)
    paths = _paths(tree)
    exact = [path for path in paths if _lowered(path) == low]
    found = exact or [path for path in paths if low and _lowered(path)[-len(low) :] == low]
    if len(found) == 1:
        return _kind_of(found[0], tree)
    shown = clean(key[:60])
    if found:
        few = " or ".join(clean(".".join(path)) for path in found[:4])
        raise UserError(f"cfg.{shown} could be {few}: write more of it.")
    near = difflib.get_close_matches(".".join(low)[:60], [".".join(path) for path in paths], n=1, cutoff=0.5)
    last = difflib.get_close_matches(low[-1][:60] if low else "", [path[-1] for path in paths], n=1)
    said = [path for path in paths if last and path[-1] == last[0]]
    hint = ".".join(said[0]) if said else near[0] if near else ""
    remedy = f"did you mean cfg.{clean(hint)}?" if hint else "`hrm show RUN --json` shows a recipe."
    raise UserError(f"no run's recipe has cfg.{shown}: {remedy}")


def _lowered(path: Path) -> Path:
    return tuple(part.lower() for part in path)


def _kind_of(path: Path, tree: Row) -> Path:
    below: Row = tree
    for part in path:
        below = below[part]
    return (*path, "kind") if "kind" in below else path


def read_key(recipe: Row, path: Path) -> Any:
    """The value at a path; a group where the path ends at one, None where there is nothing."""
    value: Any = recipe
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value

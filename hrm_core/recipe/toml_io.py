"""A recipe as TOML and back, exactly. TOML has no null: a value that is None is written "none".

Recipe room; free of torch. `from_toml(to_toml(recipe)) == recipe` for every recipe. The first line is a comment with
the digest of the rest, so that a recipe with a flipped bit, or cut short, is noticed and not run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import tomli_w

from hrm_core.errors import UserError
from hrm_core.recipe.digest_line import is_as_written, with_digest
from hrm_core.recipe.keys import Flat, flatten, leaves, nearest, put, unflatten
from hrm_core.recipe.lay import validate
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.unbuilt import refuse_unbuilt
from hrm_core.runs.files import read_small
from hrm_core.runs.text import clean

_MAX_BYTES: Final = 2**20


def _written(value: Any) -> Any:
    if value is None:
        return "none"
    return [_written(part) for part in value] if isinstance(value, tuple) else value


def to_toml(recipe: Recipe) -> str:
    """Every setting of a recipe, in the order of the schema. Techniques that are off are left out."""
    flat = {
        key: _written(value) for key, value in flatten(recipe).items() if not (leaves()[key].group and value is None)
    }
    return with_digest(tomli_w.dumps(unflatten(flat)))


def _flat_of(tree: Mapping[str, Any], prefix: str = "") -> Flat:
    flat: Flat = {}
    for name, value in tree.items():
        key = prefix + name
        if key in leaves() and not isinstance(value, Mapping):
            flat[key] = None if value == "none" and leaves()[key].nullable else value
        elif isinstance(value, Mapping) and any(known.startswith(key + ".") for known in leaves()):
            flat.update(_flat_of(value, key + "."))
        else:
            raise UserError(f"{clean(key[:80])} is no setting{nearest(key[:200], leaves())}")
    return flat


def _whole(text: str) -> str:
    if not is_as_written(text):
        raise UserError(
            "the recipe is not what was written: the digest in its first line is that of another text.\n"
            "Put it back from recipe.toml of the run's newest checkpoint; if you changed it, take that line out.",
            1,
        )
    return text


def from_toml(text: str) -> Recipe:
    """TOML -> recipe; what is left out is as in EXP-00. UserError for what is no TOML, no setting or no value."""
    try:
        tree = tomllib.loads(_whole(text))
    except RecursionError:
        raise UserError("the recipe is no TOML: it is nested too deeply") from None
    except ValueError as problem:  # also for a number of thousands of digits
        raise UserError(f"the recipe is no TOML: {clean(str(problem)[:200])}") from None
    if not tree:
        raise UserError("the recipe is empty.\nPut it back from recipe.toml of the run's newest checkpoint.", 1)
    flat = flatten(Recipe())
    for key, value in _flat_of(tree).items():
        put(flat, key, tuple(value) if isinstance(value, list) else value)
    refuse_unbuilt(flat)
    return validate(flat)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file. UserError names the file where it is missing, no text or no recipe."""
    data = read_small(path, _MAX_BYTES)
    if data is None:
        raise UserError(f"{clean(path)} is missing, or cannot be read as a recipe.", 1)
    try:
        return from_toml(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise UserError(f"{clean(path)}: the recipe is no UTF-8 text.", 1) from None
    except UserError as error:
        raise UserError(f"{clean(path)}: {error.message}", error.exit_code) from None

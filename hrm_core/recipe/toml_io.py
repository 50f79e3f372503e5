"""A recipe as TOML and back, exactly. TOML has no null: a value that is None is written "none".

Recipe room; free of torch. `from_toml(to_toml(recipe)) == recipe` for every recipe.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import tomli_w

from hrm_core.errors import UserError
from hrm_core.recipe.keys import Flat, flatten, leaves, nearest, put, unflatten
from hrm_core.recipe.lay import validate
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.unbuilt import refuse_unbuilt


def _written(value: Any) -> Any:
    if value is None:
        return "none"
    return [_written(part) for part in value] if isinstance(value, tuple) else value


def to_toml(recipe: Recipe) -> str:
    """Every setting of a recipe, in the order of the schema. Techniques that are off are left out."""
    flat = {
        key: _written(value) for key, value in flatten(recipe).items() if not (leaves()[key].group and value is None)
    }
    return tomli_w.dumps(unflatten(flat))


def _flat_of(tree: Mapping[str, Any], prefix: str = "") -> Flat:
    flat: Flat = {}
    for name, value in tree.items():
        key = prefix + name
        if key in leaves() and not isinstance(value, Mapping):
            flat[key] = None if value == "none" and leaves()[key].nullable else value
        elif isinstance(value, Mapping) and any(known.startswith(key + ".") for known in leaves()):
            flat.update(_flat_of(value, key + "."))
        else:
            raise UserError(f"{key[:80]} is no setting{nearest(key[:80], leaves())}")
    return flat


def from_toml(text: str) -> Recipe:
    """TOML -> recipe; what is left out is as in EXP-00. UserError for what is no TOML, no setting or no value."""
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        raise UserError("the recipe is no TOML: it is nested too deeply") from None
    except ValueError as problem:  # also for a number of thousands of digits
        raise UserError(f"the recipe is no TOML: {problem}") from None
    flat = flatten(Recipe())
    for key, value in _flat_of(tree).items():
        put(flat, key, tuple(value) if isinstance(value, list) else value)
    refuse_unbuilt(flat)
    return validate(flat)

"""How a run's recipe differs from EXP-00. Imports `hrm_core.recipe`, so it is imported in a thread, as recipes.py is.

run folder -> `Differences`, with the reason in it where this version does not read that recipe.
"""

from __future__ import annotations

from pathlib import Path

from hrm_console.views.run.config import CONTROL, Differences
from hrm_core.errors import UserError
from hrm_core.recipe.difference import difference
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import from_toml
from hrm_core.recipe.values import show_value
from hrm_core.runs.files import read_small

MOST_BYTES = 2**20


def differences_in(folder: Path) -> Differences:
    """How the recipe.toml of a run differs."""
    data = read_small(folder / "recipe.toml", MOST_BYTES)
    return (
        Differences("recipe.toml cannot be read") if data is None else differences_of(data.decode("utf-8", "replace"))
    )


def differences_of(text: str) -> Differences:
    """Every setting that is not EXP-00's, at the preset of the plan."""
    try:
        found = difference(build_recipe(CONTROL).recipe, from_toml(text))
    except UserError as error:
        return Differences(error.message)
    return Differences("", tuple((key, show_value(a), show_value(b)) for key, (a, b) in found.items()))

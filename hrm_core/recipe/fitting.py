"""Whether the weights of one recipe go into a model of another: which settings decide shapes, and which the meaning.

Recipe room; free of torch. (the new run's recipe, the snapshot's) -> settings that keep its weights out, or settings
that differ although they fit. The parts that a technique adds to the model are not counted: they begin anew.
"""

from __future__ import annotations

from typing import Any, Final

from hrm_core.errors import UserError
from hrm_core.recipe.difference import difference
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.values import show_value

SHAPES: Final = ("model.hidden", "model.h_layers", "model.l_layers", "model.expansion", "model.share_levels")
# What the weights were learned for; another value is a change that somebody may want, and should be told of.
_MEANING: Final = ("data.", "input.", "identity.", "model.", "loss.", "augment.")
Pairs = dict[str, tuple[Any, Any]]


def shapes_apart(recipe: Recipe, stored: Recipe) -> Pairs:
    """Settings by which the snapshot's weights have other shapes: {key: (this run's, the snapshot's)}."""
    return {key: pair for key, pair in difference(recipe, stored).items() if key in SHAPES}


def meaning_apart(recipe: Recipe, stored: Recipe) -> Pairs:
    """Settings that differ although the weights fit: {key: (this run's, the snapshot's)}."""
    return {key: pair for key, pair in difference(recipe, stored).items() if key.startswith(_MEANING)}


def refuse_unfit(recipe: Recipe, stored: Recipe, name: str) -> None:
    """UserError (1), before anything is built, where weights of `stored` have other shapes than those of `recipe`."""
    apart = shapes_apart(recipe, stored)
    if not apart:
        return
    theirs = " ".join(f"{key}={show_value(pair[1])}" for key, pair in apart.items())
    ours = " ".join(f"{key}={show_value(pair[0])}" for key, pair in apart.items())
    remedy = theirs if stored.preset == recipe.preset else f"preset={stored.preset}, which is the snapshot's"
    raise UserError(
        f"--from {name}: its weights are for {theirs}, this run is for {ours}.\n"
        f"Add {remedy}, or begin from another snapshot.",
        1,
    )

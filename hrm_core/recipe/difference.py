"""In which settings two recipes differ.

Recipe room; free of torch. (recipe, recipe) -> {dotted key: (value of the first, value of the second)}.
"""

from __future__ import annotations

from typing import Any

from hrm_core.recipe.keys import flatten
from hrm_core.recipe.schema import Recipe

_ABSENT = None


def difference(first: Recipe, second: Recipe) -> dict[str, tuple[Any, Any]]:
    """Every key whose values differ; a key that only one has (a technique's) is None in the other."""
    left, right = flatten(first), flatten(second)
    keys = list(left) + [key for key in right if key not in left]
    pairs = {key: (left.get(key, _ABSENT), right.get(key, _ABSENT)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1] or type(pair[0]) is not type(pair[1])}

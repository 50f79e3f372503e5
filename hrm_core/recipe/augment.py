"""Settings of how a pair is varied each time it is admitted, and of what the model is told about task and view.

Recipe room; free of torch. How they act: `hrm_core/data/streams.py` and the embeddings of `hrm_core/model`.
"""

from __future__ import annotations

from typing import Literal, final

from hrm_core.recipe.base import Settings, setting


@final
class AugmentConfig(Settings):
    """Draws per admission; nothing augmented is ever stored."""

    dihedral: bool = setting(True, "One of the 8 turns and mirrors of the square, uniform")
    color_probability: float = setting(
        0.5, "Probability that colours 1 to 9 are permuted (0 stays), 0 to 1", ge=0.0, le=1.0
    )
    translate: float = setting(
        0.7, "Probability of a uniform place on the canvas, else the origin, where evaluation looks; 0 to 1", ge=0, le=1
    )
    pool: int = setting(
        300, "At most so many different augmentations of a task, the first being none; 1 to 100000", ge=1, le=100_000
    )


@final
class IdentityConfig(Settings):
    """What tells the model which task it sees, and in which view."""

    kind: Literal["shared", "per_augmentation", "none"] = setting(
        "shared",
        "shared: a row a task plus the dihedral's row plus a colour code; per_augmentation: HRM's row for each task "
        "and augmentation; none: not told",
    )
    place: Literal["prefix", "tokens", "both"] = setting(
        "prefix", "prefix: as tokens before the grid; tokens: added to every grid token; both"
    )
    prefix_tokens: int = setting(1, "Tokens before the grid, 1 to 64; the halting head reads the first", ge=1, le=64)

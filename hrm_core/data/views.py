"""Views of a pair for voting, and the way back from tokens to grids.

Rows of a lane -> several differently augmented admissions of each; predicted tokens -> a grid; a grid in a view -> the
grid as published. Views are drawn from the augmentations that training draws from (the same pool, hence the same
identity rows), with places that leave room for every grid of the task that is known at test time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrm_core.data.grids import NUM_DIHEDRAL, Grid, turn_back
from hrm_core.data.lanes import LanePairs
from hrm_core.data.streams import (
    COLUMN,
    ROW,
    TRANSLATE,
    VIEWS,
    Admission,
    augmentation_of,
    keyed_permutation,
    pool_size,
)
from triton_kernels.hashing import hash32, uniform
from triton_kernels.lay import FIRST_COLOR

if TYPE_CHECKING:
    from hrm_core.recipe.augment import AugmentConfig


def num_views(augment: AugmentConfig, wanted: int) -> int:
    """How many views voting uses: as many as wanted, at most as many as differ: without translation the pool, without
    colours its eight symmetries, 1 if nothing varies."""
    if augment.translate > 0:
        return wanted
    different = pool_size(augment) if augment.color_probability > 0 else min(pool_size(augment), NUM_DIHEDRAL)
    return min(wanted, different)


def draw_views(pairs: LanePairs, index: Tensor, augment: AugmentConfig, num_views: int, seed: int) -> Admission:
    """Admission of M * num_views rows for `index` (M) int64: the views of the first row, then of the second, ...

    View 0 is the pair as published, at the origin. The others take different augmentations of the task's pool while
    there are any, and with probability `translate` a place within the canvas minus the task's largest known side.
    """
    view = torch.arange(num_views, device=index.device).repeat(len(index))
    index = index.repeat_interleave(num_views)
    task, key = pairs.task[index], pairs.key[index]
    others = pool_size(augment) - 1
    augmentation = torch.zeros_like(view)
    if others > 0:
        place = (view - 1).clamp(min=0) % others
        drawn = 1 + keyed_permutation(place, others, hash32(seed, VIEWS, task, 0))
        augmentation = torch.where(view > 0, drawn, 0)
    dihedral, colors = augmentation_of(augment, seed, task, augmentation)
    room = (pairs.side - pairs.known_side[index]).clamp(min=0) + 1
    moved = (uniform(hash32(seed, VIEWS, TRANSLATE, key, view)) < augment.translate) & (view > 0)
    places = [hash32(seed, VIEWS, purpose, key, view) % room for purpose in (ROW, COLUMN)]
    offset = torch.where(moved[:, None], torch.stack(places, dim=1), 0)
    return Admission(index, task, dihedral, colors, offset, augmentation)


def decode_grid(tokens: NDArray[Any], offset: tuple[int, int] = (0, 0)) -> Grid:
    """The grid that a (side, side) token field shows at an offset: the largest rectangle of colour tokens whose first
    cell is there (ties: the least high). (height, width) uint8; (0, 0) if that cell holds no colour."""
    field = np.asarray(tokens)[offset[0] :, offset[1] :]
    colored = field >= FIRST_COLOR
    run = np.where(colored.all(axis=1), field.shape[1], np.argmin(colored, axis=1))  # colours from the left edge on
    width = np.minimum.accumulate(run)
    area = width * np.arange(1, len(width) + 1)
    best = int(np.argmax(area))
    if area[best] == 0:
        return np.zeros((0, 0), np.uint8)
    return (field[: best + 1, : width[best]] - FIRST_COLOR).astype(np.uint8)


def invert_grid(grid: Grid, dihedral: int, colors: NDArray[Any]) -> Grid:
    """A grid of a view as it would have been published: colours (10) mapped back, then the symmetry undone."""
    inverse = np.empty(len(colors), np.uint8)
    inverse[np.asarray(colors)] = np.arange(len(colors), dtype=np.uint8)
    return np.ascontiguousarray(turn_back(inverse[grid], dihedral))

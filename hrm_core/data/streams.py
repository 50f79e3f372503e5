"""Which pair a slot admits next, and how it is varied. Slot numbers and admission counts -> Admission, on the device.

Slot k's n-th admission is entry e = k + n * (slots of the lane) of an endless sequence: blocks of N entries, each
block a fresh permutation of the lane's N pairs under a key of its own. Every draw is a hash of (seed, purpose, lane,
entry), so there is no cursor to lose and nothing to exchange: however slots are dealt over memory or ranks, a slot
sees the same samples. The permutation is the swap-or-not shuffle of Hoang, Morris and Rogaway (CRYPTO 2012), whose
rounds are exact for any N, with a multiply-shift hash as its coin.

Only static shapes and integer tensor operations: nothing is read back by the host. Grids are laid by
`triton_kernels.lay`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from hrm_core.data.lanes import LanePairs
from triton_kernels.hashing import hash32, mix32, uniform

if TYPE_CHECKING:
    from hrm_core.recipe.augment import AugmentConfig

ROUNDS = 20
NUM_FREE_COLORS = 9  # colour 0 keeps its name

# Purposes of draws: each its own stream of hashes. Numbers are part of what makes a resumed run the same run.
ORDER, AUGMENTATION, DIHEDRAL, COLORS_WANTED, COLORS, TRANSLATE, ROW, COLUMN, VIEWS = range(101, 110)


@final
@dataclass(frozen=True)
class Admission:
    """What S slots admit. index: row of the lane's pairs; task: row of the task table; dihedral 0..7; augmentation:
    index in the task's pool, 0 = as published; all (S) int64. colors: (S, 10) int64, the new colour of each colour;
    offset: (S, 2) int64, row and column of the turned grid's corner."""

    index: Tensor
    task: Tensor
    dihedral: Tensor
    colors: Tensor
    offset: Tensor
    augmentation: Tensor

    def where(self, mask: Tensor, other: Admission) -> Admission:
        """Its own rows where `mask` (S) bool holds, `other`'s elsewhere."""
        return Admission(
            *(
                torch.where(mask if mine.ndim == 1 else mask[:, None], mine, getattr(other, item.name))
                for item in fields(self)
                for mine in (getattr(self, item.name),)
            )
        )


def keyed_permutation(position: Tensor, n: int, key: Tensor) -> Tensor:
    """Where each position (S) of range(n) goes under the permutation that its key (S, 32-bit words) names.

    For one key it is a bijection of range(n), for any n >= 1. `position` must lie in range(n).
    """
    rounds = torch.arange(1, ROUNDS + 1, device=key.device, dtype=torch.int64)
    words = mix32(key[..., None] * 31 + rounds)  # (S, ROUNDS)
    pivot, multiplier, shift = words % n, mix32(words + 1) << 1 | 1, mix32(words + 2)
    value = position
    for number in range(ROUNDS):
        partner = torch.remainder(pivot[..., number] - value, n)
        pair_name = torch.maximum(value, partner)  # the same for both, so both see one coin
        coin = (pair_name * multiplier[..., number] + shift[..., number]) >> 31 & 1
        value = torch.where(coin > 0, partner, value)
    return value


def pool_size(augment: AugmentConfig) -> int:
    """Different augmentations of a task: 1 if neither turns nor colours are varied, whatever `augment.pool` says."""
    return augment.pool if augment.dihedral or augment.color_probability > 0 else 1


def augmentation_of(augment: AugmentConfig, seed: int, task: Tensor, augmentation: Tensor) -> tuple[Tensor, Tensor]:
    """The dihedral element (S) and the colour permutation (S, 10) of a task's augmentation; index 0 changes nothing."""
    varied = augmentation > 0
    dihedral = torch.zeros_like(task)
    if augment.dihedral:
        dihedral = torch.where(varied, hash32(seed, DIHEDRAL, task, augmentation) & 7, 0)
    plain = torch.arange(NUM_FREE_COLORS + 1, device=task.device).expand(len(task), -1)
    if augment.color_probability == 0:
        return dihedral, plain.contiguous()
    wanted = uniform(hash32(seed, COLORS_WANTED, task, augmentation)) < augment.color_probability
    number = torch.arange(1, NUM_FREE_COLORS + 1, device=task.device)
    words = hash32(seed, COLORS, task[:, None], augmentation[:, None], number)
    shuffled = torch.argsort(words * 16 + number, dim=1) + 1  # made unique: the order must not depend on the device
    shuffled = torch.cat([plain[:, :1], shuffled], dim=1)
    return dihedral, torch.where((varied & wanted)[:, None], shuffled, plain)


def choose(
    pairs: LanePairs,
    augment: AugmentConfig,
    seed: int,
    lane_id: int,
    num_slots_lane: int,
    slots: Tensor,
    admissions: Tensor,
) -> Admission:
    """What slots (S) int64, numbered within the lane, admit when each has admitted `admissions` (S) int64 before."""
    entry = slots + admissions * num_slots_lane
    num_pairs = pairs.num_pairs
    block = entry // num_pairs
    index = keyed_permutation(entry - block * num_pairs, num_pairs, hash32(seed, ORDER, lane_id, block))
    return vary(pairs, augment, seed, lane_id, entry, index)


def vary(pairs: LanePairs, augment: AugmentConfig, seed: int, lane_id: int, entry: Tensor, index: Tensor) -> Admission:
    """Rows `index` (S) of the pairs as their entries of the stream turn, colour and place them."""
    task = pairs.task[index]
    augmentation = hash32(seed, AUGMENTATION, lane_id, entry) % pool_size(augment)
    dihedral, colors = augmentation_of(augment, seed, task, augmentation)
    offset = _draw_offset(pairs, augment, seed, lane_id, entry, index, dihedral)
    return Admission(index, task, dihedral, colors, offset, augmentation)


def room(pairs: LanePairs, index: Tensor, dihedral: Tensor) -> tuple[Tensor, Tensor]:
    """How far down and right, (S) each, the turned pairs of rows `index` (S) may move: input and output both fit."""
    height = torch.maximum(pairs.input_height, pairs.target_height)[index]
    width = torch.maximum(pairs.input_width, pairs.target_width)[index]
    transposed = (dihedral & 4) > 0
    room_down = (pairs.side - torch.where(transposed, width, height)).clamp(min=0)
    room_right = (pairs.side - torch.where(transposed, height, width)).clamp(min=0)
    return room_down, room_right


def _draw_offset(
    pairs: LanePairs, augment: AugmentConfig, seed: int, lane_id: int, entry: Tensor, index: Tensor, dihedral: Tensor
) -> Tensor:
    """(S, 2): the origin, or with probability `translate` uniform over the places where input and output both fit."""
    if augment.translate == 0:
        return torch.zeros(len(index), 2, dtype=torch.int64, device=index.device)
    room_down, room_right = room(pairs, index, dihedral)
    moved = uniform(hash32(seed, TRANSLATE, lane_id, entry)) < augment.translate
    row = hash32(seed, ROW, lane_id, entry) % (room_down + 1)
    column = hash32(seed, COLUMN, lane_id, entry) % (room_right + 1)
    return torch.where(moved[:, None], torch.stack([row, column], dim=1), 0)

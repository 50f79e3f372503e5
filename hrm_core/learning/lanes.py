"""Lanes and their slots: static buffers that hold a sample, its carry and its counters between steps.

Learning room: LanePairs of one canvas and a number of slots -> LaneState. Slots are dealt to lanes in proportion to
their training pairs (largest remainder, at least one each). The pieces in which slots pass through memory change
nothing but memory: every draw is a hash of (seed, lane, entry), never of a piece.
"""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from torch import Tensor

from hrm_core.data.lanes import LanePairs
from hrm_core.model.types import Identity
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.slots import deal_slots, piece_edges

__all__ = ["WHOLE", "LaneState", "Share", "build_lanes", "deal_slots"]


class Share(NamedTuple):
    """Which of a lane's slots are this process's: those of one rank of several that train a run together."""

    rank: int = 0
    size: int = 1

    def of(self, num_slots: int) -> range:
        """The numbers of its slots, of so many of a lane."""
        return range(num_slots * self.rank // self.size, num_slots * (self.rank + 1) // self.size)


WHOLE = Share()


@final
class LaneState:
    """The slots of one canvas. All tensors keep their shape and storage for the whole run.

    `num_slots` counts the lane's slots over all ranks, `count` (S) those of this one, whose numbers are `slots`.
    admissions (S) int64 samples taken so far; segment (S) int64 segments that the present sample has had; halted (S)
    bool; tokens, labels (S, side * side) int32; task, dihedral, augmentation (S) and colors (S, 10) int64; high, low
    (S, T, D) in the compute dtype; row_gradients (S, D) fp32 of this step.
    """

    def __init__(
        self, number: int, pairs: LanePairs, num_slots: int, recipe: Recipe, dtype: torch.dtype, share: Share = WHOLE
    ) -> None:
        device = pairs.input.device
        hidden = recipe.model.hidden
        cells = pairs.side * pairs.side
        whole = recipe.identity.prefix_tokens + cells
        self.number = number
        self.side = pairs.side
        self.pairs = pairs
        self.sizes = pairs.sizes
        self.num_slots = num_slots
        self.mine = share.of(num_slots)
        self.count = count = len(self.mine)
        self.slots = torch.arange(self.mine.start, self.mine.stop, device=device)
        self.buffers: dict[str, Tensor] = {
            "admissions": torch.zeros(count, dtype=torch.int64, device=device),
            "segment": torch.zeros(count, dtype=torch.int64, device=device),
            "halted": torch.ones(count, dtype=torch.bool, device=device),
            "tokens": torch.zeros(count, cells, dtype=torch.int32, device=device),
            "labels": torch.zeros(count, cells, dtype=torch.int32, device=device),
            "task": torch.zeros(count, dtype=torch.int64, device=device),
            "dihedral": torch.zeros(count, dtype=torch.int64, device=device),
            "augmentation": torch.zeros(count, dtype=torch.int64, device=device),
            "colors": torch.arange(10, device=device).repeat(count, 1),
            "high": torch.zeros(count, whole, hidden, dtype=dtype, device=device),
            "low": torch.zeros(count, whole, hidden, dtype=dtype, device=device),
        }
        self.row_gradients = torch.zeros(count, hidden, device=device)

    def __getitem__(self, name: str) -> Tensor:
        return self.buffers[name]

    def identity(self, piece: slice = slice(None)) -> Identity:
        """Identity of the samples in these slots."""
        names = ("task", "dihedral", "colors", "augmentation")
        return Identity(*(self.buffers[name][piece] for name in names))

    def entry(self, piece: slice = slice(None)) -> Tensor:
        """Entry of its stream that each slot holds: slot + (admissions - 1) x slots."""
        return self.slots[piece] + (self.buffers["admissions"][piece] - 1) * self.num_slots

    def pieces(self, batch: int) -> list[slice]:
        """Slots in the portions that pass through memory together, as even as can be."""
        return [slice(start, end) for start, end in piece_edges(self.count, batch)]


def build_lanes(
    train: dict[int, LanePairs], recipe: Recipe, dtype: torch.dtype, share: Share = WHOLE
) -> list[LaneState]:
    """One LaneState for each canvas that has training pairs, smallest canvas first."""
    counts = {side: len(pairs.task) for side, pairs in train.items() if len(pairs.task)}
    slots = deal_slots(counts, recipe.training.batch * recipe.training.accumulation)
    return [
        LaneState(number, train[side], slots[side], recipe, dtype, share) for number, side in enumerate(sorted(counts))
    ]

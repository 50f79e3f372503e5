"""The buffer of EXP-09 for one lane: its hardest recent samples, hardest first, and how it is drawn from.

Techniques room. A fixed number of rows on the device; new samples are joined with the old ones, sorted, and cut. Plain
tensor operations on static shapes; ties and sums are settled in integers, so that every device and every repetition
gets the same. A sample is (pair, augmentation, offset): that is also its exact key. When to record and when to draw is
`replay.py`, the file in the checkpoint `replay_file.py`.

Legend: C rows of the ring, B new samples, N pairs of the lane (task_N: their tasks). ints (C, 6) int64 and reals (C, 3)
fp64 have the columns of `Int` and `Real`; a row without a sample has loss -inf.
"""

from __future__ import annotations

from enum import IntEnum
from typing import final

import torch
from torch import Tensor

PRIORITY_BITS = 24  # priorities are whole numbers of at most this: sums of them are exact and the same everywhere
NOTHING = -torch.inf


class Int(IntEnum):
    """Columns of `ints`. INDEX: row of the lane's pairs; CYCLE: segments when LOSS was taken; STEP: when the stream
    gave the sample, in steps. A replay renews the loss, never the step, so nothing outlives the window."""

    INDEX = 0
    AUGMENTATION = 1
    ROW = 2
    COLUMN = 3
    CYCLE = 4
    STEP = 5


class Real(IntEnum):
    """Columns of `reals`. LOSS: mean token loss, an fp32 number; ENTROPY: of halting, in nats; TIME: Unix seconds."""

    LOSS = 0
    ENTROPY = 1
    TIME = 2


@final
class Ring:
    """A lane's buffer. All tensors keep their storage. `count` samples lie first; `limit` and `per_task` bound them."""

    def __init__(self, size: int, task_N: Tensor, pool: int, side: int) -> None:
        device = task_N.device
        self.size, self.task_N, self.pool, self.side = size, task_N, pool, side
        self.ints = torch.zeros(size, len(Int), dtype=torch.int64, device=device)
        self.reals = torch.zeros(size, len(Real), dtype=torch.float64, device=device)
        self.reals[:, Real.LOSS] = NOTHING
        self.count = torch.zeros((), dtype=torch.int64, device=device)
        self.limit = torch.full((), size, dtype=torch.int64, device=device)
        self.per_task = torch.full((), size, dtype=torch.int64, device=device)

    def tensors(self) -> dict[str, Tensor]:
        """What changes within the step."""
        return {"ints": self.ints, "reals": self.reals, "count": self.count}

    def put(self, ints: Tensor, reals: Tensor) -> None:
        """Replaces the content by these rows, hardest first; what is beyond the ring's size is left out."""
        kept = min(self.size, len(ints))
        self.ints.zero_()
        self.reals.zero_()
        self.reals[:, Real.LOSS] = NOTHING
        self.ints[:kept] = ints[:kept].to(self.ints.device)
        self.reals[:kept] = reals[:kept].to(self.reals.device)
        self.count.fill_(kept)

    def key(self, ints: Tensor) -> Tensor:
        """(M, 6) -> (M) int64, equal for equal samples and for no others."""
        pair = ints[:, Int.INDEX] * self.pool + ints[:, Int.AUGMENTATION]
        return (pair * self.side + ints[:, Int.ROW]) * self.side + ints[:, Int.COLUMN]

    def insert(self, ints: Tensor, reals: Tensor, seen: Tensor, oldest: Tensor) -> None:
        """Joins B samples with those kept; `seen` (B) bool: a sample whose earlier row, if any, is no longer true.

        Kept are, of all rows without repetitions (the newer stays) and not older than step `oldest` (0-d), at most
        `per_task` of a task, and of these the hardest `limit`.
        """
        # Of equal new samples the one in the lower slot stays; -1 is the key of none.
        key, order = torch.sort(torch.where(seen, self.key(ints), -1), stable=True)
        again = torch.cat([torch.zeros_like(seen[:1]), key[1:] == key[:-1]])
        earlier = self.key(self.ints)
        renewed = key[torch.searchsorted(key, earlier).clamp(max=len(key) - 1)] == earlier
        ints, reals = torch.cat([ints[order], self.ints]), torch.cat([reals[order], self.reals])
        gone = torch.cat([again, renewed]) | (ints[:, Int.STEP] < oldest)
        loss = reals[:, Real.LOSS].masked_fill(gone, NOTHING)
        order, rank = rank_within_task(loss, self.task_N[ints[:, Int.INDEX]])
        loss = loss[order].masked_fill(rank >= self.per_task, NOTHING)
        loss, hardest = torch.sort(loss, descending=True, stable=True)
        place = torch.arange(self.size, device=loss.device)
        loss = loss[: self.size].masked_fill(place >= self.limit, NOTHING)
        order = order[hardest][: self.size]
        self.ints.copy_(ints[order])
        self.reals.copy_(torch.cat([loss[:, None], reals[order, 1:]], dim=1))
        self.count.copy_((loss > NOTHING).sum())


def rank_within_task(loss_M: Tensor, task_M: Tensor) -> tuple[Tensor, Tensor]:
    """(order (M), rank (M) in that order): rows by task, then by falling loss; rank 0 is a task's hardest.

    The bits of a loss that is not negative grow with it, so task and loss make one integer to sort by. Nothing (-inf)
    comes last in its task.
    """
    bits = loss_M.float().view(torch.int32).to(torch.int64)
    code, order = torch.sort((task_M << 32) | (0x7FFFFFFF - bits), stable=True)
    first = torch.searchsorted(code, code >> 32 << 32)
    return order, torch.arange(len(code), device=code.device) - first


def priorities(loss_C: Tensor, alpha: float) -> Tensor:
    """loss^alpha as whole numbers, the hardest 2^24, any sample at least 1, nothing 0: (C) int64. Hardest first."""
    valid = loss_C > NOTHING
    # The smallest normal number instead of 0: a buffer of solved samples alone has equal priorities, not 0 / 0.
    size = torch.where(valid, loss_C, 0.0).clamp(min=torch.finfo(torch.float32).tiny)
    scaled = ((size / size[0]) ** alpha * (1 << PRIORITY_BITS)).round().to(torch.int64).clamp(min=1)
    return torch.where(valid, scaled, 0)


def draw_uniform(ring: Ring, word_S: Tensor) -> Tensor:
    """32-bit words (S) -> rows (S) of the ring, each of the `count` first alike."""
    return word_S % ring.count.clamp(min=1)


def draw_by_priority(ring: Ring, high_S: Tensor, low_S: Tensor, alpha: float, beta: Tensor) -> tuple[Tensor, Tensor]:
    """Two 32-bit words (S) -> rows (S), each with P(i) = p_i / sum p, and their importance weights (S) fp32.

    w_i = (1 / (C P(i)))^beta / max w, which is (least p / p_i)^beta: C and the sum cancel.
    """
    priority = priorities(ring.reals[:, Real.LOSS], alpha)
    table = torch.cumsum(priority, 0)
    word = (high_S << 30) | (low_S >> 2)  # 62 bits for a sum of at most 10^7 x 2^24: as good as even
    place = torch.searchsorted(table, word % table[-1].clamp(min=1), right=True).clamp(max=ring.size - 1)
    least = priority[(ring.count - 1).clamp(min=0).reshape(1)].clamp(min=1)  # one index of no dimension would be read
    return place, (least.float() / priority[place].clamp(min=1).float()) ** beta.reshape(1)

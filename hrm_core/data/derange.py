"""Fixed choices over pairs, made once on the host: whose input to borrow, and which few pairs to look at.

A lane's pairs -> for each the row of a pair of another task (for the swap measurements: does the prediction depend on
the input, or on the identity?); lanes -> a seeded subset that is the same in every run of the same data.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hrm_core.data.lanes import LanePairs
from triton_kernels.hashing import hash32

DERANGE, SUBSET = 201, 202


def derange(pairs: LanePairs, seed: int = 0) -> tuple[Tensor, Tensor]:
    """For each of N pairs a row of another task, (N) int64, and whether there is one, (N) bool; both on the host.

    A permutation without a pair of the same task where no task owns more than half of the lane; else rows of small
    tasks are used more than once. If the lane has one task only, rows are their own and the mask is False throughout.
    """
    task = pairs.task.cpu()
    tasks, group, counts = torch.unique(task, return_inverse=True, return_counts=True)
    num_pairs = len(task)
    if len(tasks) < 2:
        return torch.arange(num_pairs), torch.zeros(num_pairs, dtype=torch.bool)
    rank = torch.argsort(hash32(seed, DERANGE, tasks) * len(tasks) + torch.arange(len(tasks)))
    shuffled = torch.empty_like(rank)
    shuffled[rank] = torch.arange(len(tasks))
    order = torch.argsort(shuffled[group], stable=True)  # rows of a task stand together, tasks in shuffled order
    largest = int(counts.max())
    if 2 * largest <= num_pairs:
        partner = order.roll(-largest)
    else:
        partner = _next_others(order, task)
    index = torch.empty(num_pairs, dtype=torch.int64)
    index[order] = partner
    return index, torch.ones(num_pairs, dtype=torch.bool)


def _next_others(order: Tensor, task: Tensor) -> Tensor:
    """For each place of `order`, going round, rows of other tasks, spread evenly over those there are."""
    rows = order.tolist()
    partners = []
    for place, row in enumerate(rows):
        others = [other for other in rows if int(task[other]) != int(task[row])]
        partners.append(others[place % len(others)])
    return torch.tensor(partners, dtype=torch.int64)


def fixed_subset(lanes: Mapping[int, LanePairs], count: int, seed: int) -> dict[int, LanePairs]:
    """A fixed choice of `count` pairs over all lanes (all if there are fewer), in the lanes' order.

    Chosen by a hash of the pair's key alone, so that the canvases and the other pairs do not change who is in.
    """
    keys = torch.cat([pairs.key.cpu() for pairs in lanes.values()]) if lanes else torch.zeros(0, dtype=torch.int64)
    ranked = sorted((int(word), int(key)) for word, key in zip(hash32(seed, SUBSET, keys), keys, strict=True))
    chosen = torch.tensor([key for _, key in ranked[:count]], dtype=torch.int64)
    subset = {}
    for side, pairs in lanes.items():
        rows = torch.isin(pairs.key.cpu(), chosen).nonzero().flatten()
        if len(rows):
            subset[side] = pairs.select(rows)
    return subset

"""Pairs that are the same puzzle in another dress. Pair -> a key that its symmetric and recoloured copies share.

The key is the least of eight encodings, one per symmetry, with the colours other than 0 renamed in order of first
appearance over input and then output. Colour 0 keeps its name, as in every augmentation here: a copy with another
background is another puzzle to a model that is never shown such a change.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hrm_core.data.grids import NUM_COLORS, NUM_DIHEDRAL, Pair, Task, turn_grid


def pair_key(pair: Pair) -> bytes:
    """Equal for two pairs exactly if one is the other under a symmetry and a permutation of colours 1..9."""
    keys: list[bytes] = []
    for dihedral in range(NUM_DIHEDRAL):
        turned = turn_grid(pair.input, dihedral), turn_grid(pair.target, dihedral)
        cells = np.concatenate([grid.ravel() for grid in turned])
        names, first = np.unique(cells, return_index=True)
        order = [color for color in names[np.argsort(first)] if color != 0]
        renamed = np.zeros(NUM_COLORS, np.uint8)
        renamed[order] = np.arange(1, len(order) + 1)
        keys.append(bytes(turned[0].shape + turned[1].shape) + renamed[cells].tobytes())
    return min(keys)


def exact_key(pair: Pair) -> bytes:
    """Equal for two pairs exactly if they are the same cells."""
    return bytes(pair.input.shape + pair.target.shape) + pair.input.tobytes() + pair.target.tobytes()


def repeated(tasks: Iterable[Task]) -> list[Task]:
    """Those tasks of one source that have the name of an earlier one. Equal pairs under different names are let pass
    (ARC-AGI-1 has 070dd51e, which is 40853293): they are flagged as duplicates."""
    names: set[str] = set()
    again = []
    for task in tasks:
        if task.id in names:
            again.append(task)
        names.add(task.id)
    return again


def overlapping(kept: Iterable[Task], tasks: Iterable[Task]) -> list[Task]:
    """Those of `tasks` that are in `kept` already: of the same name, or with an exactly equal pair."""
    names: set[str] = set()
    keys: set[bytes] = set()
    for task in kept:
        names.add(task.id)
        keys.update(exact_key(pair) for pair in task.pairs)
    return [task for task in tasks if task.id in names or any(exact_key(pair) in keys for pair in task.pairs)]

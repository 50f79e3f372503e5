"""Classes of a task's rule descriptors, for a head to predict (EXP-08).

Data room: the columns of `descriptors.describe_task`, of demonstrations only -> (T, 4) int64 class numbers, and how the
class of symmetry changes when grids are turned. What learns from them is `hrm_core/techniques/rule_head.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hrm_core.data.descriptors import SYMMETRIES
from hrm_core.data.grids import NUM_DIHEDRAL, Grid, turn_back, turn_grid

# Descriptor -> number of classes. The last class of the two counts is "so many or more".
RULE_CLASSES = {"symmetry": len(SYMMETRIES), "translation": 2, "objects_changed": 5, "recolored": 4}


def rule_labels(descriptors: Mapping[str, Tensor]) -> Tensor:
    """Descriptor columns (T) int64 -> (T, 4) int64, in the order of `RULE_CLASSES`."""
    return torch.stack([descriptors[name].clamp(max=count - 1) for name, count in RULE_CLASSES.items()], dim=1)


def turned_symmetries() -> Tensor:
    """(8, 10) int64: class of symmetry of grids turned by each dihedral element, by the class that they had.

    A turned grid d(g) keeps e just where g keeps back(e(d(g))): its symmetries are the old ones, conjugated.
    """
    marked = np.arange(9, dtype=np.uint8).reshape(3, 3)
    elements = {turn_grid(marked, element).tobytes(): element for element in range(NUM_DIHEDRAL)}
    classes = {group: number for number, (_, group) in enumerate(SYMMETRIES)}

    def element_of(grid: Grid) -> int:
        return elements[np.ascontiguousarray(grid).tobytes()]

    rows = []
    for turn in range(NUM_DIHEDRAL):
        old = [element_of(turn_back(turn_grid(turn_grid(marked, turn), new), turn)) for new in range(NUM_DIHEDRAL)]
        rows.append([classes[frozenset(new for new in range(NUM_DIHEDRAL) if old[new] in g)] for _, g in SYMMETRIES])
    return torch.tensor(rows)

"""Does the model read its input, and does it use what it is told about the task?

Evaluation room: the same pairs predicted once as they are and once with the input (or the task identity) of another
task on the same canvas -> the share of predicted grids that change (`sensitivity`), and how much worse the changed
predictions are (`gain`, own minus swapped cell accuracy): a model can react without understanding. The swap is
`hrm_core.data`'s fixed derangement; pairs alone on their canvas have no partner and are not counted. Beside them
`commonest_share`: a model that ignores everything predicts one and the same grid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from hrm_core.data.grids import Grid
from hrm_core.evaluation.metrics import Floats
from hrm_core.evaluation.voting import grid_key


@final
@dataclass(frozen=True)
class Swap:
    """One kind of swap, measured on `pairs` pairs: both numbers None where there is no pair to measure."""

    sensitivity: float | None
    gain: float | None
    pairs: int


def measure_swap(own: Sequence[Grid], swapped: Sequence[Grid], own_cells: Floats, swapped_cells: Floats) -> Swap:
    """Grids predicted from the own and from the swapped input or identity, and their cell accuracies (N) -> `Swap`."""
    if not own:
        return Swap(None, None, 0)
    changed = [not np.array_equal(before, after) for before, after in zip(own, swapped, strict=True)]
    return Swap(float(np.mean(changed)), float(own_cells.mean() - swapped_cells.mean()), len(own))


def commonest_share(lanes: Sequence[tuple[int, Sequence[Grid]]]) -> float | None:
    """Share of predictions that are the commonest grid, over lanes of (canvas side, grids); None without any.

    A canvas filled with one colour counts as one grid whatever its side: so does a constant model look on each canvas.
    """
    counts: Counter[object] = Counter()
    for side, grids in lanes:
        for grid in grids:
            filled = grid.shape == (side, side) and (grid == grid[0, 0]).all()
            counts[("filled", int(grid[0, 0])) if filled else grid_key(grid)] += 1
    return max(counts.values()) / counts.total() if counts else None

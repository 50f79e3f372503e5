"""How right each prediction is, and the means that are reported.

Evaluation room: predicted tokens (N, T) and their decoded grids, beside `Targets` -> one value a sample for each
metric -> the mean over samples, every test pair weighing the same. A sample whose target does not fit its canvas is
wrong in every metric but `padded_accuracy`, which is always taken on 30 x 30. The trivial predictors go through the
same functions. pass@k needs several views of a pair and is in `voting.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from hrm_core.data.grids import MAX_SIDE, Grid
from triton_kernels.lay.reference import EOS, FIRST_COLOR, PAD

METRICS = (
    "exact",
    "token_exact",
    "cell_accuracy",
    "color_accuracy",
    "changed_cell_accuracy",
    "shape_accuracy",
    "padded_accuracy",
)

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Tokens = NDArray[np.uint8]
Scores = dict[str, Floats]


@final
@dataclass(frozen=True)
class Targets:
    """What the N predictions of one lane are held against, all at the origin.

    labels and inputs (N, T) uint8 tokens; grids: the N whole targets, also those that do not fit; fits (N) bool: False
    where the target does not fit the canvas (its labels are then all PAD); same_size (N) bool: input and target have
    the same height and width.
    """

    labels: Tokens
    inputs: Tokens
    grids: tuple[Grid, ...]
    fits: Bools
    same_size: Bools


def padded_fields(grids: Sequence[Grid]) -> Tokens:
    """Grids -> (N, 900) tokens on 30 x 30, laid at the origin as `triton_kernels.lay` does: an EOS row under and an
    EOS column right where there is room, PAD outside. An empty grid is PAD everywhere."""
    fields = np.full((len(grids), MAX_SIDE, MAX_SIDE), PAD, dtype=np.uint8)
    for field, grid in zip(fields, grids, strict=True):
        height, width = grid.shape
        if grid.size == 0:
            continue
        field[:height, :width] = grid + FIRST_COLOR
        field[height : height + 1, :width] = EOS
        field[:height, width : width + 1] = EOS
    return fields.reshape(len(grids), -1)


def _share(correct: Bools, counted: Bools, missing: float) -> Floats:
    """(N, T) bool each -> (N) share of the counted cells that are correct; `missing` where none is counted."""
    total = counted.sum(axis=1)
    right = (correct & counted).sum(axis=1)
    return np.where(total > 0, right / np.maximum(total, 1), missing)


def score_samples(tokens: Tokens, grids: Sequence[Grid], targets: Targets) -> Scores:
    """One value in [0, 1] a sample for each of `METRICS`; NaN where a sample has nothing to count.

    tokens (N, T) uint8 as predicted; grids: the same, decoded. Only `changed_cell_accuracy` has NaN: it is defined for
    pairs whose input and target have equal size and differ.
    """
    labels, fits = targets.labels, targets.fits
    correct = tokens == labels
    inside = labels >= FIRST_COLOR
    changed = inside & (targets.inputs != labels) & (targets.same_size & fits)[:, None]
    shape_right = [grid.shape == target.shape for grid, target in zip(grids, targets.grids, strict=True)]
    exact = [
        same and np.array_equal(grid, target)
        for same, grid, target in zip(shape_right, grids, targets.grids, strict=True)
    ]
    padded = padded_fields(grids) == padded_fields(targets.grids)
    return {
        "exact": np.array(exact, dtype=np.float64) * fits,
        "token_exact": (correct | (labels == PAD)).all(axis=1) * fits.astype(np.float64),
        "cell_accuracy": _share(correct, labels != PAD, 0.0) * fits,
        "color_accuracy": _share(correct, inside, 0.0) * fits,
        "changed_cell_accuracy": _share(correct, changed, np.nan),
        "shape_accuracy": np.array(shape_right, dtype=np.float64) * fits,
        "padded_accuracy": padded.mean(axis=1),
    }


def join_scores(parts: Sequence[Scores]) -> Scores:
    """Scores of several lanes, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in METRICS}


def mean_scores(scores: Mapping[str, Floats], chosen: Bools | None = None) -> dict[str, float | None]:
    """Mean over the (chosen) samples of each metric, NaN left out; None where no sample has a value."""
    means: dict[str, float | None] = {}
    for name, values in scores.items():
        kept = values if chosen is None else values[chosen]
        kept = kept[~np.isnan(kept)]
        means[name] = float(kept.mean()) if kept.size else None
    return means

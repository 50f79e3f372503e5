"""Does the halting confidence know when the grid is right?

Evaluation room: confidence (N) in [0, 1] and exactness (N) -> expected calibration error over 15 equal bins (Guo et al.
2017, eq. 3), Brier score, area under the ROC curve (Mann-Whitney, ties count half) and the base rate: at a base rate of
5 % a low error is easy, so it is always shown beside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrm_core.evaluation.metrics import Floats

NUM_BINS = 15


def expected_calibration_error(confidence: Floats, right: Floats, num_bins: int = NUM_BINS) -> float:
    """Sum over bins of (samples in bin / N) * |share right - mean confidence|. N >= 1; 1.0 is in the last bin."""
    place: NDArray[np.int64] = np.minimum((confidence * num_bins).astype(np.int64), num_bins - 1)
    gap = np.bincount(place, weights=right - confidence, minlength=num_bins)
    return float(np.abs(gap).sum() / len(confidence))


def brier_score(confidence: Floats, right: Floats) -> float:
    """Mean squared distance of the confidence from 1 (right) or 0 (wrong). N >= 1."""
    return float(np.square(confidence - right).mean())


def area_under_roc(confidence: Floats, right: Floats) -> float | None:
    """Chance that a right sample is more confident than a wrong one, ties counting half; None if all are alike."""
    num_right = int(right.sum())
    num_wrong = len(right) - num_right
    if num_right == 0 or num_wrong == 0:
        return None
    rank_sum = float(_ranks(confidence)[right > 0].sum())
    return (rank_sum - num_right * (num_right + 1) / 2) / (num_right * num_wrong)


def _ranks(values: Floats) -> NDArray[np.float64]:
    """1 for the smallest; equal ones share the mean of their places. As scipy.stats.rankdata, a second to import."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks


def calibrate(confidence: Floats, right: Floats) -> dict[str, float | None]:
    """The four numbers of an evaluation row; all None without samples."""
    if not len(confidence):
        return {"ece": None, "brier": None, "auroc": None, "base_rate": None}
    return {
        "ece": expected_calibration_error(confidence, right),
        "brier": brier_score(confidence, right),
        "auroc": area_under_roc(confidence, right),
        "base_rate": float(right.mean()),
    }

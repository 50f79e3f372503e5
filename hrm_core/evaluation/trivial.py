"""Predictors that need no model: every number is shown beside what they get on the same samples.

Evaluation room: the input tokens of a lane (N, T) -> the token fields that each trivial predictor would predict, to be
decoded and scored by the same functions as the model's. `lift` is a metric minus the best of the four.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from hrm_core.data.grids import NUM_COLORS
from hrm_core.data.lanes import LanePairs
from hrm_core.evaluation.metrics import Tokens
from triton_kernels.lay.reference import EOS, FIRST_COLOR, PAD

TRIVIAL = ("pad", "black", "frequent", "copy")
VOCABULARY = FIRST_COLOR + NUM_COLORS


def most_frequent_token(lanes: Iterable[LanePairs], include_pad: bool) -> int:
    """The commonest label token of the training pairs, laid at the origin of their canvases.

    PAD counts only where the loss counts it. Ties go to the smaller token; black if there are no pairs.
    """
    counts = np.zeros(VOCABULARY, dtype=np.int64)
    for lane in lanes:
        colors = np.bincount(lane.target.cpu().numpy().reshape(-1), minlength=NUM_COLORS)[:NUM_COLORS]
        height = lane.target_height.cpu().numpy()[lane.fits.cpu().numpy()]
        width = lane.target_width.cpu().numpy()[lane.fits.cpu().numpy()]
        ends = int(np.where(height < lane.side, width, 0).sum() + np.where(width < lane.side, height, 0).sum())
        counts[FIRST_COLOR:] += colors
        counts[EOS] += ends
        if include_pad:
            counts[PAD] += len(height) * lane.side**2 - int(colors.sum()) - ends
    return int(counts.argmax()) if counts.any() else FIRST_COLOR


def trivial_fields(inputs: Tokens, frequent: int) -> dict[str, Tokens]:
    """Input tokens (N, T) uint8 -> for each of `TRIVIAL` the predicted tokens (N, T) uint8."""
    return {
        "pad": np.full_like(inputs, PAD),
        "black": np.full_like(inputs, FIRST_COLOR),
        "frequent": np.full_like(inputs, frequent),
        "copy": inputs,
    }


def lift(
    metrics: Mapping[str, float | None], trivial: Mapping[str, Mapping[str, float | None]]
) -> dict[str, float | None]:
    """Metric minus the best trivial predictor's on the same samples; None where the metric has no value."""
    lifts: dict[str, float | None] = {}
    for name, value in metrics.items():
        others = [other for other in trivial[name].values() if other is not None]
        lifts[name] = None if value is None or not others else value - max(others)
    return lifts

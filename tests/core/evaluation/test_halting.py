"""Halting histograms beside a hand count."""

from __future__ import annotations

import numpy as np

from hrm_core.evaluation.halting import first_halts, halting_summary

LOGITS = np.array([[-1, 2, 3], [0, -1, -1], [5, -5, 5], [-1, -1, 0.1], [-1, -1, -1]], dtype=np.float32)


def test_first_segment_above_zero() -> None:
    assert first_halts(LOGITS).tolist() == [1, 3, 0, 2, 3]  # 0 itself does not halt


def test_histogram_and_never() -> None:
    assert halting_summary(LOGITS) == {"histogram": [1, 1, 1], "never": 2 / 5}
    assert halting_summary(LOGITS[:0]) == {"histogram": [0, 0, 0], "never": None}

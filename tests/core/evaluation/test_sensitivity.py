"""Swap measurements and the commonest grid beside hand counts."""

from __future__ import annotations

import numpy as np

from hrm_core.evaluation.sensitivity import Swap, commonest_share, measure_swap

ONE, TWO = np.ones((1, 2), np.uint8), np.full((1, 2), 2, np.uint8)
EMPTY = np.zeros((0, 0), np.uint8)


def test_share_that_changes_and_what_the_own_is_worth() -> None:
    own, swapped = [ONE, ONE, EMPTY, TWO], [ONE, ONE.T, EMPTY, ONE]
    swap = measure_swap(own, swapped, np.array([1.0, 0.5, 0.0, 0.5]), np.array([1.0, 0.0, 0.0, 0.0]))
    assert swap == Swap(sensitivity=0.5, gain=0.25, pairs=4)


def test_without_partners_nothing_is_claimed() -> None:
    assert measure_swap([], [], np.zeros(0), np.zeros(0)) == Swap(None, None, 0)


def test_commonest_grid_over_canvases() -> None:
    assert commonest_share([(4, [ONE, ONE, TWO]), (9, [ONE])]) == 0.75
    filled = [(side, [np.full((side, side), 3, np.uint8)] * 2) for side in (10, 30)]
    assert commonest_share(filled) == 1.0  # a constant model fills every canvas
    assert commonest_share([(10, filled[0][1]), (30, filled[0][1])]) == 0.5  # 10 x 10 on 30 x 30 is not filled
    assert commonest_share([(10, [EMPTY, EMPTY])]) == 1.0
    assert commonest_share([]) is None

"""Exactness by surface-form family of task, with the interval that so few tasks allow.

Evaluation room: exact (N), the bit mask of families of each sample's task (N) -> pairs, exact, its 95 % Wilson interval
and what the trivial predictors get, for each family that has pairs. A task can be in several families; families only
describe, never decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the interval is asked for where no torch is wanted
    from hrm_core.evaluation.metrics import Floats

NORMAL_95 = 1.959963984540054


def wilson_interval(successes: float, trials: int, z: float = NORMAL_95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927): (low, high) in [0, 1]; (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    scale = 1.0 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def by_family(
    exact: Floats, masks: NDArray[np.int64], names: Sequence[str], trivial: Mapping[str, Floats]
) -> dict[str, dict[str, Any]]:
    """`{family: {pairs, exact (share), low, high, trivial}}` for the families that have pairs; bit b of a mask is
    names[b]. `trivial`: each trivial predictor's exact (N) on the same samples, of which the table has the shares.
    """
    return by_members(exact, {name: (masks >> bit) & 1 == 1 for bit, name in enumerate(names)}, trivial)


def by_members(
    exact: Floats, members_of: Mapping[str, NDArray[np.bool_]], trivial: Mapping[str, Floats]
) -> dict[str, dict[str, Any]]:
    """The same table for families given as (N) bool each."""
    table: dict[str, dict[str, Any]] = {}
    for name, mine in members_of.items():
        members = exact[mine]
        if len(members):
            low, high = wilson_interval(float(members.sum()), len(members))
            table[name] = {
                "pairs": len(members), "exact": float(members.mean()), "low": low, "high": high,
                "trivial": {predictor: float(values[mine].mean()) for predictor, values in trivial.items()},
            }  # fmt: skip
    return table

"""Several views of a test pair, one vote each; the two answers that ARC allows.

Evaluation room: for each test pair the grids decoded from its views, already turned and coloured back, with a
confidence each -> distinct grids by number of votes, then by mean confidence (Wang et al. 2025, arc_eval) -> the rank
of the right one -> pass@1 and pass@2. Empty predictions cast no vote: they cannot be submitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from hrm_core.data.grids import Grid
from hrm_core.evaluation.metrics import Bools

NEVER = np.iinfo(np.int64).max


@final
@dataclass(frozen=True)
class Answer:
    """One distinct grid, the number of views that gave it and their mean confidence."""

    grid: Grid
    votes: int
    confidence: float


def grid_key(grid: Grid) -> tuple[tuple[int, ...], bytes]:
    """Equal exactly for equal grids: shape and cells."""
    return grid.shape, grid.tobytes()


def rank_answers(grids: Sequence[Grid], confidences: Sequence[float]) -> list[Answer]:
    """Distinct non-empty grids, best first: more votes, then higher mean confidence, then the earlier view."""
    groups: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
    for view, grid in enumerate(grids):
        if grid.size:
            groups.setdefault(grid_key(grid), []).append(view)
    answers = [
        Answer(grids[views[0]], len(views), sum(confidences[view] for view in views) / len(views))
        for views in groups.values()
    ]
    return sorted(answers, key=lambda answer: (-answer.votes, -answer.confidence))


def right_rank(answers: Sequence[Answer], target: Grid) -> int:
    """Place of the right grid among the answers, 0 for the first; `NEVER` if it is not there."""
    for place, answer in enumerate(answers):
        if np.array_equal(answer.grid, target):
            return place
    return NEVER


def pass_scores(
    ranks: NDArray[np.int64], tasks: NDArray[np.int64], chosen: Bools | None = None
) -> dict[str, float | None]:
    """Rank of the right grid (N), task (N) -> pass_at_1 and pass_at_2, the share of tasks whose (chosen) tests are all
    right within so many answers, and pass_at_2_per_test, the share of tests. None without tests."""
    if chosen is not None:
        ranks, tasks = ranks[chosen], tasks[chosen]
    if not len(ranks):
        return {"pass_at_1": None, "pass_at_2": None, "pass_at_2_per_test": None}
    _, task_of_test = np.unique(tasks, return_inverse=True)
    worst = np.zeros(int(task_of_test.max()) + 1, dtype=np.int64)
    np.maximum.at(worst, task_of_test, ranks)
    return {
        "pass_at_1": float((worst < 1).mean()),
        "pass_at_2": float((worst < 2).mean()),
        "pass_at_2_per_test": float((ranks < 2).mean()),
    }

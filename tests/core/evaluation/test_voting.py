"""Ranking and pass@k beside a plain count, and beside examples worked by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hrm_core.data.grids import Grid
from hrm_core.evaluation.voting import NEVER, pass_scores, rank_answers, right_rank

A, B, C = (np.full((1, 2), color, dtype=np.uint8) for color in (1, 2, 3))
EMPTY: Grid = np.zeros((0, 0), dtype=np.uint8)


def test_more_votes_come_first_then_confidence_then_the_earlier_view() -> None:
    answers = rank_answers([A, B, B, C, C], [0.99, 0.2, 0.4, 0.1, 0.6])
    assert [(answer.grid[0, 0], answer.votes) for answer in answers] == [(3, 2), (2, 2), (1, 1)]
    assert np.isclose(answers[0].confidence, 0.35)
    tied = rank_answers([B, A], [0.5, 0.5])
    assert [answer.grid[0, 0] for answer in tied] == [2, 1]


def test_equal_cells_of_other_shape_are_another_grid() -> None:
    assert len(rank_answers([A, A.T, A], [0.1] * 3)) == 2
    assert right_rank(rank_answers([A], [0.1]), A.T) == NEVER


def test_empty_predictions_do_not_vote() -> None:
    assert [answer.votes for answer in rank_answers([EMPTY, EMPTY, A], [0.9, 0.9, 0.1])] == [1]
    assert rank_answers([EMPTY], [0.9]) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=20))
def test_answers_are_distinct_and_votes_add_up(views: list[tuple[int, float]]) -> None:
    answers = rank_answers([np.full((2, 2), color, np.uint8) for color, _ in views], [sure for _, sure in views])
    colors = [int(answer.grid[0, 0]) for answer in answers]
    assert len(set(colors)) == len(colors)
    assert sum(answer.votes for answer in answers) == len(views)
    assert [answer.votes for answer in answers] == sorted((answer.votes for answer in answers), reverse=True)


def test_a_task_counts_only_if_all_its_tests_are_right() -> None:
    ranks = np.array([0, 0, 1, 0, NEVER])
    tasks = np.array([7, 7, 3, 3, 9])  # task 7: both first; task 3: one only second; task 9: never
    assert pass_scores(ranks, tasks) == {"pass_at_1": 1 / 3, "pass_at_2": 2 / 3, "pass_at_2_per_test": 4 / 5}
    chosen = np.array([True, True, False, True, False])
    assert pass_scores(ranks, tasks, chosen) == {"pass_at_1": 1.0, "pass_at_2": 1.0, "pass_at_2_per_test": 1.0}
    assert set(pass_scores(ranks, tasks, np.zeros(5, bool)).values()) == {None}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30))
def test_pass_at_k_is_a_plain_count(tests: list[tuple[int, int]]) -> None:
    scores = pass_scores(np.array([rank for _, rank in tests]), np.array([task for task, _ in tests]))
    tasks = {task for task, _ in tests}
    for within in (1, 2):
        solved = [task for task in tasks if all(rank < within for other, rank in tests if other == task)]
        assert scores[f"pass_at_{within}"] == len(solved) / len(tasks)

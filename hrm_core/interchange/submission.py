"""Kaggle's ARC Prize submission.json: two distinct attempts for every test input, by votes of several snapshots.

Interchange room: answers of one or more snapshots to the same puzzles -> a submission, and a check of one against its
challenges. The form is the competition's: {task: [{"attempt_1": grid, "attempt_2": grid}, one per test input in
order]}, every task and both attempts required, sides 1 to 30, colours 0 to 9. What scores is the share of a task's
tests for which either attempt is right, averaged over tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from hrm_core.data.grids import Grid
from hrm_core.data.parse import BadTask, parse_grid, read_json
from hrm_core.errors import UserError
from hrm_core.evaluation.voting import Answer, grid_key
from hrm_core.interchange.puzzles import Answered, Puzzle
from hrm_core.runs.text import clean

ATTEMPTS: Final = ("attempt_1", "attempt_2")
Submission = dict[str, list[dict[str, list[list[int]]]]]


@final
@dataclass(frozen=True)
class Chosen:
    """The two attempts at one test. `filled` of them came from no model: the input as it is, then simpler grids."""

    attempts: tuple[Grid, Grid]
    filled: int


def join_answers(votes: Sequence[Sequence[Answer]]) -> list[Answer]:
    """Answers of several snapshots to one test -> distinct grids: more votes first, then higher mean confidence."""
    joined: dict[tuple[tuple[int, ...], bytes], Answer] = {}
    for answers in votes:
        for answer in answers:
            key = grid_key(answer.grid)
            before = joined.get(key)
            if before is None:
                joined[key] = answer
                continue
            count = before.votes + answer.votes
            confidence = (before.confidence * before.votes + answer.confidence * answer.votes) / count
            joined[key] = Answer(before.grid, count, confidence)
    return sorted(joined.values(), key=lambda answer: (-answer.votes, -answer.confidence))


def choose(given: Grid, answers: Sequence[Answer]) -> Chosen:
    """The best two, filled up to two distinct ones: the form asks for both."""
    grids = [answer.grid for answer in answers[: len(ATTEMPTS)]]
    known = {grid_key(grid) for grid in grids}
    filled = 0
    for grid in _simple(given):
        if len(grids) < len(ATTEMPTS) and grid_key(grid) not in known:
            known.add(grid_key(grid))
            grids.append(grid)
            filled += 1
    return Chosen((grids[0], grids[1]), filled)


def _simple(given: Grid) -> Iterator[Grid]:
    yield given
    yield np.zeros_like(given)
    yield np.zeros((1, 1), np.uint8)
    yield np.ones((1, 1), np.uint8)


def submission_of(puzzles: Sequence[Puzzle], chosen: Mapping[tuple[str, int], Chosen]) -> Submission:
    """The submission, every test of every puzzle in order."""
    return {
        puzzle.task.id: [
            {name: grid.tolist() for name, grid in zip(ATTEMPTS, chosen[puzzle.task.id, test].attempts, strict=True)}
            for test in range(len(puzzle.task.tests))
        ]
        for puzzle in puzzles
    }


def vote(puzzles: Sequence[Puzzle], answered: Sequence[Sequence[Answered]]) -> dict[tuple[str, int], Chosen]:
    """(task, test) -> its two attempts, by the votes of every snapshot that answered it."""
    votes: dict[tuple[str, int], list[tuple[Answer, ...]]] = {}
    for one in answered:
        for test in one:
            votes.setdefault((test.task, test.test), []).append(test.answers)
    return {
        (puzzle.task.id, number): choose(pair.input, join_answers(votes.get((puzzle.task.id, number), [])))
        for puzzle in puzzles
        for number, pair in enumerate(puzzle.task.tests)
    }


@final
@dataclass(frozen=True)
class Checked:
    """A valid submission: tests, and in how many both attempts are the same (allowed, and an attempt thrown away)."""

    tests: int
    same: int


def check_submission(value: object, puzzles: Sequence[Puzzle]) -> Checked:
    """UserError (1) with the first thing that the competition would refuse."""
    if not isinstance(value, dict):
        raise UserError("the submission is no JSON object of tasks.", 1)
    names = {puzzle.task.id for puzzle in puzzles}
    for what, odd in (("misses", sorted(names - value.keys())), ("has too much:", sorted(value.keys() - names))):
        if odd:
            more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
            raise UserError(
                f"the submission {what} task {clean(odd[0])[:80]}{more}; the challenges have {len(names)}.", 1
            )
    same = tests = 0
    for puzzle in puzzles:
        entries, wanted = value[puzzle.task.id], len(puzzle.task.tests)
        if not isinstance(entries, list) or len(entries) != wanted:
            found = f"{len(entries)} entries" if isinstance(entries, list) else "no list"
            raise UserError(f"task {clean(puzzle.task.id)}: {found}, {wanted} tests.", 1)
        for number, entry in enumerate(entries):
            first, second = _attempts(entry, f"task {puzzle.task.id}, test {number + 1}")
            same += grid_key(first) == grid_key(second)
            tests += 1
    return Checked(tests, same)


def _attempts(entry: object, where: str) -> tuple[Grid, Grid]:
    if not isinstance(entry, dict) or set(entry) != set(ATTEMPTS):
        raise UserError(f"{clean(where)}: not an object of attempt_1 and attempt_2.", 1)
    try:
        return parse_grid(entry[ATTEMPTS[0]], ATTEMPTS[0]), parse_grid(entry[ATTEMPTS[1]], ATTEMPTS[1])
    except BadTask as error:
        raise UserError(f"{clean(where)}: {clean(error)}.", 1) from None


def read_solutions(path: Path, puzzles: Sequence[Puzzle]) -> dict[str, list[Grid]]:
    """The test outputs of every puzzle from a *_solutions.json. UserError (1) where they do not belong together."""
    try:
        value = read_json(path)
        if not isinstance(value, dict):
            raise BadTask("not a JSON object of solutions")
        found = {}
        for puzzle in puzzles:
            grids, tests = value.get(puzzle.task.id), len(puzzle.task.tests)
            if not isinstance(grids, list) or len(grids) != tests:
                raise BadTask(f"no {tests} solutions for task {puzzle.task.id}")
            found[puzzle.task.id] = [parse_grid(grid, f"{puzzle.task.id}[{test}]") for test, grid in enumerate(grids)]
        return found
    except BadTask as error:
        raise UserError(f"{clean(path)}: {clean(error)}", 1) from None


def score(submission: Mapping[str, Any], solutions: Mapping[str, Sequence[Grid]]) -> float:
    """The competition's number, 0 to 1."""
    shares = []
    for task, targets in solutions.items():
        right = [
            any(entry[name] == target.tolist() for name in ATTEMPTS)
            for entry, target in zip(submission[task], targets, strict=True)
        ]
        shares.append(sum(right) / len(right))
    return sum(shares) / len(shares)


def copying(puzzles: Sequence[Puzzle]) -> Submission:
    """What needs no model: the input, and a black grid of its size."""
    return submission_of(puzzles, vote(puzzles, []))

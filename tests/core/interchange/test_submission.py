"""submission.json: two distinct attempts a test, votes of several snapshots, and what the competition refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from technique_bench import run_steps, tiny_parts

from hrm_core.cli.submit_command import submit
from hrm_core.data.dataset import load_dataset
from hrm_core.data.grids import Grid
from hrm_core.errors import UserError
from hrm_core.evaluation.voting import Answer, grid_key
from hrm_core.interchange.puzzles import Puzzle, read_puzzles
from hrm_core.interchange.submission import check_submission, choose, copying, join_answers, read_solutions, score
from hrm_core.training.checkpoint import save_snapshot

PAIR = {"input": [[1, 2]], "output": [[2, 1]]}
CHALLENGES = {
    "a": {"train": [PAIR], "test": [{"input": [[1, 3]]}, {"input": [[3]]}]},
    "b": {"train": [PAIR], "test": [{"input": [[0]]}]},
}
SOLUTIONS = {"a": [[[1, 3]], [[5]]], "b": [[[7]]]}


def grid(*rows: list[int]) -> Grid:
    return np.array(rows, np.uint8)


def puzzles(folder: Path) -> list[Puzzle]:
    (folder / "challenges.json").write_text(json.dumps(CHALLENGES))
    return read_puzzles(folder / "challenges.json")


def test_votes_of_snapshots_are_added() -> None:
    one = [Answer(grid([1]), 3, 0.5), Answer(grid([2]), 2, 0.9)]
    two = [Answer(grid([2]), 2, 0.1), Answer(grid([3]), 1, 0.2)]
    joined = join_answers([one, two])
    assert [(answer.grid.tolist(), answer.votes) for answer in joined] == [([[2]], 4), ([[1]], 3), ([[3]], 1)]
    assert joined[0].confidence == pytest.approx(0.5)


grids = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 2), min_size=width, max_size=width), min_size=1, max_size=3)
)


@given(grids, st.lists(grids, max_size=4))
def test_two_attempts_are_always_distinct(shown: list[list[int]], answers: list[list[list[int]]]) -> None:
    given_grid = np.array(shown, np.uint8)
    ranked = join_answers([[Answer(np.array(answer, np.uint8), 1, 0.5)] for answer in answers])
    chosen = choose(given_grid, ranked)
    first, second = chosen.attempts
    assert grid_key(first) != grid_key(second)
    assert chosen.filled == max(0, 2 - len(ranked))
    assert all(grid_key(answer.grid) == grid_key(made) for answer, made in zip(ranked, chosen.attempts, strict=False))


def test_the_score_is_the_mean_over_tasks_of_the_share_of_tests(tmp_path: Path) -> None:
    tasks = puzzles(tmp_path)
    (tmp_path / "solutions.json").write_text(json.dumps(SOLUTIONS))
    solutions = read_solutions(tmp_path / "solutions.json", tasks)
    assert score(copying(tasks), solutions) == pytest.approx((1 / 2 + 0) / 2)
    right = {"a": [attempts([[0]], [[1, 3]]), attempts([[5]], [[5]])], "b": [attempts([[7]], [[0]])]}
    assert score(right, solutions) == 1.0
    assert check_submission(right, tasks).same == 1
    (tmp_path / "solutions.json").write_text(json.dumps({"a": SOLUTIONS["a"]}))
    with pytest.raises(UserError, match="no 1 solutions for task b"):
        read_solutions(tmp_path / "solutions.json", tasks)


def attempts(first: object, second: object) -> dict[str, Any]:
    return {"attempt_1": first, "attempt_2": second}


GOOD = {"a": [attempts([[1]], [[2]]), attempts([[1]], [[2]])], "b": [attempts([[1]], [[2]])]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "no JSON object"),
        ({"a": GOOD["a"]}, "misses task b; the challenges have 2"),
        ({**GOOD, "c": []}, "has too much: task c"),
        ({**GOOD, "a": GOOD["a"][:1]}, "task a: 1 entries, 2 tests"),
        ({**GOOD, "b": {}}, "task b: no list, 1 tests"),
        ({**GOOD, "b": [{"attempt_1": [[1]]}]}, "task b, test 1: not an object of attempt_1 and attempt_2"),
        ({**GOOD, "b": [attempts([[1]], [[10]])]}, r"attempt_2 row 0, column 0 is 10"),
        ({**GOOD, "b": [attempts([], [[1]])]}, "attempt_1 has no rows"),
        ({**GOOD, "b": [attempts([[1]] * 31, [[1]])]}, "attempt_1 has 31 rows"),
        ({**GOOD, "b": [attempts([[1], [1, 2]], [[1]])]}, "attempt_1 is ragged"),
    ],
)
def test_what_the_competition_refuses_is_named(tmp_path: Path, value: object, said: str) -> None:
    tasks = puzzles(tmp_path)
    assert check_submission(GOOD, tasks).tests == 3
    with pytest.raises(UserError, match=said):
        check_submission(value, tasks)


def test_two_snapshots_make_one_submission(tmp_path: Path, arc1_file: Path) -> None:
    """From the command line: known tasks without adapting, unknown ones filled or refused, scored beside copying."""
    for name, steps in (("one", 2), ("two", 4)):
        parts = tiny_parts(arc1_file, ["training.device=cpu"])
        run_steps(parts, steps)
        ids = load_dataset(arc1_file, parts.recipe.data).tasks.ids
        save_snapshot(tmp_path / name, parts, ids, {"step": steps, "run_id": name})
    known = {ids[0]: CHALLENGES["a"]}
    path = tmp_path / "challenges.json"
    path.write_text(json.dumps(known))
    words = [str(tmp_path / "one"), str(tmp_path / "two"), "--challenges", str(path), "--out", str(tmp_path / "s.json")]
    done = CliRunner().invoke(submit, [*words, "--json"], catch_exceptions=False)
    said = json.loads(done.stdout)
    assert (said["tests"], said["same"]) == (2, 0) and [row["tasks"] for row in said["snapshots"]] == [1, 1]
    assert check_submission(json.loads((tmp_path / "s.json").read_text()), read_puzzles(path)).tests == 2
    path.write_text(json.dumps({**known, "a": CHALLENGES["a"]}))
    with pytest.raises(UserError, match="no snapshot can answer task a: no identity row"):
        CliRunner().invoke(submit, words, catch_exceptions=False)
    path.write_text(json.dumps({**known, **CHALLENGES}))
    with pytest.raises(UserError, match="no snapshot can answer task a and 1 more"):
        CliRunner().invoke(submit, words, catch_exceptions=False)
    (tmp_path / "solutions.json").write_text(json.dumps({ids[0]: SOLUTIONS["a"], **SOLUTIONS}))
    more = ["--fill", "--solutions", str(tmp_path / "solutions.json"), "--json"]
    said = json.loads(CliRunner().invoke(submit, [*words, *more], catch_exceptions=False).stdout)
    assert said["filled"] >= 6 and said["copying_score"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    done = CliRunner().invoke(submit, ["--check", str(tmp_path / "s.json"), "--challenges", str(path)])
    assert "valid, 3 tasks, 5 tests" in done.stdout

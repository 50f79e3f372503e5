"""ARC tasks from any JSON, built data from any bytes: what is taken stands in the file, else it is one sentence."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hrm_core.data.file import SurpriseError, digest_path, from_bytes, read_content
from hrm_core.data.parse import BadTask, load_json, parse_task
from hrm_core.data.sources.folders import read_path
from hrm_core.errors import UserError
from hrm_core.runs.text import clean
from hrm_core.torture.fuzz_data import made_data

LAW = settings(
    deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CELLS = st.integers(-1, 10) | st.sampled_from([True, None, 1.0, "1", 10**400, float("nan")])
GRIDS = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 9), min_size=width, max_size=width), min_size=1, max_size=3)
)
ODD_GRIDS = GRIDS | st.lists(st.lists(CELLS, max_size=3), max_size=3) | CELLS | st.just([[0] * 31])
PAIRS = st.lists(st.fixed_dictionaries({"input": ODD_GRIDS, "output": GRIDS}) | CELLS, max_size=2)
GOOD_PAIRS = st.lists(st.fixed_dictionaries({"input": GRIDS, "output": GRIDS}), min_size=1, max_size=2)
TASKS = st.fixed_dictionaries({"train": GOOD_PAIRS, "test": GOOD_PAIRS})
ODD_TASKS = st.fixed_dictionaries({}, optional={"train": PAIRS, "test": PAIRS | CELLS, "x": CELLS})
ONE = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}


def pairs_of(value: Any, key: str) -> list[Any]:
    return [[pair["input"], pair["output"]] for pair in value[key]]


@LAW
@given(TASKS | ODD_TASKS | CELLS)
@example(ONE)
@example({**ONE, "test": [{"input": [[True]], "output": [[1]]}]})
@example({**ONE, "test": [{"input": [[10**5000]], "output": [[1]]}]})
def test_any_value_is_a_task_as_it_stands_or_a_reason(value: Any) -> None:
    try:
        task = parse_task(value, "t", "made", False, "t.json")
    except BadTask as refused:
        assert str(refused) and len(str(refused)) < 300
        return
    for key, pairs in (("train", task.demonstrations), ("test", task.tests)):
        assert [[pair.input.tolist(), pair.target.tolist()] for pair in pairs] == pairs_of(value, key)
        assert all(
            type(cell) is int for grids in pairs_of(value, key) for grid in grids for row in grid for cell in row
        )


@LAW
@given(st.binary(max_size=100) | TASKS.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 5000)
@example(b"\xef\xbb\xbf{}")
@example(b"\xff")
def test_any_bytes_are_json_or_a_reason(data: bytes) -> None:
    try:
        load_json(data)
    except BadTask as refused:
        assert str(refused)


@LAW
@given(name=st.text(max_size=20), tasks=st.lists(TASKS | ODD_TASKS, min_size=1, max_size=3))
@example(name="\ud800", tasks=[ONE])
@example(name="\x1b[2J\n", tasks=[ONE])
@example(name="x" * 300, tasks=[ONE])
@example(name="train", tasks=[ONE])
def test_any_file_of_tasks_is_a_source_or_a_sentence(tmp_path: Path, name: str, tasks: list[Any]) -> None:
    path = tmp_path / "many.json"
    path.write_bytes(json.dumps({f"{name}{number or ''}": task for number, task in enumerate(tasks)}).encode())
    try:
        source = read_path(path, "made")
    except UserError as refused:
        lines = refused.message.split("\n")
        assert len(lines) <= 2 and all(clean(line) == line for line in lines) and "many.json" in refused.message
        return
    standing = [
        [pairs_of(task, "train"), pairs_of(task, "test")]
        for task in tasks
        if set(task) >= {"train", "test"} and good(task)
    ]
    found = [
        [[[pair.input.tolist(), pair.target.tolist()] for pair in pairs] for pairs in (task.demonstrations, task.tests)]
        for task in source.tasks
    ]
    assert all(task in standing for task in found)


def good(task: Any) -> bool:
    return all(
        isinstance(task[key], list) and all(isinstance(pair, dict) for pair in task[key]) for key in ("train", "test")
    )


@cache
def built() -> bytes:
    return made_data(4)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.data())
def test_built_data_with_any_part_replaced_is_itself_or_a_surprise(data: st.DataObject) -> None:
    raw = built()
    begin = data.draw(st.integers(0, len(raw) - 1))
    piece = data.draw(st.binary(min_size=1, max_size=16))
    changed = raw[:begin] + piece + raw[begin + len(piece) :]
    try:
        content = from_bytes(changed[: data.draw(st.sampled_from([len(changed), len(changed), begin]))])
    except SurpriseError as refused:
        assert str(refused) and "\n" not in str(refused)
    else:
        assert content.attributes["content_sha256"] == from_bytes(raw).attributes["content_sha256"]


@LAW
@given(raw=st.binary(max_size=60), digest=st.binary(max_size=80))
@example(raw=b"", digest=b"")
def test_any_file_and_any_digest_are_a_sentence(tmp_path: Path, raw: bytes, digest: bytes) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(raw)
    digest_path(path).write_bytes(digest)
    with pytest.raises(UserError) as refused:
        read_content(path, "build it")
    assert refused.value.message.endswith("build it") and clean(refused.value.message) == refused.value.message


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    st.sampled_from(["tasks/known_side", "canvas/10/input", "tasks/id", "canvas/10/task", "objects/color"]),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 3),
)
def test_a_changed_cell_of_a_column_is_a_surprise(name: str, value: int, row: int) -> None:
    import io

    buffer = io.BytesIO(built())
    with h5py.File(buffer, "r+") as file:
        if name not in file:
            return
        column = file[name]
        before = column[...]
        changed = before.copy()
        kind = changed.dtype.kind
        changed[row % len(changed)] = b"%d" % value if kind == "S" else np.array(value).astype(changed.dtype)
        column[...] = changed
        same = bool((before == changed).all())
    if same:
        return
    with pytest.raises(SurpriseError):
        from_bytes(buffer.getvalue())

"""Rows, status, run.json, queue and settings from any bytes: what was written, or nothing, or one sentence about it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hrm_core.errors import UserError
from hrm_core.runs.files import parse_object, parse_sealed, sealed
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import prediction_names, read_prediction, read_predictions, write_predictions
from hrm_core.runs.queue_store import queue_path, read_queue
from hrm_core.runs.reader import evaluation_rows, events, metrics_rows, read_policy, read_run
from hrm_core.runs.records import decode_row, encode_row
from hrm_core.runs.text import clean
from hrm_core.runs.user_settings import BY_KEY, SETTINGS, parsed, read_settings

# The folder is the same for all examples of a test, which only ever replace one file in it.
LAW = settings(
    deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=8), part, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["step", "kind", "state", "alarms", "best", "heartbeat", "process", "metrics", "trivial", "recipe", "global_step",
     "max_steps", "stalled_s", "format", "entries", "experiment", "next_id", "lr_factor", "pid", "boot_id", "crc",
     "seal"]
)  # fmt: skip
ROWS = st.dictionaries(NAMES | st.text(max_size=8), VALUES, max_size=6)


def tidy(message: str) -> bool:
    lines = message.split("\n")
    return 1 <= len(lines) <= 2 and all(clean(line) == line and len(line) < 1000 for line in lines)


def as_json(value: object) -> bytes:
    """As anybody's writer might: NaN and numbers of any size."""
    return json.dumps(value).encode("ascii")


def finite(value: Any) -> Any:
    """What our writer makes of a value."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return None if isinstance(value, int) and abs(value) > 2**64 else value


@LAW
@given(ROWS)
@example({"x": 10**400})
@example({"\ud800": "\ud800"})
def test_a_row_comes_back_or_no_row_does(row: dict[str, Any]) -> None:
    line = encode_row(row)
    assert decode_row(line) == finite({key: value for key, value in row.items() if key != "crc"})
    for cut in range(0, len(line) - 1, 7):
        assert decode_row(line[:cut]) is None
    assert parse_object(line[:-2]) is None


@LAW
@given(st.binary(max_size=200) | ROWS.map(as_json))
@example(b'{"a":' * 5000)
@example(b"[" * 100_000)
@example(b'{"seal": 1}')
def test_any_bytes_are_an_object_or_none(data: bytes) -> None:
    for found in (parse_object(data), parse_sealed(data), decode_row(data)):
        assert found is None or isinstance(found, dict)


@LAW
@given(ROWS.filter(bool))
def test_what_is_sealed_comes_back_without_its_seal(row: dict[str, Any]) -> None:
    row = {key: value for key, value in row.items() if key != "seal"} or {"x": 1}
    written = sealed(as_json(row))
    assert parse_sealed(written) == parse_object(as_json(row))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = tmp_path / "one"
    folder.mkdir()
    return RunFolder(folder)


@LAW
@given(lines=st.lists(ROWS.map(encode_row) | st.binary(max_size=80), max_size=5))
def test_readers_of_rows_give_rows_that_were_written(run: RunFolder, lines: list[bytes]) -> None:
    data = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
    whole = [row for line in data.split(b"\n") if (row := decode_row(line)) is not None]
    for path, read in ((run.metrics, metrics_rows), (run.evaluations, evaluation_rows), (run.events, events)):
        path.write_bytes(data)
        found = read(run)
        assert all(row in whole for row in found)
    view = read_run(run)
    assert view.state and view.run_id == "one"


@LAW
@given(
    status=st.binary(max_size=100) | ROWS.map(encode_row),
    run_json=st.binary(max_size=100) | ROWS.map(as_json),
    result=st.none() | ROWS.map(as_json),
)
@example(
    encode_row({"state": "running", "process": {"pid": 2**70, "start_ticks": -1}, "alarms": [None, {"name": 3}]}),
    b"{}",
    None,
)
@example(
    encode_row({"state": "running", "stalled_s": 1e308}), as_json({"recipe": {"alarms": {"stalled_s": "x"}}}), None
)
def test_a_run_of_any_files_is_a_run(run: RunFolder, status: bytes, run_json: bytes, result: bytes | None) -> None:
    run.status_json.write_bytes(status)
    run.run_json.write_bytes(run_json)
    run.result.unlink(missing_ok=True)
    if result is not None:
        run.result.write_bytes(result)
    view = read_run(run)
    assert view.state in (
        "starting",
        "running",
        "paused",
        "stopping",
        "finished",
        "stopped",
        "failed",
        "lost",
        "stalled",
    )
    assert view.step is None or isinstance(view.step, int)
    assert isinstance(view.experiment, str)
    assert all(isinstance(alarm["sentence"], str) for alarm in view.alarms)


@LAW
@given(data=st.binary(max_size=100) | ROWS.map(as_json) | ROWS.filter(bool).map(as_json).map(sealed))
def test_counts_of_bad_steps_are_read_or_said_to_be_damaged(run: RunFolder, data: bytes) -> None:
    run.policy.write_bytes(data)
    try:
        assert read_policy(run) == parse_sealed(data)
    except UserError as refused:
        assert "policy.json" in refused.message and tidy(refused.message)


ENTRY = {"id": "1", "experiment": "EXP-00", "state": "waiting", "pins": {"recipe_hash": "0", "recipe_toml": "x = 1"}}


@LAW
@given(
    content=st.binary(max_size=100)
    | st.fixed_dictionaries(
        {"entries": st.lists(ROWS | ROWS.map(lambda row: {**ENTRY, **row}) | VALUES, max_size=3)},
        optional={"next_id": VALUES, "format": VALUES, "stopped": VALUES},
    ).map(as_json)
)
@example(as_json({"entries": [{**ENTRY, "id": "9" * 5000}]}))
@example(as_json({"entries": [{**ENTRY, "id": "²"}]}))
@example(as_json({"entries": [{**ENTRY, "name": "../x", "after": "\x1b"}]}))
@example(as_json({"format": 10**400, "entries": []}))
def test_any_queue_is_a_queue_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = queue_path(tmp_path)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        queue = read_queue(tmp_path)
    except UserError as refused:
        assert "queue.json" in refused.message and tidy(refused.message), refused.message
    else:
        assert all(entry.id.isdecimal() for entry in queue.in_order)


@LAW
@given(packed=st.binary(max_size=100), index=st.none() | st.binary(max_size=100) | ROWS.map(as_json))
@example(b"", as_json({"bytes": 0, "tests": {"t:0": [0, 0, 0]}}))
@example(b"", as_json({"bytes": 0, "tests": {"t:0": [True, -1, 10**30]}}))
def test_any_predictions_are_the_records_up_to_the_damage(run: RunFolder, packed: bytes, index: bytes | None) -> None:
    write_predictions(run, 1, [{"task": "t", "test": 0}, {"task": "u", "test": 0}])
    path = run.predictions / "1.jsonl.gz"
    path.write_bytes(path.read_bytes() + packed)
    if index is not None:
        (run.predictions / "1.index.json").write_bytes(index)
    assert list(read_predictions(run, 1))[:2] == [{"task": "t", "test": 0}, {"task": "u", "test": 0}]
    assert read_prediction(run, 1, "u:0") == {"task": "u", "test": 0}
    assert all(isinstance(name, str) for name in prediction_names(run, 1))


def test_an_index_that_points_to_another_test_is_not_believed(run: RunFolder) -> None:
    write_predictions(run, 1, [{"task": "t", "test": 0}, {"task": "u", "test": 0}])
    path = run.predictions / "1.index.json"
    row = parse_sealed(path.read_bytes())
    assert row is not None
    row["tests"]["u:0"] = row["tests"]["t:0"]
    path.write_bytes(as_json(row))
    assert read_prediction(run, 1, "u:0") == {"task": "u", "test": 0}


@LAW
@given(
    key=st.sampled_from(sorted(BY_KEY)) | st.text(max_size=20),
    value=LEAVES.filter(lambda value: value is not None) | st.lists(st.text(max_size=9), max_size=3),
)
@example("console.refresh_s", 10**400)
@example("archive.budget_gib", float("inf"))
@example("console.theme", "\x1b[2J\n\n")
@example("\x1b[2J", 1)
def test_any_setting_holds_or_is_said_not_to(tmp_path: Path, key: str, value: Any) -> None:
    group, _, name = key.partition(".")
    path = tmp_path / "settings.toml"
    try:
        path.write_bytes(tomli_w.dumps({group: {name: value} if name else value}).encode("utf-8"))
    except UnicodeEncodeError:
        path.write_bytes(b"\xff")
    found = read_settings(path)
    assert all(parsed(setting, found.values[setting.key]) == found.values[setting.key] for setting in SETTINGS)
    assert all(tidy(problem) for problem in found.problems), found.problems
    if key in BY_KEY and not found.problems:
        assert found.values[key] == (tuple(value) if isinstance(value, list) else value)


@LAW
@given(data=st.binary(max_size=200))
@example(b"x = " + b"[" * 100_000)
@example(b"\xef\xbb\xbfx = 1")
def test_any_bytes_are_settings(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(data)
    found = read_settings(path)
    assert set(found.values) == set(BY_KEY) and all(tidy(problem) for problem in found.problems)

"""Predictions read back, whole or one by one, against the records written; the same bytes for the same records."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import Any

import psutil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrm_core.runs.predictions import (
    prediction_names,
    read_prediction,
    read_predictions,
    read_tasks,
    steps_kept,
    whole,
    write_predictions,
    write_tasks,
)

RECORDS: list[dict[str, Any]] = [
    {"task": f"{number:08x}", "test": number % 2, "grid": ["0123456789" * 3] * 30, "halt": [0.1, None]}
    for number in range(40)
]


def test_records_come_back_whole_and_one_by_one(tmp_path: Path) -> None:
    write_predictions(tmp_path, 100, RECORDS)
    assert list(read_predictions(tmp_path, 100)) == RECORDS
    names = prediction_names(tmp_path, 100)
    assert names == [f"{record['task']}:{record['test']}" for record in RECORDS]
    assert [read_prediction(tmp_path, 100, name) for name in names] == RECORDS
    assert read_prediction(tmp_path, 100, "none") is None
    assert read_prediction(tmp_path, 101, names[0]) is None
    # Any tool can read the file.
    assert gzip.decompress((tmp_path / "predictions/100.jsonl.gz").read_bytes()).count(b"\n") == 40


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_predictions(tmp_path / name, 5, iter(RECORDS))
        files.append([(tmp_path / name / "predictions" / file).read_bytes() for file in ("5.jsonl.gz", "5.index.json")])
    assert files[0] == files[1]


def test_the_last_three_and_the_kept_ones_stay(tmp_path: Path) -> None:
    for step in range(10, 70, 10):
        write_predictions(tmp_path, step, RECORDS[:1], keep=[20])
    assert steps_kept(tmp_path) == [20, 40, 50, 60]
    assert len(os.listdir(tmp_path / "predictions")) == 8


def test_an_index_of_other_bytes_is_not_used(tmp_path: Path) -> None:
    write_predictions(tmp_path, 1, RECORDS)
    index = (tmp_path / "predictions/1.index.json").read_bytes()
    write_predictions(tmp_path, 1, RECORDS[::-1] + RECORDS[:1])
    (tmp_path / "predictions/1.index.json").write_bytes(index)
    for record in RECORDS:
        assert read_prediction(tmp_path, 1, f"{record['task']}:{record['test']}") == record


def test_records_without_an_index_are_not_whole_and_leave_no_file_open(tmp_path: Path) -> None:
    write_predictions(tmp_path, 1, RECORDS)
    assert whole(tmp_path, 1)
    (tmp_path / "predictions/1.index.json").unlink()
    assert not whole(tmp_path, 1)
    packed = str(tmp_path / "predictions/1.jsonl.gz")
    assert packed not in [file.path for file in psutil.Process().open_files()]


def test_tasks_are_kept_beside(tmp_path: Path) -> None:
    write_tasks(tmp_path, [{"id": "a", "families": ["x"]}])
    write_predictions(tmp_path, 1, [{"id": "a"}])
    assert list(read_tasks(tmp_path)) == [{"id": "a", "families": ["x"]}]
    assert prediction_names(tmp_path, 1) == ["a"]
    assert steps_kept(tmp_path) == [1]
    assert list(read_tasks(tmp_path / "none")) == []


def test_a_small_file_that_unpacks_to_gigabytes_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(64)) + packer.flush()
    (tmp_path / "predictions/1.jsonl.gz").write_bytes(bomb)
    assert list(read_predictions(tmp_path, 1)) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_damaged_files_are_read_without_an_error(tmp_path: Path, place: int, value: int, truncate: bool) -> None:
    write_predictions(tmp_path, 1, RECORDS[:5])
    for name in ("1.jsonl.gz", "1.index.json"):
        path = tmp_path / "predictions" / name
        data = bytearray(path.read_bytes())
        at = place % len(data)
        data[at] = value
        path.write_bytes(data[:at] if truncate else data)
    for row in read_predictions(tmp_path, 1):
        assert row in RECORDS
    for name in prediction_names(tmp_path, 1):
        read_prediction(tmp_path, 1, name)

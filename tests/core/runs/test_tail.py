"""Rows and lines of a tail against a reading of the whole file: torn ends, truncation, renames, over-long lines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrm_core.runs import tail
from hrm_core.runs.atomic import write_bytes
from hrm_core.runs.records import MAX_ROW_BYTES, encode_row
from hrm_core.runs.tail import JsonlTail, TextTail


def rows(first: int, last: int) -> bytes:
    return b"".join(encode_row({"step": step}) for step in range(first, last))


def steps(follower: JsonlTail) -> list[int]:
    return [row["step"] for row in follower.poll()]


def test_rows_come_once_and_a_torn_last_line_is_held_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    follower = JsonlTail(path)
    assert follower.poll() == []
    path.write_bytes(rows(0, 3))
    assert steps(follower) == [0, 1, 2]
    assert follower.poll() == []
    line = encode_row({"step": 3})
    with path.open("ab") as file:
        for part in (line[:5], line[5:-1]):
            file.write(part)
            file.flush()
            assert follower.poll() == []
        file.write(line[-1:] + rows(4, 6))
    assert steps(follower) == [3, 4, 5]
    assert (follower.restarts, follower.damaged) == (0, 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=12))
def test_however_the_file_grows_every_row_comes_once(tmp_path: Path, places: list[int]) -> None:
    path = tmp_path / "metrics.jsonl"
    data = rows(0, 12)
    path.write_bytes(b"")
    follower = JsonlTail(path)
    found: list[int] = []
    written = 0
    for place in [*sorted(places), len(data)]:
        with path.open("ab") as file:
            file.write(data[written : max(place, written)])
        written = max(min(place, len(data)), written)
        found += steps(follower)
    assert found == list(range(12))


def test_a_cut_by_rename_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(rows(0, 5))
    follower = JsonlTail(path)
    assert steps(follower) == [0, 1, 2, 3, 4]
    write_bytes(path, rows(0, 3))
    assert steps(follower) == [0, 1, 2]
    assert follower.restarts == 1
    path.unlink()
    assert follower.poll() == []
    path.write_bytes(rows(7, 9))
    assert steps(follower) == [7, 8]


def test_a_truncated_file_begins_again_also_when_it_has_grown_since(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(rows(0, 5))
    follower = JsonlTail(path)
    follower.poll()
    os.truncate(path, 0)
    with path.open("ab") as file:
        file.write(rows(100, 102))
    assert steps(follower) == [100, 101]
    os.truncate(path, 0)
    with path.open("ab") as file:
        file.write(rows(200, 220))
    assert steps(follower) == list(range(200, 220))
    assert follower.restarts == 2


def test_damaged_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(rows(0, 1) + b'{"step":1,"crc":5}\nnonsense\n\n' + rows(2, 3))
    follower = JsonlTail(path)
    assert steps(follower) == [0, 2]
    assert follower.damaged == 2


def test_a_line_without_end_is_forgotten_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_POLL_BYTES", MAX_ROW_BYTES + 1000)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(rows(0, 1) + b"x" * (3 * MAX_ROW_BYTES))
    follower = JsonlTail(path)
    assert [steps(follower) for _ in range(5)] == [[0], [], [], [], []]
    with path.open("ab") as file:
        file.write(b"x\n" + rows(1, 3))
    assert steps(follower) == [1, 2]
    assert (follower.damaged, follower.restarts) == (1, 0)


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "missing"])
def test_what_is_no_file_gives_nothing_and_does_not_block(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    (tmp_path / "b").write_bytes(rows(0, 2))
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "b")
    assert JsonlTail(path).poll() == []
    assert TextTail(path).poll() == []


def test_text_comes_in_whole_lines_cut_to_a_width(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"one\r\n\xff\xfe\n" + b"y" * 300 + b"\ntorn")
    follower = TextTail(path, max_line=100)
    assert follower.poll() == ["one", "\ufffd\ufffd", "y" * 100]
    with path.open("ab") as file:
        file.write(b" end\n")
    assert follower.poll() == ["torn end"]


def test_a_long_log_is_begun_near_its_end_at_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {number}\n" for number in range(1000)))
    lines = TextTail(path, last_bytes=100).poll()
    assert lines[-1] == "line 999"
    assert len(lines) in range(8, 13)
    assert all(line.startswith("line ") for line in lines)
    assert len(TextTail(path, last_bytes=10**6).poll()) == 1000

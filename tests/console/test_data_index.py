"""Reading a metrics file through its index and through a process of its own, against reading it line by line."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hrm_console.rows import index_file, indexing, metrics_reader
from hrm_console.rows.blocks import Block, number_of
from hrm_console.rows.index_file import index_folder, keep_to_budget, load_index, save_index
from hrm_console.rows.indexing import last_line_end, segments
from hrm_console.rows.metrics_reader import LARGE_BYTES, MetricsReader
from hrm_core.runs.records import encode_row
from hrm_core.runs.tail import JsonlTail

FILLING = "x" * 200


def row(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "elapsed_s": step * 0.5,
        "samples": step * 32,
        "loss": math.sin(step),
        "power_w": 80.0,
        "words": FILLING,
        "crowd": None,
    }


def write(path: Path, first: int, count: int, mode: str = "ab") -> None:
    with path.open(mode) as file:
        file.write(b"".join(encode_row(row(step)) for step in range(first, first + count)))


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    """A file that is large enough for an index."""
    path = tmp_path / "metrics.jsonl"
    write(path, 0, 4000)
    assert path.stat().st_size > LARGE_BYTES
    return path


def columns_of(pieces: Iterator[tuple[Block, float | None]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for block, _ in pieces:
        for name, column in (block.columns | {f"{kind} axis": column for kind, column in block.axes.items()}).items():
            found.setdefault(name, []).extend(column)
    return found


def is_the_file(path: Path, found: dict[str, list[float]], first: int = 0) -> None:
    rows = JsonlTail(path).poll()[first:]
    for name in ("step", "loss", "samples"):
        assert found[name] == [number_of(row[name]) for row in rows]
    assert found["time axis"] == found["elapsed_s"]
    assert found["joules axis"][-1] == pytest.approx(80.0 * rows[-1]["elapsed_s"])


def indexes() -> list[Path]:
    return sorted(index_folder().glob("*.index"))


def wait_for_index() -> Path:
    end = time.monotonic() + 60
    while not indexes() and time.monotonic() < end:
        time.sleep(0.01)
    (found,) = indexes()
    return found


def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_reader.subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))


def test_cold_by_a_process_then_warm_from_its_index_then_what_is_appended(
    metrics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = MetricsReader(metrics)
    pieces = list(cold.read())
    is_the_file(metrics, columns_of(iter(pieces)))
    assert pieces[-1][1] == 1.0
    wait_for_index()
    no_child(monkeypatch)
    monkeypatch.setattr(metrics_reader, "blocks_of_lines", lambda *a: pytest.fail("the file was read again"))
    warm = MetricsReader(metrics)
    is_the_file(metrics, columns_of(warm.read()))
    monkeypatch.undo()
    write(metrics, 4000, 3)
    for reader in (cold, warm):
        assert reader.goes_on()
        is_the_file(metrics, columns_of(reader.read()), first=4000)
        assert list(reader.read()) == []


def test_a_small_file_needs_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_child(monkeypatch)
    path = tmp_path / "metrics.jsonl"
    reader = MetricsReader(path)
    assert list(reader.read()) == [] and reader.goes_on()
    write(path, 0, 50)
    assert columns_of(reader.read())["step"] == list(range(50))
    assert not indexes()


def test_an_index_a_little_behind_is_used_and_one_far_behind_is_continued(
    metrics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(MetricsReader(metrics).read())
    first = wait_for_index().stat()
    write(metrics, 4000, 20)
    with monkeypatch.context() as patch:
        no_child(patch)
        is_the_file(metrics, columns_of(MetricsReader(metrics).read()))
    write(metrics, 4020, 4000)
    counted = subprocess.run(
        [sys.executable, "-c", CONTINUED, str(metrics), str(index_folder())], capture_output=True, text=True, check=True
    )
    assert int(counted.stdout.split()[-1]) == 4020  # only what was added is parsed
    is_the_file(metrics, columns_of(MetricsReader(metrics).read()))
    assert indexes()[0].stat().st_size > first.st_size


CONTINUED = """
import os, sys
from pathlib import Path
from hrm_console.rows import indexing
lines, send = 0, indexing.send
def counted(descriptor, start, stop, read=indexing.blocks_in):
    global lines
    for block in read(descriptor, start, stop):
        lines += len(block)
        yield block
indexing.blocks_in, indexing.send = counted, lambda data: None
keep = os.dup(1)
indexing.stream(Path(sys.argv[1]), Path(sys.argv[2]))
os.write(keep, f"{lines}".encode())
"""


@pytest.mark.parametrize("harm", ["torn", "flipped", "empty", "other format", "a folder"])
def test_a_damaged_index_is_none_and_is_made_again(metrics: Path, harm: str) -> None:
    list(MetricsReader(metrics).read())
    path = wait_for_index()
    data = path.read_bytes()
    if harm == "a folder":
        path.unlink()
        path.mkdir()
    elif harm == "other format":
        path.write_bytes(data.replace(b'"format":2', b'"format":1', 1))
    else:
        cut = data[: len(data) // 2]
        path.write_bytes({"torn": cut, "flipped": cut + b"\x00\xff" + data[len(cut) + 2 :], "empty": b""}[harm])
    descriptor = os.open(metrics, os.O_RDONLY)
    assert load_index(index_folder(), descriptor) is None
    is_the_file(metrics, columns_of(MetricsReader(metrics).read()))
    end = time.monotonic() + 60
    while harm != "a folder" and load_index(index_folder(), descriptor) is None and time.monotonic() < end:
        time.sleep(0.01)
    assert (load_index(index_folder(), descriptor) is not None) == (harm != "a folder")
    os.close(descriptor)


@pytest.mark.parametrize("change", ["cut", "replaced", "rewritten in place"])
def test_a_file_that_was_cut_or_replaced_is_read_anew(metrics: Path, tmp_path: Path, change: str) -> None:
    reader = MetricsReader(metrics)
    list(reader.read())
    wait_for_index()
    if change == "cut":
        os.truncate(metrics, metrics.read_bytes()[: -(2**17)].rfind(b"\n") + 1)
    elif change == "replaced":
        write(tmp_path / "new", 5, 4100)
        os.replace(tmp_path / "new", metrics)
    else:
        shutil.copyfile(metrics, tmp_path / "old")
        write(metrics, 7, 4500, mode="wb")
    assert not reader.goes_on()
    is_the_file(metrics, columns_of(MetricsReader(metrics).read()))


def test_a_run_that_is_renamed_keeps_its_index(metrics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list(MetricsReader(metrics).read())
    wait_for_index()
    other = tmp_path / "other.jsonl"
    os.rename(metrics, other)
    no_child(monkeypatch)
    is_the_file(other, columns_of(MetricsReader(other).read()))


def test_two_processes_read_what_one_reads(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 0, 2000)
    data = path.read_bytes()
    step = 2000
    with path.open("ab") as file:
        while file.tell() < 4 * indexing.SEGMENT_BYTES + 10:
            file.write(data.replace(b'"words"', b'"w%04d"' % (step % 7)) if step % 3 else data)
            file.write(b"torn\n{\n" + b"y" * 1000 + b"\n")
            step += 1
        file.write(b'{"step":1,"half')
    wanted = columns_of(MetricsReader(path, direct=True).read())
    assert columns_of(MetricsReader(path).read()) == wanted
    assert wanted["step"][-1] == 1999


def test_segments_are_whole_lines_and_the_rest_of_a_line_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "SEGMENT_BYTES", 1000)
    path = tmp_path / "file"
    path.write_bytes(b"\n".join(b"z" * (n % 97) for n in range(400)) + b"\nhalf")
    data = path.read_bytes()
    descriptor = os.open(path, os.O_RDONLY)
    stop = last_line_end(descriptor, 0, len(data))
    assert data[stop:] == b"half"
    parts = segments(descriptor, 0, stop)
    assert parts[0][0] == 0 and parts[-1][1] == stop and len(parts) > 10
    assert all(end == start for (_, end), (start, _) in pairwise(parts))
    assert all(data[end - 1 : end] == b"\n" for _, end in parts)
    path.write_bytes(b"no line end")
    assert last_line_end(descriptor, 0, 11) == 0
    os.close(descriptor)


def test_a_process_that_dies_leaves_the_reading_to_the_thread(metrics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_reader.sys, "executable", "/bin/true")
    reader = MetricsReader(metrics)
    is_the_file(metrics, columns_of(reader.read()))
    monkeypatch.setattr(metrics_reader.sys, "executable", "/nowhere/python")
    is_the_file(metrics, columns_of(MetricsReader(metrics).read()))


def test_a_process_that_dies_in_the_middle_begins_it_again_without_one(
    metrics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.run(
        [sys.executable, "-m", "hrm_console.rows.indexing", str(metrics), ""], capture_output=True, check=True
    ).stdout
    (tmp_path / "part").write_bytes(real[: len(real) // 2])
    script = tmp_path / "half"
    script.write_text(f"#!/bin/sh\ncat {tmp_path / 'part'}\n")
    script.chmod(0o755)
    monkeypatch.setattr(metrics_reader.sys, "executable", str(script))
    monkeypatch.setattr(indexing, "BLOCK_LINES", 100)
    reader = MetricsReader(metrics)
    list(reader.read())
    if not reader.broken:  # not even one block came through
        assert reader.direct
    again = MetricsReader(metrics, reader.direct)
    is_the_file(metrics, columns_of(again.read()))


def test_nobody_waits_for_rows_that_are_not_wanted_any_more(
    metrics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "sleeper"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(metrics_reader.sys, "executable", str(script))
    asked: list[float] = []

    def cancelled() -> bool:
        asked.append(time.monotonic())
        return len(asked) > 3

    reader = MetricsReader(metrics)
    assert list(reader.read(cancelled)) == [] and not reader.goes_on()
    assert asked[-1] - asked[0] < 50  # the child sleeps for sixty


def test_without_a_cache_folder_it_is_read_all_the_same(metrics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = metrics.parent / "blocked"
    blocked.write_text("a file, not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    is_the_file(metrics, columns_of(MetricsReader(metrics).read()))
    assert blocked.read_text() == "a file, not a folder"


def test_two_writers_leave_one_sound_index(metrics: Path) -> None:
    argv = [sys.executable, "-m", "hrm_console.rows.indexing", str(metrics), str(index_folder())]
    children = [subprocess.Popen(argv, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [child.wait(30) for child in children] == [0, 0]
    descriptor = os.open(metrics, os.O_RDONLY)
    index = load_index(index_folder(), descriptor)
    os.close(descriptor)
    assert index is not None and sum(map(len, index.blocks)) == 4000
    assert [path.name for path in index_folder().iterdir()] == [indexes()[0].name]


def test_the_oldest_indexes_go_when_there_are_too_many(tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"{number}.index"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 + number, 1000 + number))
    (tmp_path / ".1.index.7-aa.tmp").write_bytes(b"x")
    os.utime(tmp_path / ".1.index.7-aa.tmp", (1, 1))
    (tmp_path / "not ours").write_bytes(b"x" * 1000)
    os.utime(tmp_path / "4.index", (9000, 9000))
    removed = keep_to_budget(tmp_path, 250, keep=tmp_path / "0.index")
    assert sorted(path.name for path in removed) == [".1.index.7-aa.tmp", "1.index", "2.index", "3.index"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.index", "4.index", "not ours"]
    assert keep_to_budget(tmp_path / "none", 1) == []


def test_a_file_of_millions_of_rows_is_kept_thinner(metrics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process where a thousand rows are many."""
    code = (
        "import sys; from pathlib import Path; from hrm_console.rows import indexing, thinning\n"
        "thinning.MOST_ROWS = 1100; sys.exit(indexing.stream(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    argv = [sys.executable, "-c", code, str(metrics), str(index_folder())]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    no_child(monkeypatch)
    found = columns_of(MetricsReader(metrics).read())
    assert 900 < len(found["step"]) <= 1010
    assert max(found["loss"]) == max(math.sin(step) for step in range(4000))
    assert found["samples axis"] == [step * 32 for step in found["step"]]


def test_saving_where_nothing_can_be_written_is_no_error(metrics: Path) -> None:
    list(MetricsReader(metrics).read())
    wait_for_index()
    descriptor = os.open(metrics, os.O_RDONLY)
    index = load_index(index_folder(), descriptor)
    os.close(descriptor)
    assert index is not None
    blocked = metrics.parent / "blocked"
    blocked.write_text("")
    assert save_index(blocked / "rows", index, metrics) is None
    assert index_file.FORMAT == 2

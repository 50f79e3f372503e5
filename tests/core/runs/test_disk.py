"""A full disk in words, in the eyes of a reader, and at the writer's single operations."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from bad_disk import BadDisk

from hrm_core.runs import disk, writer
from hrm_core.runs.reader import evaluation_rows, events, metrics_rows, read_run
from hrm_core.runs.writer import RunWriter


def make(folder: Path) -> RunWriter:
    return RunWriter.create(folder, "x = 1\n", {"experiment": "demo"})


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "No space is left on the disk (here)"),
        (errno.EDQUOT, "The disk quota is used up (here)"),
        (errno.EROFS, "The disk is read-only (here)"),
        (errno.EIO, "The disk reports an error (here)"),
    ],
)
def test_what_a_disk_may_say(code: int, words: str) -> None:
    error = OSError(code, os.strerror(code), "here")
    assert disk.is_trouble(error)
    assert disk.trouble_words(error) == words
    more = disk.trouble_words(OSError(code, "4.1 MiB are needed and 4.0 MiB are free", "here"))
    assert more == words.replace(" (here)", ": 4.1 MiB are needed and 4.0 MiB are free (here)")


def test_other_errors_are_no_trouble_of_the_disk() -> None:
    assert not disk.is_trouble(PermissionError(errno.EACCES, "no"))
    assert not disk.is_trouble(OSError("no number"))


def test_a_reader_sees_a_full_disk_that_the_run_cannot_tell_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with make(tmp_path / "run") as run:
        run.status({"state": "running", "global_step": 3})
        assert not read_run(tmp_path / "run").alarms
        full = SimpleNamespace(f_flag=0, f_bavail=10, f_frsize=4096)
        monkeypatch.setattr(disk.os, "statvfs", lambda folder: full)
        alarms = read_run(tmp_path / "run").alarms
        assert [alarm["name"] for alarm in alarms] == ["disk_full"]
        assert alarms[0]["sentence"] == "The disk of this run is full: 40 KiB are free."
        run.status({"state": "paused", "alarms": [{"name": "disk_full", "sentence": "It says so.", "advice": ""}]})
        assert [alarm["sentence"] for alarm in read_run(tmp_path / "run").alarms] == ["It says so."]
        full.f_bavail, full.f_flag = 10**9, os.ST_RDONLY
        run.status({"state": "running"})
        assert read_run(tmp_path / "run").alarms[0]["sentence"] == "The disk of this run is read-only."
        run.result({"state": "finished"})
    assert not read_run(tmp_path / "run").alarms


def test_a_write_is_tried_again_for_as_long_as_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = BadDisk(monkeypatch)
    with make(tmp_path / "run") as run:
        heard: list[str] = []
        run.on_trouble = lambda error: heard.append(error.strerror or "") is None and len(heard) < 4
        run.on_room = lambda: heard.append("room")
        bad.break_at(writer._Appended, "append", times=2)
        run.metrics({"step": 1})
        assert heard == ["No space left on device"] * 2 + ["room"]
        bad.break_at(writer._Appended, "append", times=-1)
        with pytest.raises(OSError, match="No space"):
            run.metrics({"step": 2})
        bad.mended = True
        run.metrics({"step": 3})
    assert [row["step"] for row in metrics_rows(tmp_path / "run")] == [1, 3]


def test_a_part_of_a_line_that_could_not_be_taken_back_goes_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make(tmp_path / "run") as run:
        run.metrics({"step": 1})
        write, truncate = os.write, os.ftruncate

        def part(descriptor: int, data: bytes) -> int:
            return write(descriptor, data[:7])

        def refuse(descriptor: int, size: int) -> None:
            raise OSError(errno.EIO, "no")

        monkeypatch.setattr(writer.os, "write", part)
        monkeypatch.setattr(writer.os, "ftruncate", refuse)
        with pytest.raises(OSError, match="no"):
            run.metrics({"step": 2})
        monkeypatch.setattr(writer.os, "write", write)
        monkeypatch.setattr(writer.os, "ftruncate", truncate)
        run.metrics({"step": 3})
    assert [row["step"] for row in metrics_rows(tmp_path / "run")] == [1, 3]
    assert len((tmp_path / "run" / "metrics.jsonl").read_bytes().splitlines()) == 2


def test_a_cut_that_met_an_error_after_its_rename_writes_into_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make(tmp_path / "run") as run:
        for step in (1, 2, 3):
            run.metrics({"step": step})
        run.evaluation({"step": 1, "kind": "fast"})
        original, failed = writer.write_bytes, []

        def replaced_and_failed(path: Path, data: bytes) -> None:
            original(path, data)
            if path.name == "metrics.jsonl" and not failed:
                failed.append(path)
                raise OSError(errno.EIO, "the folder was not synced")

        monkeypatch.setattr(writer, "write_bytes", replaced_and_failed)
        run.on_trouble = lambda error: True
        run.cut(2)
        run.metrics({"step": 3})
        run.event("after", 3)
    assert failed
    assert [row["step"] for row in metrics_rows(tmp_path / "run")] == [1, 2, 3]
    assert [row["step"] for row in evaluation_rows(tmp_path / "run")] == [1]
    assert [event["kind"] for event in events(tmp_path / "run")] == ["after"]


def test_rows_whose_sync_failed_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system may forget what it could not write, and call the next sync a success."""
    with make(tmp_path / "run") as run:
        run.metrics({"step": 1})
        before = os.stat(tmp_path / "run" / "metrics.jsonl").st_ino
        sync, failed = os.fsync, []

        def fails_once(descriptor: int) -> None:
            if not failed:
                failed.append(descriptor)
                raise OSError(errno.EIO, "could not write")
            sync(descriptor)

        monkeypatch.setattr(writer.os, "fsync", fails_once)
        run.on_trouble = lambda error: str(error.filename) == str(tmp_path / "run" / "metrics.jsonl")
        run.sync()
        run.metrics({"step": 2})
        run.sync()
        assert os.stat(tmp_path / "run" / "metrics.jsonl").st_ino != before
    assert failed
    assert [row["step"] for row in metrics_rows(tmp_path / "run")] == [1, 2]

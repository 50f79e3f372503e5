"""Readers beside writers that are whole and that are broken, each as the part must notice; slow: all its reads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hrm_core.runs import snapshots
from hrm_core.runs.archive import Archive
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.snapshots import verify_folder, write_meta
from hrm_core.runs.writer import RunWriter
from hrm_core.torture import readers
from hrm_core.torture.bench import Bench, Row

IN_PLACE = """
import time
import hrm_core.runs.writer as module
def in_place(path, data):
    path.write_bytes(data[: len(data) // 2])
    time.sleep(0.02)  # far longer than it is whole: most reads meet it torn, on a busy machine too
    path.write_bytes(data)
module.write_bytes = in_place
"""
ROWS_IN_PARTS = """
import hrm_core.runs.writer as module
append = module._Appended.append
module._Appended.append = lambda self, line: (append(self, line[:5] + b"\\n"), append(self, line))
"""
FOLDERS_IN_PARTS = """
import contextlib, time
import hrm_core.runs.atomic as module
import hrm_core.runs.snapshots as snapshots
@contextlib.contextmanager
def in_parts(place, replace=False):
    place.mkdir(exist_ok=True)
    yield place
whole = snapshots.write_meta
snapshots.write_meta = lambda folder, meta: (time.sleep(0.05), whole(folder, meta))  # most of its life it is torn
module.atomic_folder = in_parts
"""


def found(folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str, reads: int = 600) -> dict[str, Row]:
    """fault -> its row, for a writer that is broken first."""
    monkeypatch.setattr(readers, "_WRITER", broken + readers._WRITER)
    monkeypatch.setattr(readers, "READS", (reads, reads))
    rows = list(readers.trials(Bench(folder, folder / "none.h5", True, 0)))
    return {row.fault.split(" ", 1)[0] + " " + row.fault.split(" ")[1]: row for row in rows}


def test_a_whole_writer_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LAST", 200)
    rows = found(tmp_path, monkeypatch, "")
    assert len(rows) == 8
    assert all(row.passed and row.lost == "nothing" for row in rows.values()), rows
    assert sum(row.times for row in rows.values()) == 600


@pytest.mark.parametrize(
    ("broken", "torn"),
    [
        (IN_PLACE, "status read"),
        (ROWS_IN_PARTS, "rows followed"),
        (FOLDERS_IN_PARTS, "archive verified"),
    ],
)
def test_a_broken_writer_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, torn: str) -> None:
    row = found(tmp_path, monkeypatch, broken)[torn]
    assert not row.passed and "reads torn" in row.lost, row


def test_a_writer_that_ends_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = readers._WRITER.replace("    step += 1\n", "    step += 1\n    assert step < 40, 'no more'\n")
    monkeypatch.setattr(readers, "_WRITER", ended)
    monkeypatch.setattr(readers, "_wait_for_writer", lambda folder, child: child.wait())
    rows = found(tmp_path, monkeypatch, "", 300)
    assert not any(row.passed for row in rows.values()), rows
    assert "no more" in rows["status read"].lost


@pytest.mark.parametrize(
    ("rows", "torn"),
    [
        ([{"step": 1, "twice": 2}, {"step": 2, "twice": 4}], ""),
        ([], "no rows"),
        ([{"step": 1, "twice": 2}, {"step": 3, "twice": 6}], "step 3 after 1"),
        ([{"step": 1, "twice": 2}, {"step": 2, "twice": 2}], "step 2 with 2"),
    ],
)
def test_rows_that_do_not_belong_together_are_torn(rows: list[dict[str, int]], torn: str) -> None:
    assert readers.torn_rows(rows) == torn


def made_archive(runs: Path) -> Path:
    """A run with one archived best of two files."""
    layout = RunFolder(runs / "one")
    RunWriter.create(layout, "", {}).close()
    folder = layout.best(10)
    folder.mkdir()
    fill(folder, 1)
    return folder


def fill(folder: Path, number: int) -> None:
    (folder / "evaluation.json").write_text(f'{{"loss": {number}, "metrics": {{"exact": {number}}}}}')
    (folder / "weights.safetensors").write_text(str(number))
    write_meta(folder, {"step": 10})


def test_halves_of_two_archived_bests_are_torn(tmp_path: Path) -> None:
    folder = made_archive(tmp_path)
    assert readers.ListReads(RunFolder(tmp_path / "one")).read(Counter()) == ""
    (folder / "evaluation.json").write_text('{"loss": 2, "metrics": {"exact": 1}}')
    assert "loss 2" in readers.ListReads(RunFolder(tmp_path / "one")).read(Counter())
    assert "has changed" in readers.verified(RunFolder(tmp_path / "one"), Counter())


def test_a_folder_replaced_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listing and the check see the new one, not the new one's files beside the old one's meta.json."""
    folder = made_archive(tmp_path)
    read = snapshots.read_whole_meta
    replaced: list[Path] = []

    def replace_after(path: Path) -> object:
        meta = read(path)
        if len(replaced) < 1:
            replaced.append(path.rename(tmp_path / f"old-{len(replaced)}"))
            path.mkdir()
            fill(path, 2)
        return meta

    monkeypatch.setattr(snapshots, "read_whole_meta", replace_after)
    assert verify_folder(folder) == []
    replaced.clear()
    monkeypatch.setattr("hrm_core.runs.archive.read_whole_meta", replace_after)
    (tmp_path / "old-0").rename(tmp_path / "older")
    (entry,) = Archive(tmp_path).read().entries
    assert not entry.damaged and entry.loss == 2.0
    assert entry.files == read(folder)["files"]  # type: ignore[index]
    assert len(replaced) == 1


def test_a_best_removed_while_the_archive_is_listed_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made_archive(tmp_path)

    def remove_first(path: Path) -> None:
        if path.exists():
            path.rename(tmp_path / "gone")

    monkeypatch.setattr("hrm_core.runs.archive.read_whole_meta", remove_first)
    assert Archive(tmp_path).read().entries == ()
    assert verify_folder(folder) == ["there is no such folder"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_reads(tmp_path: Path, arc1_file: Path) -> None:
    rows = list(readers.trials(Bench(tmp_path, arc1_file, True, 0)))
    assert len(rows) == 8
    assert all(row.passed for row in rows), rows

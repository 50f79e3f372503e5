"""A run folder from elsewhere against folders outside it: links in it lead no writer, launcher or pruning out."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.atomic import open_append
from hrm_core.runs.control import request
from hrm_core.runs.files import read_named
from hrm_core.runs.launch import start_process
from hrm_core.runs.snapshots import latest_good, newest_first, prune, write_meta
from hrm_core.runs.writer import RunWriter


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Somebody's folder: a request, a snapshot and a text lie in it."""
    folder = tmp_path / "outside"
    snapshot = folder / "step-00000010"
    snapshot.mkdir(parents=True)
    (snapshot / "a").write_text("a")
    write_meta(snapshot, {"format": 1, "step": 10})
    (folder / "letter.json").write_text("{}")
    (folder / "profile").write_text("line\n")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Every file and what it holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["control", "checkpoints", "archive", "predictions"])
def test_a_run_whose_folder_is_a_link_is_not_taken_up(tmp_path: Path, outside: Path, name: str) -> None:
    RunWriter.create(tmp_path / "a", "x = 1\n", {}).close()
    before = tree(outside)
    (tmp_path / "a" / name).rmdir()
    (tmp_path / "a" / name).symlink_to(outside)
    with pytest.raises(UserError, match="it is a link"):
        RunWriter.open(tmp_path / "a")
    assert tree(outside) == before
    (tmp_path / "a" / name).unlink()
    RunWriter.open(tmp_path / "a").close()  # and the lock was given back


def test_no_request_is_left_in_a_folder_elsewhere(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "control").symlink_to(outside)
    before = tree(outside)
    with pytest.raises(OSError, match="control"):
        request(tmp_path / "a", "stop")
    assert tree(outside) == before


def test_no_output_goes_to_a_file_elsewhere(tmp_path: Path, outside: Path) -> None:
    before = tree(outside)
    for name, make in (("link", lambda path: path.symlink_to(outside / "profile")), ("pipe", os.mkfifo)):
        folder = tmp_path / name
        folder.mkdir()
        make(folder / "output.txt")
        with pytest.raises(UserError, match=r"output\.txt"):
            start_process([sys.executable, "-c", "print(1)"], folder)
    assert tree(outside) == before


def test_a_link_to_a_snapshot_is_none_of_the_runs(tmp_path: Path, outside: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "step-00000010").symlink_to(outside / "step-00000010")
    before = tree(outside)
    assert newest_first(checkpoints) == []
    assert latest_good(checkpoints) is None
    assert prune(checkpoints, 0) == []
    assert tree(outside) == before


def test_appending_makes_a_file_and_goes_on_with_it(tmp_path: Path) -> None:
    for line in (b"a\n", b"b\n"):
        with open(open_append(tmp_path / "log"), "ab") as file:
            file.write(line)
    assert (tmp_path / "log").read_bytes() == b"a\nb\n"


def test_a_named_file_is_read_through_a_link_but_only_if_it_is_one_and_not_too_long(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    assert read_named(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="more than 0 MiB"):
        read_named(tmp_path / "file", 4)
    for place in (tmp_path / "pipe", tmp_path, Path("/dev/zero"), Path("a\0b"), tmp_path / "none"):
        with pytest.raises(OSError, match=r"regular|such file|directory"):
            read_named(place, 10)

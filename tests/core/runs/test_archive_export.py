"""Exports against their snapshots: the same bytes, whole or not at all, and snapshots again."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from made_archive import make_archived

from hrm_core.errors import UserError
from hrm_core.runs import archive_export
from hrm_core.runs.archive import Archive
from hrm_core.runs.archive_details import Details, read_details
from hrm_core.runs.archive_export import export_snapshot
from hrm_core.runs.snapshot_names import find_snapshot
from hrm_core.runs.snapshots import verify_folder


@pytest.fixture
def details(tmp_path: Path) -> Details:
    parent = {"run": "zero", "step": 3, "digest": "f" * 64}
    make_archived(tmp_path / "runs", "one", {10: 0.25}, parent=parent, overrides=("optimizer.lr=0.01",))
    listing = Archive(tmp_path / "runs").read()
    return read_details(listing.entries[0], listing)


def test_a_folder_holds_the_same_bytes_and_a_readme(tmp_path: Path, details: Details) -> None:
    target = export_snapshot(details, tmp_path / "out" / "mine")
    assert target == tmp_path / "out" / "mine"
    assert verify_folder(target) == []
    for name in ("weights.safetensors", "evaluation.safetensors", "recipe.toml", "evaluation.json", "tasks.json"):
        assert (target / name).read_bytes() == (details.entry.folder / name).read_bytes()
        assert not os.path.samefile(target / name, details.entry.folder / name)
    text = (target / "README.txt").read_text()
    assert "Snapshot of run one at step 10" in text
    assert "zero at step 3" in text
    assert "optimizer.lr = 0.01" in text
    line = next(line for line in text.splitlines() if line.split()[:1] == ["exact"])
    assert line.split() == ["exact", "25.0", "0.9", "(copy)"]
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=target, check=True)
    assert find_snapshot(tmp_path / "runs", str(target)) == target


def test_into_a_folder_that_is_there_it_gets_a_name_of_its_own(tmp_path: Path, details: Details) -> None:
    assert export_snapshot(details, tmp_path) == tmp_path / "one-10"
    with pytest.raises(UserError, match="is there already"):
        export_snapshot(details, tmp_path / "one-10")


def test_a_tar_holds_the_folder(tmp_path: Path, details: Details) -> None:
    target = export_snapshot(details, tmp_path / "mine.tar")
    with tarfile.open(target) as tar:
        tar.extractall(tmp_path / "back", filter="data")
    assert verify_folder(tmp_path / "back" / "one-10") == []
    assert sorted(os.listdir(tmp_path)) == ["back", "mine.tar", "runs"]


@pytest.mark.parametrize("name", ["mine", "mine.tar"])
def test_what_is_there_is_not_touched(tmp_path: Path, details: Details, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        export_snapshot(details, tmp_path / name)
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["mine", "mine.tar"])
def test_a_damaged_snapshot_leaves_nothing(tmp_path: Path, details: Details, name: str) -> None:
    path = details.entry.folder / "weights.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"!")
    with pytest.raises(UserError, match="has changed since it was written"):
        export_snapshot(details, tmp_path / name)
    assert os.listdir(tmp_path) == ["runs"]


def test_a_tar_that_reads_back_otherwise_is_not_kept(
    tmp_path: Path, details: Details, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_export, "_digest_of", lambda file: "0" * 64)
    with pytest.raises(UserError, match="does not read back"):
        export_snapshot(details, tmp_path / "mine.tar")
    assert os.listdir(tmp_path) == ["runs"]


def test_no_room_is_said_before_anything_is_written(
    tmp_path: Path, details: Details, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, needed: int) -> None:
        raise UserError(f"no space left for {folder}", 1)

    monkeypatch.setattr(archive_export, "check_free_space", refuse)
    with pytest.raises(UserError, match="no space"):
        export_snapshot(details, tmp_path / "mine")
    assert os.listdir(tmp_path) == ["runs"]

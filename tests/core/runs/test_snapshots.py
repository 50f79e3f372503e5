"""Folders of weights against what was written: every flipped bit, missing, cut or added file is found."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from hrm_core.runs.atomic import atomic_folder, clean_leftovers
from hrm_core.runs.snapshots import (
    latest_good,
    newest_first,
    prune,
    read_meta,
    remove_snapshot,
    step_of,
    verify_folder,
    write_meta,
)

META = {"step": 2000, "seed": 2**63 + 1, "loss": 0.1, "name": "é"}


def make(parent: Path, step: int, kind: str = "step") -> Path:
    final = parent / f"{kind}-{step:08d}"
    with atomic_folder(final) as folder:
        (folder / "weights.safetensors").write_bytes(random.Random(step).randbytes(3000))
        (folder / "rows").mkdir()
        (folder / "rows" / "rows.bin").write_bytes(b"r" * 100)
        (folder / "empty").touch()
        write_meta(folder, META)
    return final


def test_a_folder_as_written_has_no_problems_and_gives_its_meta_back(tmp_path: Path) -> None:
    folder = make(tmp_path, 2000)
    assert verify_folder(folder) == []
    assert read_meta(folder) == META


@pytest.mark.parametrize("name", ["weights.safetensors", "rows/rows.bin", "meta.json"])
def test_every_flipped_bit_is_found(tmp_path: Path, name: str) -> None:
    path = make(tmp_path, 1) / name
    data = path.read_bytes()
    rng = random.Random(2)
    for _ in range(100):
        changed = bytearray(data)
        changed[rng.randrange(len(data) - 1)] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        assert verify_folder(tmp_path / "step-00000001") == [f"{name} has changed since it was written"]


def test_missing_cut_added_and_linked_files_are_found(tmp_path: Path) -> None:
    folder = make(tmp_path, 1)
    os.truncate(folder / "weights.safetensors", 2999)
    (folder / "rows" / "rows.bin").unlink()
    (folder / "rows" / "link").symlink_to("/etc")
    (folder / "empty").unlink()
    (folder / "empty").symlink_to("/dev/null")
    assert verify_folder(folder) == [
        "rows/rows.bin is missing",
        "rows/link does not belong here",
        "empty cannot be read",
        "weights.safetensors has 2999 bytes instead of 3000",
    ]
    (folder / "meta.json").unlink()
    assert verify_folder(folder) == ["meta.json is missing"]
    assert verify_folder(tmp_path / "none") == ["there is no such folder"]
    assert read_meta(folder) is None


def test_the_newest_whole_one_is_taken_and_damaged_ones_are_told(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        make(tmp_path, step)
    (tmp_path / "step-00000040" / "meta.json").write_text("{}")
    (tmp_path / "step-00000030" / "weights.safetensors").unlink()
    (tmp_path / ".step-00000050.tmp-1-01234567").mkdir()
    (tmp_path / "notes").mkdir()
    told: list[tuple[int | None, int]] = []
    good = latest_good(tmp_path, on_bad=lambda folder, problems: told.append((step_of(folder), len(problems))))
    assert good == tmp_path / "step-00000020"
    assert told == [(40, 1), (30, 1)]
    assert latest_good(tmp_path, max_step=19) == tmp_path / "step-00000010"
    assert latest_good(tmp_path, max_step=9) is None
    assert latest_good(tmp_path / "none") is None
    assert [step_of(folder) for folder in newest_first(tmp_path)] == [40, 30, 20, 10]


def test_old_ones_go_and_chosen_ones_stay(tmp_path: Path) -> None:
    for step in range(10, 70, 10):
        make(tmp_path, step)
    gone = prune(tmp_path, keep=3, also=[20])
    assert [step_of(folder) for folder in gone] == [30, 10]
    assert [step_of(folder) for folder in newest_first(tmp_path)] == [60, 50, 40, 20]


def test_a_removal_that_is_cut_short_leaves_what_the_next_start_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path, 10)
    with monkeypatch.context() as patch:

        def killed(path: Path, ignore_errors: bool = False) -> None:
            raise KeyboardInterrupt

        patch.setattr("hrm_core.runs.snapshots.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_snapshot(folder)
    assert newest_first(tmp_path) == [] and len(list(tmp_path.iterdir())) == 1
    clean_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_of_which_the_disk_keeps_a_part_stays_in_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path, 10)

    def keeps(path: Path, ignore_errors: bool = False) -> None:
        (path / "weights.safetensors").unlink()

    monkeypatch.setattr("hrm_core.runs.snapshots.shutil.rmtree", keeps)
    remove_snapshot(folder)
    assert newest_first(tmp_path) == [folder] and "weights.safetensors is missing" in verify_folder(folder)

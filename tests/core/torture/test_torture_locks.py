"""Locks under two trainers at once: what is judged as broken, what the second is told; slow: the whole part."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.locks import RunLock, holder
from hrm_core.runs.writer import RunWriter, refuse_existing
from hrm_core.torture import locks
from hrm_core.torture.bench import Bench
from hrm_core.torture.locks import Said, Tally

_THEIRS = """
import sys
from pathlib import Path
from hrm_core.runs.writer import RunWriter
RunWriter.create(Path(sys.argv[1]), "theirs", {}).close()
"""


def bench(folder: Path) -> Bench:
    return Bench(folder, folder / "none.h5", True, 0)


def test_pairs_of_small_processes_and_their_workers(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    for row in (
        locks.two_new(bench(tmp_path), runs, 2, 0),
        locks.two_resumed(bench(tmp_path), runs, 2, 0),
        locks.two_on_a_device(bench(tmp_path), 2),
        locks.worker_outlives(bench(tmp_path), runs, 2, 0),
    ):
        assert (row.times, row.passed, row.lost) == (2, True, "nothing"), row
        assert row.found.startswith("2 of 2 so")
    assert holder(runs / "new-0") is None


def test_a_lock_that_keeps_nobody_out_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "import fcntl\nfcntl.lockf = lambda *words: None\n"
    monkeypatch.setattr(locks, "_CHILD", broken + locks._CHILD)
    row = locks.two_on_a_device(bench(tmp_path), 1)
    assert not row.passed and "2 go on" in row.lost
    assert row.found.startswith("0 of 1 so")


def test_a_lock_that_a_worker_keeps_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`flock` lives as long as any process has the descriptor."""
    runs = tmp_path / "runs"
    RunWriter.create(runs / "new-0", "", {}).close()
    monkeypatch.setattr(locks, "_CHILD", "import fcntl\nfcntl.lockf = fcntl.flock\n" + locks._CHILD)
    row = locks.worker_outlives(bench(tmp_path), runs, 1, 0)
    assert not row.passed and row.lost == "it cannot be resumed", row


@pytest.mark.parametrize(
    ("first", "second", "held_by", "said"),
    [
        (Said(1, None, ""), Said(2, None, ""), 1, "2 go on"),
        (Said(1, 1, "in use by process 2"), Said(2, 1, "in use by process 1"), None, "0 go on"),
        (Said(1, None, ""), Said(2, 1, "run x is in use by process 1"), None, "held by None"),
        (Said(1, None, ""), Said(2, 1, "run x is in use"), 1, "does not say who holds it"),
        (Said(11, None, ""), Said(2, 1, "in use by process 111"), 11, "does not say who holds it"),
        (Said(1, None, ""), Said(2, 3, "in use by process 1"), 1, "ended with 3"),
    ],
)
def test_what_must_not_be_is_a_problem(first: Said, second: Said, held_by: int | None, said: str) -> None:
    tally = Tally()
    tally.judge((first, second), held_by)
    assert not tally.row("", "").passed and said in tally.row("", "").lost


def test_one_that_goes_on_and_one_that_is_told_is_as_it_must_be() -> None:
    tally = Tally()
    tally.judge((Said(7, 2, "run x exists already and is running (process 8)"), Said(8, None, "")), 8)
    assert tally.row("", "").passed and tally.row("", "").found == "1 of 1 so; 1 ended with 2"
    assert not Tally().row("", "").passed


def test_a_run_that_exists_says_who_works_on_it(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "one", "", {}):
        with pytest.raises(UserError, match=rf"exists already and is running \(process {os.getpid()}\)") as caught:
            refuse_existing(tmp_path / "one")
        assert caught.value.exit_code == 2
    with pytest.raises(UserError, match="go on with `hrm resume one`"):
        refuse_existing(tmp_path / "one")
    refuse_existing(tmp_path / "two")


def test_a_run_that_comes_between_two_looks_at_the_folder_is_named_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was there at the first look; at the second all of it: that is a run that exists, no strange folder."""
    listdir = os.listdir

    def late(folder: Path) -> list[str]:
        found = listdir(folder)
        if threading.current_thread() is threading.main_thread() and not found:
            subprocess.run([sys.executable, "-c", _THEIRS, str(tmp_path / "one")], check=True)
            return listdir(folder)
        return found

    (tmp_path / "one").mkdir()
    monkeypatch.setattr("hrm_core.runs.writer.os.listdir", late)
    with pytest.raises(UserError, match="run one exists already"):
        RunWriter.create(tmp_path / "one", "ours", {})
    assert (tmp_path / "one/recipe.toml").read_text() == "theirs"


def test_a_run_that_came_and_ended_before_the_lock_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both saw an empty folder; the other had the lock, wrote its run and let go of it."""
    acquire = RunLock.acquire

    def late(self: RunLock) -> RunLock:
        if threading.current_thread() is threading.main_thread():
            subprocess.run([sys.executable, "-c", _THEIRS, str(tmp_path / "one")], check=True)
        return acquire(self)

    monkeypatch.setattr(RunLock, "acquire", late)
    with pytest.raises(UserError, match="exists already"):
        RunWriter.create(tmp_path / "one", "ours", {})
    assert (tmp_path / "one/recipe.toml").read_text() == "theirs"
    assert holder(tmp_path / "one") is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whole_trainers(tmp_path: Path, arc1_file: Path) -> None:
    rows = list(locks.trials(Bench(tmp_path, arc1_file, True, 0)))
    assert len(rows) == 4
    assert all(row.passed and row.times == 3 for row in rows), rows

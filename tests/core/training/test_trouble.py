"""A run whose disk takes nothing: it waits, says so, goes on by itself, and is the run that it would have been."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bad_disk import BadDisk
from small_trainer import TINY_MODEL, make_trainer

from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs import predictions, writer
from hrm_core.runs.control import request
from hrm_core.runs.reader import RunView, evaluation_rows, events, log_tail, metrics_rows, read_run
from hrm_core.runs.snapshots import latest_good, verify_folder
from hrm_core.training import checkpoint, session, trouble
from hrm_core.training.setup import tensors_of
from hrm_core.training.trainer import Trainer

COURSE = (
    "training.max_steps=8",
    "training.checkpoint_every=4",
    "training.fast_validation_every=4",
    "training.full_validation_every=4",
    "schedule.warmup=2",
)


def make(arc1_file: Path, folder: Path) -> Trainer:
    return make_trainer(arc1_file, folder, (*COURSE, "training.threads=1"))


def kinds(folder: Path) -> list[str]:
    return [str(event["kind"]) for event in events(folder)]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> BadDisk:
    monkeypatch.setattr(trouble, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(trouble, "STOPPED_S", 0.0)
    return BadDisk(monkeypatch)


def test_every_kind_of_write_fails_in_one_run_and_nothing_is_lost(
    arc1_file: Path, tmp_path: Path, disk: BadDisk
) -> None:
    straight = make(arc1_file, tmp_path / "straight")
    with straight.writer:
        assert straight.run() == "finished"
    trainer = make(arc1_file, tmp_path / "run")
    rows = writer._Appended
    disk.break_at(rows, "append", times=3, after=5)
    disk.break_at(rows, "sync", times=2, after=1, code=errno.EIO)
    disk.break_at(writer, "write_bytes", times=2, after=3, code=errno.EDQUOT)  # status
    disk.break_at(writer, "write_json", times=2)  # result
    disk.break_at(predictions, "write_bytes", times=3, after=1, code=errno.EROFS)
    disk.break_at(checkpoint, "write_tensors", times=4, after=1)
    disk.break_at(checkpoint, "write_meta", times=1)
    with trainer.writer:
        assert trainer.run() == "finished"
    assert set(disk.failed) == {"append", "sync", "write_bytes", "write_json", "write_tensors", "write_meta"}
    for name, tensor in tensors_of(straight.parts).items():
        assert torch.equal(tensor, tensors_of(trainer.parts)[name]), name
    one, other = tmp_path / "straight", tmp_path / "run"
    assert [row["step"] for row in metrics_rows(other)] == [row["step"] for row in metrics_rows(one)] == [*range(1, 9)]
    assert [row["loss"] for row in metrics_rows(other)] == [row["loss"] for row in metrics_rows(one)]
    assert len(evaluation_rows(other)) == len(evaluation_rows(one))
    without = [kind for kind in kinds(other) if not kind.startswith("disk_")]
    assert sorted(without) == sorted(kinds(one))
    assert kinds(other).count("disk_full") == kinds(other).count("disk_room") > 1
    names = [sorted(path.name for path in (folder / "checkpoints").iterdir()) for folder in (one, other)]
    assert names[0] == names[1] == ["step-00000004", "step-00000005", "step-00000008"]
    for folder in ((other / "checkpoints").iterdir(), (other / "archive").iterdir()):
        assert all(not verify_folder(path) for path in folder)
    view = read_run(other)
    assert view.state == "finished"
    assert not [alarm for alarm in view.alarms if alarm["name"] == "disk_full"]


def when(folder: Path, ready: Callable[[RunView], bool], act: Callable[[], object]) -> threading.Thread:
    """A thread that acts once the run shows something."""

    def watch() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and not ready(read_run(folder)):
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def has_alarm(view: RunView) -> bool:
    return any(alarm["name"] == "disk_full" for alarm in view.alarms)


def test_it_is_paused_with_an_alarm_until_there_is_room(
    arc1_file: Path, tmp_path: Path, disk: BadDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    trainer = make(arc1_file, folder)
    disk.break_at(checkpoint, "write_tensors", times=-1, after=1)
    seen: list[RunView] = []

    def room() -> None:
        seen.append(read_run(folder))
        request(folder, "note", "kept for later")
        time.sleep(0.3)
        disk.mended = True

    thread = when(folder, has_alarm, room)
    with trainer.writer:
        assert trainer.run() == "finished"
    thread.join()
    assert seen[0].state == "paused"
    alarm = seen[0].alarms[0]
    assert "No space is left on the disk (somewhere)" in alarm["sentence"]
    assert "goes on by itself" in alarm["advice"]
    found = kinds(folder)
    assert found.index("disk_full") < found.index("disk_room") < found.index("note")
    lines = [line.split(" ", 2)[2] for line in log_tail(folder)]
    assert len([line for line in lines if line.startswith("ALARM disk_full")]) == found.count("disk_full")
    assert capsys.readouterr().err.count("ALARM disk_full: No space is left on the disk") == found.count("disk_full")
    assert latest_good(folder / "checkpoints") is not None


def test_a_stop_ends_it_and_the_last_checkpoint_stays(arc1_file: Path, tmp_path: Path, disk: BadDisk) -> None:
    folder = tmp_path / "run"
    # The checkpoint of step 4 lands, three files of tensors; that of step 5, where the decay begins, finds no room.
    disk.break_at(checkpoint, "write_tensors", times=-1, after=5)
    thread = when(folder, has_alarm, lambda: request(folder, "stop-now"))
    recipe = build_recipe("demo", (*TINY_MODEL, *COURSE, "training.threads=1", "training.full_validation_every=100"))
    with pytest.raises(UserError, match=r"stop-now was asked for.*no room.*\n.*hrm resume run") as caught:
        session.start_run(folder, recipe, arc1_file)
    thread.join()
    assert caught.value.exit_code == 1
    assert read_run(folder).state == "stopped"
    good = latest_good(folder / "checkpoints")
    assert good is not None and good.name == "step-00000004"
    disk.mended = True
    assert session.resume_run(folder) == "finished"
    assert [row["step"] for row in metrics_rows(folder)] == list(range(1, 9))


def test_other_errors_are_no_disk_that_may_have_room_later(arc1_file: Path, tmp_path: Path, disk: BadDisk) -> None:
    folder = tmp_path / "run"
    trainer = make(arc1_file, folder)
    disk.break_at(checkpoint, "write_tensors", times=2, code=errno.EACCES)  # the best of step 4, its checkpoint
    with trainer.writer:
        assert trainer.run() == "finished"
    found = kinds(folder)
    assert found.count("archive_failed") == found.count("checkpoint_failed") == 1
    assert "disk_full" not in found
    assert trainer.progress.last_checkpoint_step == 8


def test_too_little_room_for_a_checkpoint_is_a_full_disk(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: BadDisk
) -> None:
    original, calls = checkpoint.lack_of_space, []

    def refuse(folder: Path, needed: int) -> str:
        calls.append(needed)
        return "4.1 MiB are needed and 4.0 MiB are free" if len(calls) < 3 else original(folder, needed)

    monkeypatch.setattr(checkpoint, "lack_of_space", refuse)
    trainer = make(arc1_file, tmp_path / "run")
    with trainer.writer:
        assert trainer.run() == "finished"
    told = [event["sentence"] for event in events(tmp_path / "run") if event["kind"] == "disk_full"]
    assert told and "4.1 MiB are needed and 4.0 MiB are free" in told[0]
    assert trainer.progress.last_checkpoint_step == 8

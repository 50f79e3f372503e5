"""Signals that come while a run is ending: events, and nothing half-written however many there are."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_disk import BadDisk
from small_trainer import QUIET, TINY_MODEL, events_of, make_trainer

from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs import disk, writer
from hrm_core.runs.control import request
from hrm_core.runs.files import read_json_object
from hrm_core.runs.reader import events, metrics_rows, read_run, read_status
from hrm_core.runs.records import decode_row
from hrm_core.runs.snapshots import newest_first, verify_folder
from hrm_core.runs.writer import RunWriter
from hrm_core.training import checkpoint, session, trouble
from hrm_core.training.progress import Progress
from hrm_core.training.stops import Stops, last_words
from hrm_core.training.trainer import Trainer

SHORT = (*QUIET, "training.max_steps=8", "training.checkpoint_every=4", "data.validate_limit=16")


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def at_checkpoint(monkeypatch: pytest.MonkeyPatch, act: Callable[[Trainer], None]) -> None:
    """Acts when the run, about to end, writes its last checkpoint."""
    real = Trainer.checkpoint

    def saving(trainer: Trainer) -> None:
        act(trainer)
        real(trainer)

    monkeypatch.setattr(Trainer, "checkpoint", saving)


def signal_at(monkeypatch: pytest.MonkeyPatch, step: int, *numbers: int) -> None:
    real = Trainer._one_step

    def made(trainer: Trainer) -> None:
        if trainer.progress.step == step:
            send(*numbers)
        real(trainer)

    monkeypatch.setattr(Trainer, "_one_step", made)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_is_told_and_the_checkpoint_is_finished(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    trainer = make_trainer(arc1_file, folder, SHORT)
    signal_at(monkeypatch, 2, signal.SIGTERM)
    at_checkpoint(monkeypatch, lambda _: send(number, number))
    with trainer.writer:
        assert trainer.run() == "stopped"
    (event,) = events_of(folder, "signal_again")
    assert (event["signal"], event["times"], event["step"]) == (number.name, 2, 3)
    (stopped,) = events_of(folder, "stopped")
    assert stopped["reason"] == "signal SIGTERM", "the first one is why it stops"
    assert events(folder)[-1]["kind"] == "stopped"
    assert newest_first(folder / "checkpoints")[0].name == "step-00000003"
    log = (folder / "log.txt").read_text()
    assert "step 3: signal SIGTERM; the run stops once its checkpoint is saved, a second Ctrl-C ends it at once" in log
    assert f"step 3: signal {number.name} came while the run was ending already" in log


def test_a_first_signal_does_not_change_how_a_run_ends_that_is_ending(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    trainer = make_trainer(arc1_file, folder, (*SHORT, "training.checkpoint_every=100"))
    at_checkpoint(monkeypatch, lambda _: send(signal.SIGINT))
    with trainer.writer:
        assert trainer.run() == "finished"
    assert [row["signal"] for row in events_of(folder, "signal_again")] == ["SIGINT"]
    assert read_run(folder).state == "finished"


@pytest.mark.parametrize(("first", "words"), [(signal.SIGINT, "SIGINT, twice"), (signal.SIGTERM, "SIGINT")])
def test_a_second_interrupt_ends_it_where_it_is_and_says_so(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: signal.Signals, words: str
) -> None:
    folder, lines = tmp_path / "run", list[str]()
    recipe = build_recipe("demo", (*TINY_MODEL, *SHORT))
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        signal_at(patch, 5, first)
        at_checkpoint(patch, lambda _: send(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            session.start_run(folder, recipe, arc1_file, lines.append)
    assert signal.getsignal(signal.SIGINT) is before
    said = f"signal {words}: ended at once at step 6; its last checkpoint is of step 4"
    assert lines[-1] == f"stopped at step 6: {said}"
    assert [row["signal"] for row in events_of(folder, "signal_again")] == ["SIGINT"]
    view = read_run(folder)
    assert view.state == "stopped" and view.result is not None and view.result["reason"] == said
    assert session.resume_run(folder) == "finished"
    assert [row["step"] for row in metrics_rows(folder)] == list(range(1, 9))


def test_an_interrupt_before_the_first_step_is_told_too(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "run", lambda trainer: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        session.start_run(tmp_path / "run", build_recipe("demo", (*TINY_MODEL, *SHORT)), arc1_file)
    result = read_json_object(tmp_path / "run" / "result.json")
    assert result is not None
    assert result["reason"] == "signal SIGINT: ended at once at step 0; there is no checkpoint yet"


def test_an_interrupt_that_follows_another_kind_of_stop_is_the_first() -> None:
    ends, stops = [False], list[str]()
    heard = Stops(stops.append, lambda: ends[0])
    with heard.heard():
        ends[0] = True  # `hrm stop` was asked for
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert heard.again == ["SIGINT", "SIGINT"] and stops == ["signal SIGINT"] * 2


CALLS = ("open", "write", "fsync", "replace", "close", "fstat")


def interrupted_at(monkeypatch: pytest.MonkeyPatch, number: int, work: Callable[[], None]) -> bool:
    """Whether an interrupt came just after the `number`-th system call of the work."""
    count = 0

    def broken(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            nonlocal count
            done = real(*words, **named)
            count += 1
            if count == number:
                raise KeyboardInterrupt
            return done

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, broken(getattr(os, name)))
        try:
            work()
        except KeyboardInterrupt:
            return True
    return False


def test_no_third_interrupt_leaves_anything_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after each system call of a row, a status and the last words; then the last words that come after all."""
    number = 0
    while True:
        number += 1
        folder = tmp_path / f"run-{number}"
        run = RunWriter.create(folder, "x = 1\n", {"experiment": "demo"})
        run.metrics({"step": 1, "loss": 1.0})
        run.event("began", 1)
        progress = Progress.__new__(Progress)
        progress.step, progress.best = 2, None

        def work(run: RunWriter = run, progress: Progress = progress) -> None:
            run.metrics({"step": 2, "loss": 0.5})
            run.status({"state": "running", "global_step": 2})
            last_words(run, progress, "stopped", "a first", run.log)

        struck = interrupted_at(monkeypatch, number, work)
        last_words(run, progress, "stopped", "a second", run.log)
        run.close()
        for path in folder.glob("*.jsonl"):
            data = path.read_bytes()
            assert data.endswith(b"\n") or not data, (number, path)
            assert all(decode_row(line) is not None for line in data.splitlines()), (number, path)
        assert [row["step"] for row in metrics_rows(folder)] in ([1], [1, 2])
        assert (folder / "log.txt").read_bytes().endswith(b"a second\n")
        assert next(row["kind"] for row in events(folder)) == "began"
        assert read_run(folder).state == "stopped" and read_status(folder)["state"] in ("starting", "running")
        if not struck:
            break
    assert number > 15, "so many calls there are at least"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> BadDisk:
    monkeypatch.setattr(trouble, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(trouble, "STOPPED_S", 0.0)
    return BadDisk(monkeypatch)


def stopped_on_a_full_disk(arc1_file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = trouble.DiskTrouble._begin

    def begin(self: trouble.DiskTrouble, error: OSError) -> None:
        real(self, error)
        send(signal.SIGTERM)

    monkeypatch.setattr(trouble.DiskTrouble, "_begin", begin)
    with pytest.raises(UserError, match=r"signal SIGTERM, and there was no room to save"):
        session.start_run(folder, build_recipe("demo", (*TINY_MODEL, *SHORT)), arc1_file)


def test_a_stop_on_a_full_disk_is_told_by_a_line_where_no_file_has_room(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: BadDisk
) -> None:
    folder = tmp_path / "run"
    full.break_at(checkpoint, "write_tensors", times=-1)
    full.break_at(writer, "write_json", times=-1, after=1)
    full.break_at(writer, "write_bytes", times=-1, after=3)
    stopped_on_a_full_disk(arc1_file, folder, monkeypatch)
    assert not (folder / "result.json").exists()
    view = read_run(folder)
    assert view.state == "stopped" and view.result is not None
    assert view.result["reason"].startswith("signal SIGTERM, and there was no room to save")
    assert not view.alarms, "nobody waits for room any more"
    full.mended = True
    monkeypatch.undo()
    assert session.resume_run(folder) == "finished"


def test_one_that_could_write_nothing_is_lost_and_its_disk_says_why(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: BadDisk
) -> None:
    folder = tmp_path / "run"
    full.break_at(writer, "write_bytes", times=-1, after=4)
    full.break_at(writer, "write_json", times=-1, after=1)
    full.break_at(writer._Appended, "append", times=-1, after=8)
    stopped_on_a_full_disk(arc1_file, folder, monkeypatch)
    view = read_run(folder)
    assert view.state == "lost" and [alarm["name"] for alarm in view.alarms] == ["lost"]
    assert "full" not in view.alarms[0]["sentence"]
    monkeypatch.setattr(disk, "no_room", lambda folder: "The disk of this run is full: 0 KiB are free.")
    (alarm,) = read_run(folder).alarms
    assert alarm["sentence"].endswith("Its disk is full now, so that it may have had no room to say why.")
    full.mended = True
    monkeypatch.undo()
    assert session.resume_run(folder) == "finished"


def test_a_stop_that_was_asked_for_is_told_before_it_is_saved(arc1_file: Path, tmp_path: Path) -> None:
    trainer = make_trainer(arc1_file, tmp_path / "run", SHORT)
    request(tmp_path / "run", "stop")
    with trainer.writer:
        assert trainer.run() == "stopped"
    assert "step 0: stop was asked for; the run stops once" in (tmp_path / "run" / "log.txt").read_text()
    assert all(not verify_folder(path) for path in newest_first(tmp_path / "run" / "checkpoints"))
    assert json.loads((tmp_path / "run" / "result.json").read_text())["state"] == "stopped"

"""Checkpoints beside the loop: what is written is the moment they were taken, one at a time, told once landed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_trainer import QUIET, TINY_MODEL, events_of, make_trainer

from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.control import request
from hrm_core.runs.locks import holder
from hrm_core.runs.reader import events, metrics_rows, read_run
from hrm_core.runs.snapshots import latest_good, newest_first
from hrm_core.training import saving, session
from hrm_core.training.checkpoint import STATE, Taken
from hrm_core.training.setup import tensors_of
from hrm_core.training.tensor_files import HostCopies, write_tensors
from hrm_core.training.trainer import Trainer

COURSE = (
    "training.max_steps=12",
    "training.checkpoint_every=4",
    *QUIET,
)


def make(arc1_file: Path, folder: Path, *overrides: str) -> Trainer:
    return make_trainer(arc1_file, folder, (*COURSE, *overrides))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No checkpoint is written before this is set."""
    opened, original = threading.Event(), saving.write_snapshot

    def late(path: Path, taken: Taken) -> None:
        assert opened.wait(60)
        original(path, taken)

    monkeypatch.setattr(saving, "write_snapshot", late)
    return opened


def test_steps_go_on_and_what_lands_is_the_state_as_it_was(
    arc1_file: Path, tmp_path: Path, gate: threading.Event
) -> None:
    trainer = make(arc1_file, tmp_path / "run", "techniques.replay.capacity=20", "techniques.replay.window=100")
    folder = trainer.writer.layout.checkpoint(0)
    with trainer.writer:
        trainer._begin_save()
        then = {name: tensor.clone() for name, tensor in tensors_of(trainer.parts).items()}
        remembered = trainer.parts.techniques.remember()
        for _ in range(3):
            trainer._one_step()
            trainer.saver.look()
        assert trainer.progress.step == 3
        assert trainer.progress.last_checkpoint_step is None
        assert not folder.exists() and not events_of(tmp_path / "run", "checkpoint")
        gate.set()
        trainer.saver.finish()
    assert trainer.progress.last_checkpoint_step == 0
    assert [event["step"] for event in events_of(tmp_path / "run", "checkpoint")] == [0]
    stored = load_file(folder / STATE)
    assert stored.keys() == then.keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in then.items())
    assert any(not torch.equal(then[name], tensor) for name, tensor in tensors_of(trainer.parts).items())
    progress = json.loads((folder / "progress.json").read_text())
    assert (progress["step"], progress["last_checkpoint_step"]) == (0, 0)
    assert progress["techniques"] == json.loads(json.dumps(remembered))
    assert (folder / "replay.h5").exists()


def test_one_save_at_a_time_and_the_end_waits_for_the_last(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, at_once, most = saving.write_snapshot, [0], [0]

    def slow(path: Path, taken: Taken) -> None:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        time.sleep(0.3)
        original(path, taken)
        at_once[0] -= 1

    monkeypatch.setattr(saving, "write_snapshot", slow)
    trainer = make(arc1_file, tmp_path / "run", "training.checkpoint_every=2", "training.keep_checkpoints=2")
    with trainer.writer:
        assert trainer.run() == "finished"
    assert most == [1]
    assert [event["step"] for event in events_of(tmp_path / "run", "checkpoint")] == [2, 4, 6, 8, 10, 12]
    assert [path.name for path in newest_first(tmp_path / "run" / "checkpoints")] == ["step-00000012", "step-00000010"]
    assert read_run(tmp_path / "run").status["last_checkpoint_step"] == 12
    kinds = [event["kind"] for event in events(tmp_path / "run")]
    assert kinds.index("finished") > max(place for place, kind in enumerate(kinds) if kind == "checkpoint")


def test_a_request_for_a_checkpoint_and_a_pause_wait_for_it(
    arc1_file: Path, tmp_path: Path, gate: threading.Event
) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    threading.Timer(0.3, gate.set).start()
    with trainer.writer:
        trainer._answer("checkpoint", "")
        assert latest_good(tmp_path / "run" / "checkpoints") is not None
        assert trainer.progress.last_checkpoint_step == 0
        trainer._one_step()
        trainer._answer("pause", "")
        assert trainer.progress.last_checkpoint_step == 1
    kinds = [event["kind"] for event in events(tmp_path / "run")]
    assert kinds[-2:] == ["checkpoint", "paused"]


def test_a_stop_in_the_middle_of_a_save_keeps_both(arc1_file: Path, tmp_path: Path, gate: threading.Event) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    with trainer.writer:
        trainer._begin_save()
        trainer._one_step()
        request(tmp_path / "run", "stop")
        threading.Timer(0.3, gate.set).start()
        assert trainer.run() == "stopped"
    assert [event["step"] for event in events_of(tmp_path / "run", "checkpoint")] == [0, 1]
    assert [path.name for path in newest_first(tmp_path / "run" / "checkpoints")] == ["step-00000001", "step-00000000"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_a_save_stops_with_a_checkpoint(
    arc1_file: Path, tmp_path: Path, gate: threading.Event, number: signal.Signals
) -> None:
    trainer = make(arc1_file, tmp_path / "run")

    def outside() -> None:
        while not any(row["step"] == 4 for row in metrics_rows(tmp_path / "run")):
            time.sleep(0.02)
        time.sleep(0.2)  # by then the save of step 4 is under way, and at step 8 the loop waits for it
        os.kill(os.getpid(), number)
        gate.set()

    thread = threading.Thread(target=outside)
    thread.start()
    with trainer.writer:
        assert trainer.run() == "stopped"
    thread.join()
    step = trainer.progress.step
    assert 4 <= step < 12
    assert [event["step"] for event in events_of(tmp_path / "run", "checkpoint")] == sorted({4, step})
    assert events_of(tmp_path / "run", "stopped")[0]["reason"] == f"signal {number.name}"
    good = latest_good(tmp_path / "run" / "checkpoints")
    assert good is not None and good.name == f"step-{step:08d}"


def damage(folder: Path) -> None:
    file = folder / STATE
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_rollback_passes_over_a_damaged_checkpoint_and_says_so(arc1_file: Path, tmp_path: Path) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    with trainer.writer:
        for _ in range(2):
            for _ in range(2):
                trainer._one_step()
            trainer.checkpoint()
        damage(trainer.writer.layout.checkpoint(4))
        trainer._one_step()
        trainer._rollback()
        assert trainer.progress.step == 2
        (event,) = events_of(tmp_path / "run", "checkpoint_damaged")
        assert (event["folder"], event["instead"], event["step"]) == ("step-00000004", "step-00000002", 4)
        assert event["problems"] == ["state.safetensors has changed since it was written"]
        assert trainer.run() == "finished"
    assert [row["step"] for row in metrics_rows(tmp_path / "run")] == list(range(1, 13))
    names = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert names == {"step-00000012", "step-00000008", "step-00000004"}


def test_a_resume_passes_over_a_damaged_checkpoint_and_says_so(arc1_file: Path, tmp_path: Path) -> None:
    """With one checkpoint kept, the damaged later one must not push out those that are made anew."""
    folder = tmp_path / "run"
    overrides = (*TINY_MODEL, *COURSE, "training.keep_checkpoints=2")
    recipe = build_recipe("demo", overrides)
    assert session.start_run(folder, recipe, arc1_file) == "finished"
    (folder / "result.json").unlink()
    damage(folder / "checkpoints" / "step-00000012")
    assert session.resume_run(folder) == "finished"
    (event,) = events_of(folder, "checkpoint_damaged")
    assert (event["folder"], event["instead"]) == ("step-00000012", "step-00000008")
    assert [event["step"] for event in events_of(folder, "resumed")] == [8]
    assert [row["step"] for row in metrics_rows(folder)] == list(range(1, 13))
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"step-00000012", "step-00000008"}


def test_a_resume_has_the_lock_before_it_reads_what_it_goes_on_from(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another could train on and end meanwhile, and its later checkpoints and rows would be put aside."""
    folder, held = tmp_path / "run", []
    assert session.start_run(folder, build_recipe("demo", (*TINY_MODEL, *COURSE)), arc1_file) == "finished"
    latest = session.latest_good

    def looked(parent: Path, *words: Any, **more: Any) -> Path | None:
        held.append(holder(folder))
        return latest(parent, *words, **more)

    monkeypatch.setattr(session, "latest_good", looked)
    assert session.resume_run(folder, ("training.max_steps=16",)) == "finished"
    assert held and set(held) == {os.getpid()}
    assert holder(folder) is None


def test_a_longer_run_killed_before_it_saved_is_longer_all_the_same(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    assert session.start_run(folder, build_recipe("demo", (*TINY_MODEL, *COURSE)), arc1_file) == "finished"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", lambda trainer: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            session.resume_run(folder, ("training.max_steps=16",))
    assert session.resume_run(folder) == "finished"
    assert [row["step"] for row in metrics_rows(folder)] == list(range(1, 17))


def test_a_run_killed_after_its_last_checkpoint_makes_no_step_more(arc1_file: Path, tmp_path: Path) -> None:
    """Also where the kill came between the two renames that put a checkpoint in the place of an older one."""
    folder = tmp_path / "run"
    assert session.start_run(folder, build_recipe("demo", (*TINY_MODEL, *COURSE)), arc1_file) == "finished"
    (folder / "result.json").unlink()
    last = folder / "checkpoints" / "step-00000012"
    before = (last / STATE).read_bytes()
    last.rename(last.with_name(".step-00000012.old-1-0123abcd"))
    assert session.resume_run(folder) == "finished"
    assert [event["step"] for event in events_of(folder, "resumed")] == [12]
    assert [row["step"] for row in metrics_rows(folder)] == list(range(1, 13))
    assert newest_first(folder / "checkpoints")[0] == last
    assert (last / STATE).read_bytes() == before


def test_files_are_those_of_the_library(tmp_path: Path) -> None:
    tensors = {
        "flags": torch.tensor([True, False, True]),
        "a": torch.randn(3, 5),
        "half": torch.randn(2).bfloat16(),
        "count": torch.tensor(3.0, dtype=torch.float64),
        "index": torch.arange(4),
        "small": torch.arange(3, dtype=torch.int32),
        "none": torch.zeros(0, 4),
        'ä"b': torch.ones(2, dtype=torch.uint8),
    }
    write_tensors(tmp_path / "ours", tensors)
    save_file(tensors, tmp_path / "theirs")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    for name, tensor in load_file(tmp_path / "ours").items():
        assert torch.equal(tensor, tensors[name])


def test_copies_are_of_the_moment_and_contiguous() -> None:
    source = torch.arange(6.0).reshape(2, 3)
    copies = HostCopies(reuse=True)
    taken = copies.take("file", {"turned": source.T})
    copies.arrived()()
    source.zero_()
    assert taken["turned"].is_contiguous()
    assert taken["turned"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


@pytest.mark.gpu
def test_copies_from_a_gpu_are_of_the_moment() -> None:
    source = torch.zeros(2**26, device="cuda")
    copies = HostCopies(reuse=True)
    for _ in range(3):
        source.fill_(1.0)
        taken = copies.take("file", {"a": source})
        arrived = copies.arrived()
        source.fill_(2.0)
        arrived()
        assert taken["a"].is_pinned() and bool((taken["a"] == 1.0).all())

"""The loop around the step on a tiny run: what non-finite steps, early stop, pause and a time budget do to it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from small_trainer import make_trainer

from hrm_core.runs.control import request
from hrm_core.runs.reader import evaluation_rows, events, metrics_rows, read_policy, read_run
from hrm_core.runs.snapshots import latest_good
from hrm_core.runs.writer import RunWriter
from hrm_core.training.checkpoint import load_state
from hrm_core.training.policy import Policy
from hrm_core.training.progress import Progress
from hrm_core.training.trainer import Trainer
from hrm_core.training.validation_gate import EarlyStop

COURSE = (
    "training.max_steps=60",
    "training.checkpoint_every=10",
    "training.fast_validation_every=30",
    "training.full_validation_every=30",
    "schedule.warmup=5",
)


def make(arc1_file: Path, folder: Path, *overrides: str) -> Trainer:
    return make_trainer(arc1_file, folder, (*COURSE, *overrides))


def kinds(folder: Path) -> list[str]:
    return [str(event["kind"]) for event in events(folder)]


def poison_at(monkeypatch: pytest.MonkeyPatch, trainer: Trainer, steps: set[int]) -> None:
    """Makes these steps' states, and so their gradients, NaN; each once."""
    original, parts = trainer.step, trainer.parts
    left = set(steps)

    def step() -> None:
        if trainer.progress.step in left:
            left.discard(trainer.progress.step)
            parts.lanes[0]["halted"].fill_(False)
            parts.lanes[0]["high"].fill_(float("nan"))
        original()

    monkeypatch.setattr(trainer, "step", step)


def test_one_bad_step_lowers_the_rate_and_the_run_ends_well(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    poison_at(monkeypatch, trainer, {12})
    with trainer.writer:
        assert trainer.run() == "finished"
    assert trainer.policy.lr_factor == pytest.approx(0.8)
    assert kinds(tmp_path / "run").count("nonfinite") == 1
    rows = metrics_rows(tmp_path / "run")
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert rows[30]["lr"] == pytest.approx(0.8 * 1e-3)


def test_where_noise_is_on_it_is_halved_instead(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a rollback, to a checkpoint from before it was."""
    overrides = ("techniques.gradient_noise=on", "training.max_steps=20", "training.fast_validation_every=20")
    trainer = make(arc1_file, tmp_path / "run", *overrides, "training.full_validation_every=20")
    poison_at(monkeypatch, trainer, {12, 14, 16})
    with trainer.writer:
        assert trainer.run() == "finished"
    assert (trainer.policy.lr_factor, trainer.policy.noise_factor) == (1.0, 0.125)
    found = [event for event in events(tmp_path / "run") if event["kind"] == "nonfinite"]
    assert [(event["action"], event["noise_factor"]) for event in found] == [
        ("lower", 0.5),
        ("lower", 0.25),
        ("rollback", 0.125),
    ]
    assert read_policy(tmp_path / "run")["noise_factor"] == 0.125
    plain = make(arc1_file, tmp_path / "plain", *overrides)
    plain.writer.close()
    levels = []
    for one in (trainer, plain):
        one.parts.techniques.before_step(15)
        levels.append(float(one.parts.techniques.tensors()["gradient_noise.level"]))
    assert levels[0] == pytest.approx(levels[1] / 8)


def test_the_third_goes_back_to_the_last_checkpoint(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    poison_at(monkeypatch, trainer, {12, 14, 16})
    with trainer.writer:
        assert trainer.run() == "finished"
    found = events(tmp_path / "run")
    assert [event["to"] for event in found if event["kind"] == "rollback"] == [10]
    assert trainer.policy.nonfinite == 3
    assert [row["step"] for row in metrics_rows(tmp_path / "run")] == list(range(1, 61))
    assert list((tmp_path / "run").glob("metrics.lost-*.jsonl"))


def test_what_followed_the_checkpoint_that_it_goes_back_to_is_not_done_twice(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a third one at the last step end the run at the checkpoint."""
    every = ("training.fast_validation_every=5", "training.full_validation_every=10", "training.max_steps=15")
    trainer = make(arc1_file, tmp_path / "run", *every, "training.checkpoint_every=5")
    poison_at(monkeypatch, trainer, {11, 12, 14})
    with trainer.writer:
        assert trainer.run() == "finished"
    assert [event["to"] for event in events(tmp_path / "run") if event["kind"] == "rollback"] == [10]
    validated = [(row["step"], row["kind"]) for row in evaluation_rows(tmp_path / "run")]
    assert validated == [(5, "fast"), (10, "fast"), (10, "full"), (15, "fast"), (15, "full")]
    assert [row["step"] for row in metrics_rows(tmp_path / "run")] == list(range(1, 16))
    assert trainer.progress.step == 15


def test_the_fifth_ends_the_run(arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    poison_at(monkeypatch, trainer, {3, 4, 5, 6, 7, 8, 9})
    with trainer.writer:
        assert trainer.run() == "failed"
    view = read_run(tmp_path / "run")
    assert view.state == "failed"
    assert "non-finite" in str((view.result or {})["reason"])


def test_early_stop_brings_the_decay_forward(arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(arc1_file, tmp_path / "run", "schedule.decay=10")
    monkeypatch.setattr(trainer.validator, "due_full", lambda decay: EarlyStop("begin_decay", 6, "no improvement"))
    with trainer.writer:
        assert trainer.run() == "finished"
    rows = metrics_rows(tmp_path / "run")
    assert rows[-1]["step"] == 36
    assert [row["lr"] for row in rows[-6:]] == pytest.approx([1e-3 * share / 6 for share in (6, 5, 4, 3, 2, 1)])


def test_a_run_that_ended_early_and_was_killed_before_it_said_so_does_not_train_on(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    monkeypatch.setattr(trainer.validator, "due_full", lambda decay: EarlyStop("stop_now", 0, "no improvement"))
    monkeypatch.setattr(trainer.board, "end", lambda *words: None)  # killed there
    with trainer.writer:
        trainer.run()
    step = trainer.progress.step
    assert step < trainer.progress.plan.max_steps
    writer = RunWriter.open(tmp_path / "run")
    good = latest_good(writer.layout.checkpoints)
    assert good is not None
    progress = Progress.from_json(load_state(good, trainer.parts))
    again = Trainer(writer, trainer.parts, trainer.dataset, progress, Policy(), writer.log)
    with again.writer:
        assert again.run() == "finished"
    assert again.progress.step == step
    assert (read_run(tmp_path / "run").result or {})["reason"] == "no improvement"


def test_a_signal_that_held_the_run_is_an_event(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(arc1_file, tmp_path / "run", "training.max_steps=10")
    step = trainer.step

    def held() -> None:
        if trainer.progress.step == 4:
            os.kill(os.getpid(), signal.SIGCONT)
        step()

    monkeypatch.setattr(trainer, "step", held)
    before = signal.getsignal(signal.SIGCONT)
    with trainer.writer:
        trainer.run()
    assert kinds(tmp_path / "run").count("held") == 1
    assert signal.getsignal(signal.SIGCONT) is before


def test_pause_holds_and_continue_goes_on(arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    seen: dict[str, Any] = {}
    step, asked = trainer.step, threading.Event()

    def held() -> None:  # no run ends before it is asked to pause, however late this machine is
        assert trainer.progress.step < 20 or asked.wait(60)
        step()

    monkeypatch.setattr(trainer, "step", held)

    def steer() -> None:
        while not metrics_rows(tmp_path / "run"):
            time.sleep(0.01)
        request(tmp_path / "run", "pause")
        asked.set()
        while read_run(tmp_path / "run").status.get("state") != "paused":
            time.sleep(0.01)
        seen["at"] = len(metrics_rows(tmp_path / "run"))
        time.sleep(0.5)
        seen["later"] = len(metrics_rows(tmp_path / "run"))
        request(tmp_path / "run", "note", "hello")
        request(tmp_path / "run", "continue")

    thread = threading.Thread(target=steer)
    thread.start()
    with trainer.writer:
        assert trainer.run() == "finished"
    thread.join(timeout=60)
    assert seen["at"] == seen["later"]
    found = kinds(tmp_path / "run")
    assert found.index("paused") < found.index("note") < found.index("continued") < found.index("finished")


def test_the_time_budget_only_stops(arc1_file: Path, tmp_path: Path) -> None:
    trainer = make(arc1_file, tmp_path / "run", "training.time_budget=1h")
    trainer.budget_s = 0.0
    with trainer.writer:
        assert trainer.run() == "stopped"
    view = read_run(tmp_path / "run")
    assert view.step == 1
    assert "time budget" in str((view.result or {})["reason"])


def test_a_clock_that_jumps_by_days_ends_nothing_and_breaks_no_cadence(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(arc1_file, tmp_path / "run", "training.time_budget=1h", "training.max_steps=20")
    real, real_ns, offset = time.time, time.time_ns, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(offset[0] * 1e9))
    step = trainer.step

    def jumping() -> None:
        offset[0] = (-1) ** trainer.progress.step * 86400.0 * 5
        if trainer.progress.step == 7:
            request(tmp_path / "run", "note", "still there")
        step()

    monkeypatch.setattr(trainer, "step", jumping)
    with trainer.writer:
        assert trainer.run() == "finished"
    found = kinds(tmp_path / "run")
    assert [row["step"] for row in metrics_rows(tmp_path / "run")] == list(range(1, 21))
    assert found.count("checkpoint") == 3 and "note" in found  # at 10, where the decay begins (12), and at 20
    assert 0 < trainer.progress.elapsed_s < 3600
    jumps = [row["seconds"] for row in events(tmp_path / "run") if row["kind"] == "clock_jumped"]
    assert jumps and all(abs(abs(seconds) % 432000) < 60 or abs(abs(seconds) % 432000) > 431940 for seconds in jumps)

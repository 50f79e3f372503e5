"""Techniques that change who is evaluated and what updates, in the trainer's own loop: the tail, the swap, a spike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_trainer import make_trainer

from hrm_core.runs.reader import evaluation_rows, events, metrics_rows
from hrm_core.training.step import Sum
from hrm_core.training.trainer import Trainer

COURSE = (
    "training.max_steps=40",
    "training.threads=1",
    "training.checkpoint_every=40",
    "training.fast_validation_every=5",
    "training.full_validation_every=5",
    "training.early_stop=false",
    "schedule.kind=constant",
    "averaging.kind=none",
)


def make(arc1_file: Path, folder: Path, *overrides: str) -> Trainer:
    return make_trainer(arc1_file, folder, (*COURSE, *overrides))


def found(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in events(folder) if event["kind"] == kind]


def test_the_tail_is_evaluated_with_its_mean_and_no_full_validation_is_skipped_in_it(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(arc1_file, tmp_path / "run", "techniques.swa_tail.start=0.5", "techniques.swa_tail.period=0.1")
    monkeypatch.setattr(trainer.validator.gate, "fast", lambda *result: None)  # the fast set never improves
    with trainer.writer:
        assert trainer.run() == "finished"
    assert [event["step"] for event in found(tmp_path / "run", "swa_started")] == [20]
    assert [event["step"] for event in found(tmp_path / "run", "swa_first_capture")] == [24]
    assert [event["step"] for event in found(tmp_path / "run", "validation_skipped")] == [10, 15, 20]
    full = [(row["step"], row["weights"]) for row in evaluation_rows(tmp_path / "run") if row["kind"] == "full"]
    assert full == [(5, "raw"), (25, "swa"), (30, "swa"), (35, "swa"), (40, "swa")]
    rates = [row["lr"] for row in metrics_rows(tmp_path / "run")]
    assert [step for step, rate in enumerate(rates, 1) if rate == pytest.approx(0.5 * rates[19])] == [
        24,
        28,
        32,
        36,
        40,
    ]


def test_early_stop_does_not_end_a_run_before_its_tail(arc1_file: Path, tmp_path: Path) -> None:
    """A constant rate has no decay that could begin sooner; the tail stands in its place."""
    with (plain := make(arc1_file, tmp_path / "plain")).writer:
        assert plain._decay() == "none"
    with (tail := make(arc1_file, tmp_path / "tail", "techniques.swa_tail.start=0.5")).writer:
        assert tail._decay() == "under_way"


def test_the_swap_is_an_event_and_a_spike_after_it_is_answered(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ("techniques.lion_swap.start=10", "techniques.lion_swap.warmup=4", "techniques.lion_swap.lr_factor=0.2")
    trainer = make(arc1_file, tmp_path / "run", *overrides, "techniques.gradient_noise=on")
    original = trainer.step

    def spoiled() -> None:
        original()
        if trainer.progress.step == 19:  # the sums of step 20 are read after it
            trainer.parts.sums[Sum.TOKEN_LOSS] *= 100.0

    made: list[int] = []
    monkeypatch.setattr(trainer, "step", spoiled)
    monkeypatch.setattr("hrm_core.training.trainer.make_step", lambda parts, say: made.append(1) or spoiled)
    with trainer.writer:
        assert trainer.run() == "finished"
    folder = tmp_path / "run"
    assert made == [1]
    assert [event["step"] for event in found(folder, "optimizer_swapped")] == [10]
    for kind in ("loss_spike", "noise_halved", "lion_lowered"):
        assert [event["step"] for event in found(folder, kind)] == [20], kind
    rows = metrics_rows(folder)
    whole = rows[9]["lr"]
    assert [row["lr"] / whole for row in rows[10:22]] == pytest.approx([0.05, 0.1, 0.15] + [0.2] * 7 + [0.16] * 2)
    assert [row["loss_spikes"] for row in rows] == [0] * 19 + [1] * 21

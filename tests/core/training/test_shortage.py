"""Memory that runs out in a step or a capture: smaller pieces, the same slots, and a run that ends where it would."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small_trainer import QUIET, events_of, make_trainer

from hrm_core.errors import UserError
from hrm_core.learning.lanes import LaneState
from hrm_core.runs.reader import metrics_rows, read_policy
from hrm_core.training import step as step_module
from hrm_core.training import trainer as trainer_module
from hrm_core.training.graphs import captured_or_eager
from hrm_core.training.policy import Policy
from hrm_core.training.setup import tensors_of
from hrm_core.training.shortage import begin_anew, halve_pieces, is_out_of_memory
from hrm_core.training.step import StepParts
from hrm_core.training.trainer import Trainer

COURSE = (
    "training.max_steps=8",
    "training.batch=2",
    "training.accumulation=2",
    "training.checkpoint_every=4",
    *QUIET,
)
REPLAY = ("techniques.replay.capacity=20", "techniques.replay.window=100")


def make(arc1_file: Path, folder: Path, *overrides: str) -> Trainer:
    return make_trainer(arc1_file, folder, (*COURSE, *overrides))


def short_of_memory(monkeypatch: pytest.MonkeyPatch, trainer: Trainer, at: int, most: int) -> None:
    """From the step with this number on, pieces of more than `most` slots do not fit, but for a lane's first."""
    original = step_module.advance

    def advance(parts: StepParts, lane: LaneState, piece: slice) -> None:
        if trainer.progress.step >= at and piece.start > 0 and piece.stop - piece.start > most:
            raise torch.OutOfMemoryError("no memory is left")
        original(parts, lane, piece)

    monkeypatch.setattr(step_module, "advance", advance)


@pytest.fixture(scope="module")
def straight(arc1_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """The same run with all the memory that it wants."""
    trainer = make(arc1_file, tmp_path_factory.mktemp("straight") / "run", *REPLAY)
    with trainer.writer:
        assert trainer.run() == "finished"
    return trainer


@pytest.mark.parametrize(("at", "back"), [(6, 4), (2, 0)])
def test_half_the_piece_and_back_to_where_nothing_had_failed(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, straight: Trainer, at: int, back: int
) -> None:
    folder = tmp_path / "run"
    trainer = make(arc1_file, folder, *REPLAY)
    short_of_memory(monkeypatch, trainer, at, 1)
    with trainer.writer:
        assert trainer.run() == "finished"
    (event,) = events_of(folder, "out_of_memory")
    assert (event["step"], event["pieces_before"], event["pieces"], event["slots"]) == (at, 2, 1, 4)
    assert (event["when"], event["back_to"]) == ("in a step", back)
    log = (folder / "log.txt").read_text()
    assert f"went back to step {back}," in log and "at most 1 of the 4 slots at a time, 2 before" in log
    assert trainer.parts.num_slots == straight.parts.num_slots == 4
    assert read_policy(folder)["pieces"] == trainer.parts.largest_piece == 1
    rows, others = metrics_rows(folder), metrics_rows(straight.writer.layout)
    assert [row["step"] for row in rows] == list(range(1, 9))
    for row, other in zip(rows, others, strict=True):
        assert row["samples"] == other["samples"]
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)
    theirs = tensors_of(straight.parts)
    for name, tensor in tensors_of(trainer.parts).items():
        if tensor.dtype.is_floating_point:
            assert torch.allclose(tensor, theirs[name], rtol=1e-3, atol=1e-3), name
        else:
            assert torch.equal(tensor, theirs[name]), name


def test_what_fitted_is_kept_for_a_resume(arc1_file: Path, tmp_path: Path) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    with trainer.writer:
        policy = Policy(pieces=1)
        again = Trainer(trainer.writer, trainer.parts, trainer.dataset, trainer.progress, policy, trainer.say)
        assert again.parts.largest_piece == 1
        wider = Policy(pieces=50)  # what a smaller recipe has is not made larger
        Trainer(trainer.writer, trainer.parts, trainer.dataset, trainer.progress, wider, trainer.say)
        assert again.parts.largest_piece == 1


def test_a_capture_that_does_not_fit_is_made_anew_with_smaller_pieces(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, limits = trainer_module.make_step, []

    def make_step(parts: StepParts, say: Any) -> Any:
        limits.append(parts.largest_piece)
        if parts.largest_piece > 1:
            try:
                raise torch.OutOfMemoryError("no memory is left")
            finally:
                raise RuntimeError("the capture was cut short")
        return original(parts, say)

    monkeypatch.setattr(trainer_module, "make_step", make_step)
    trainer = make(arc1_file, tmp_path / "run", "training.batch=4", "training.accumulation=1")
    assert limits == [4, 2, 1]
    with trainer.writer:
        assert trainer.run() == "finished"
    assert [event["pieces"] for event in events_of(tmp_path / "run", "out_of_memory")] == [2, 1]
    assert {event["when"] for event in events_of(tmp_path / "run", "out_of_memory")} == {"while the step was captured"}
    assert not events_of(tmp_path / "run", "rollback")


def test_single_slots_that_do_not_fit_end_it_with_a_remedy(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    short_of_memory(monkeypatch, trainer, 5, 0)
    with (
        trainer.writer,
        pytest.raises(UserError, match=r"one slot at a time\.\nFree memory .*training\.batch") as caught,
    ):
        trainer.run()
    assert caught.value.exit_code == 1
    assert [event["pieces"] for event in events_of(tmp_path / "run", "out_of_memory")] == [1]


def test_other_errors_of_a_step_end_it(arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(arc1_file, tmp_path / "run")

    def broken() -> None:
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(trainer, "step", broken)
    with trainer.writer, pytest.raises(RuntimeError, match="the device is gone"):
        trainer.run()


def test_a_lack_of_memory_does_not_pass_for_a_step_that_cannot_be_captured(arc1_file: Path, tmp_path: Path) -> None:
    trainer = make(arc1_file, tmp_path / "run")

    def fail(error: RuntimeError, parts: StepParts) -> Any:
        raise error

    said: list[str] = []
    with trainer.writer:
        with pytest.raises(torch.OutOfMemoryError):
            captured_or_eager(trainer.parts, partial(fail, torch.OutOfMemoryError("no")), said.append)
        captured_or_eager(trainer.parts, partial(fail, RuntimeError("cannot")), said.append)
    assert said == ["the step could not be captured as CUDA graphs and runs without them: cannot"]


def test_a_lack_of_memory_is_known_behind_other_errors() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("no"))
    assert not is_out_of_memory(RuntimeError("out of memory, they say"))
    assert not is_out_of_memory(None)
    behind = RuntimeError("capture")
    behind.__context__ = torch.OutOfMemoryError("no")
    assert is_out_of_memory(behind)
    loop = RuntimeError("a")
    loop.__context__ = RuntimeError("b")
    loop.__context__.__context__ = loop
    assert not is_out_of_memory(loop)


def test_halves_go_by_the_largest_piece_there_is(arc1_file: Path, tmp_path: Path) -> None:
    trainer = make(arc1_file, tmp_path / "run", "training.batch=100", "training.accumulation=1")
    trainer.writer.close()
    largest = max(lane.num_slots for lane in trainer.parts.lanes)
    assert halve_pieces(trainer.parts) == (largest, largest // 2)


def test_begin_anew_is_step_zero(arc1_file: Path, tmp_path: Path) -> None:
    trainer = make(arc1_file, tmp_path / "run", *REPLAY)
    parts = trainer.parts
    first = {name: tensor.clone() for name, tensor in tensors_of(parts).items()}
    rings = [tensor.clone() for tensor in parts.techniques.scratch()]
    remembered = parts.techniques.remember()
    with trainer.writer:
        for _ in range(3):
            trainer._one_step()
    assert any(not torch.equal(first[name], tensor) for name, tensor in tensors_of(parts).items())
    assert any(not torch.equal(one, other) for one, other in zip(rings, parts.techniques.scratch(), strict=True))
    begin_anew(parts, trainer.dataset)
    for name, tensor in tensors_of(parts).items():
        assert torch.equal(first[name], tensor), name
    for one, other in zip(rings, parts.techniques.scratch(), strict=True):
        assert torch.equal(one, other)
    assert parts.techniques.remember() == remembered

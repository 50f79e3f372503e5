"""Memory that runs out in a validation: made anew with fewer grids at a time, and the numbers are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_trainer import TINY_MODEL, events_of, make_trainer

from hrm_core.data.dataset import load_dataset
from hrm_core.errors import UserError
from hrm_core.evaluation.evaluate import evaluate
from hrm_core.evaluation.rule_head import score_descriptors
from hrm_core.model.inference import Predictor
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.reader import evaluation_rows, read_policy
from hrm_core.training import session
from hrm_core.training import validation as validation_module
from hrm_core.training.policy import Policy
from hrm_core.training.setup import tensors_of
from hrm_core.training.trainer import Trainer

COURSE = (
    "training.max_steps=6",
    "training.fast_validation_every=3",
    "training.full_validation_every=3",
    "training.checkpoint_every=3",
    "training.threads=1",
    "schedule.warmup=2",
    "schedule.kind=constant",
    "evaluation.views=3",
    "evaluation.batch=8",
    "data.validate_limit=17",
)


def make(arc1_file: Path, folder: Path, *overrides: str) -> Trainer:
    return make_trainer(arc1_file, folder, (*COURSE, *overrides))


def short_of_memory(monkeypatch: pytest.MonkeyPatch, most: int, error: BaseException) -> list[int]:
    """More than `most` grids at a time do not fit; gives the sizes that were asked for."""
    original, sizes = Predictor.__call__, list[int]()

    def call(self: Predictor, tokens: torch.Tensor, *words: Any) -> Any:
        sizes.append(len(tokens))
        if len(tokens) > most:
            raise error
        return original(self, tokens, *words)

    monkeypatch.setattr(Predictor, "__call__", call)
    return sizes


def numbers(value: object) -> object:
    """Without clocks; floats to five digits."""
    if isinstance(value, dict):
        return {key: numbers(held) for key, held in value.items() if key not in ("time_utc", "elapsed_s")}
    if isinstance(value, list):
        return [numbers(held) for held in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


@pytest.fixture(scope="module")
def straight(arc1_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """The same run with all the memory that it wants."""
    trainer = make(arc1_file, tmp_path_factory.mktemp("straight") / "run")
    with trainer.writer:
        assert trainer.run() == "finished"
    return trainer


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("no"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you")],
)
def test_half_as_many_grids_and_the_same_numbers(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, straight: Trainer, error: BaseException
) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    sizes = short_of_memory(monkeypatch, 2, error)
    with trainer.writer:
        assert trainer.run() == "finished"
    found = events_of(tmp_path / "run", "out_of_memory")
    assert [(row["step"], row["pieces_before"], row["pieces"]) for row in found] == [(3, 8, 4), (3, 4, 2)]
    assert {row["when"] for row in found} == {"in a validation"}
    assert "at most 2 grids at a time, 4 before" in (tmp_path / "run" / "log.txt").read_text()
    assert read_policy(tmp_path / "run")["grids"] == 2 and read_policy(tmp_path / "run")["pieces"] is None
    assert [size for size in sizes if size > 2] == [8, 4], "what fitted is kept for the later validations"
    rows, others = evaluation_rows(tmp_path / "run"), evaluation_rows(straight.writer.layout)
    assert len(rows) == 4 and numbers(rows) == numbers(others)
    for name, tensor in tensors_of(straight.parts).items():
        assert torch.equal(tensor, tensors_of(trainer.parts)[name]), name


def test_what_fitted_is_kept_over_a_resume(arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    sizes = short_of_memory(monkeypatch, 3, torch.OutOfMemoryError("no"))
    assert session.start_run(folder, build_recipe("demo", (*TINY_MODEL, *COURSE)), arc1_file) == "finished"
    assert max(sizes) == 8
    del sizes[:]
    assert session.resume_run(folder, ("training.max_steps=9",)) == "finished"
    assert sizes and max(sizes) == 2
    assert Policy.from_json({"grids": 0}).grids is None
    assert Policy.from_json(Policy(grids=5).to_json()).grids == 5


def test_a_recipe_with_fewer_at_once_keeps_them(arc1_file: Path, tmp_path: Path) -> None:
    trainer = make(arc1_file, tmp_path / "run", "evaluation.batch=2")
    with trainer.writer:
        trainer.policy.grids = 50
        assert trainer.validator.memory.grids == 2


@pytest.mark.parametrize(("most", "where"), [(0, "with one grid at a time"), (None, "before its first grid")])
def test_one_that_does_not_fit_ends_it_with_a_remedy(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None, where: str
) -> None:
    trainer = make(arc1_file, tmp_path / "run", "evaluation.batch=2")
    before = {name: tensor.clone() for name, tensor in tensors_of(trainer.parts).items()}
    if most is None:
        broken = torch.OutOfMemoryError("no")
        monkeypatch.setattr(validation_module, "evaluate", lambda *words, **named: (_ for _ in ()).throw(broken))
    else:
        short_of_memory(monkeypatch, most, torch.OutOfMemoryError("no"))
    with trainer.writer, pytest.raises(UserError, match=rf"in a validation, {where}\.\nFree memory ") as caught:
        trainer.validator.fast()
    assert caught.value.exit_code == 1
    for name, tensor in before.items():
        assert torch.equal(tensor, tensors_of(trainer.parts)[name]), "the run's own weights are back"


def test_other_errors_of_a_validation_end_it(arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(arc1_file, tmp_path / "run")
    sizes = short_of_memory(monkeypatch, 0, RuntimeError("the device is gone"))
    with trainer.writer, pytest.raises(RuntimeError, match="the device is gone"):
        trainer.validator.fast()
    assert len(sizes) == 1


def test_the_number_at_once_changes_no_result(arc1_file: Path, tmp_path: Path) -> None:
    trainer = make(arc1_file, tmp_path / "run", "techniques.rule_head.weight=0.1")
    trainer.writer.close()
    parts, predictor = trainer.parts, Predictor(trainer.parts.model)
    dataset = load_dataset(arc1_file, parts.recipe.data)
    words = (predictor, dataset, parts.recipe, trainer.validator.split, "full", 1, "raw")
    one, five, many = (evaluate(*words, batch=batch) for batch in (1, 5, None))  # type: ignore[arg-type]
    assert numbers(one.row) == numbers(five.row) == numbers(many.row)
    assert numbers(one.predictions) == numbers(five.predictions) == numbers(many.predictions)
    heads = [trainer.validator._rule_head(grids) for grids in (1, 5, 64)]
    assert heads[0] == heads[1] == heads[2] != {}
    pieces: list[int] = []
    score_descriptors(
        lambda tokens, identity, side: torch.zeros(len(tokens), 21),
        dataset,
        parts.recipe,
        trainer.validator.split,
        torch.device("cpu"),
        pieces.append,
        3,
    )
    assert max(pieces) == 3

"""Diagnoses of run folders made by the real writer: each has one known thing wrong, and that is what is named first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor

from hrm_core.errors import UserError
from hrm_core.evaluation.diagnosis import Diagnosis, diagnose
from hrm_core.evaluation.diagnosis_answers import bound_by
from hrm_core.evaluation.evaluate import evaluate
from hrm_core.evaluation.metrics import METRICS
from hrm_core.model.types import Identity, SegmentsOutput
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.records import plain
from hrm_core.runs.snapshots import write_meta
from hrm_core.runs.writer import RunWriter

RECIPE = build_recipe("EXP-00", ["training.max_steps=1000"]).recipe
Make = Callable[[Recipe], RunWriter]


@pytest.fixture
def open_run(tmp_path: Path) -> Iterator[Make]:
    opened: list[RunWriter] = []

    def create(recipe: Recipe) -> RunWriter:
        writer = RunWriter.create(tmp_path / f"run{len(opened)}", to_toml(recipe), {"experiment": recipe.experiment})
        writer.status({"state": "running", "global_step": 1000, "max_steps": 1000})
        opened.append(writer)
        return writer

    yield create
    for writer in opened:
        writer.close()


def row(step: int = 1000, **changes: Any) -> dict[str, Any]:
    metrics = dict.fromkeys(METRICS, 0.6)
    healthy = {
        "step": step, "kind": "full", "split": "val", "pairs": 40, "oversize": 0, "loss": 1.0, "metrics": metrics,
        "trivial": {name: {"pad": 0.0, "black": 0.3, "frequent": 0.3, "copy": 0.5} for name in METRICS},
        "constant_share": 0.1, "input_sensitivity": 0.9, "identity_sensitivity": 0.9, "input_gain": 0.2,
        "identity_gain": 0.2, "score": 0.6, "halting": {"histogram": [10, 20, 5], "never": 0.1}, "families": {},
    }  # fmt: skip
    return healthy | changes


def record(number: int, predicted: list[str], **changes: Any) -> dict[str, Any]:
    made = {
        "task": f"task{number}", "test": 0, "side": 10, "families": ["same_size"], "input": ["120", "000"],
        "target": ["340", "000"], "predicted": predicted, "exact": predicted == ["340", "000"], "cell_accuracy": 0.5,
        "loss": 1.0 + number, "halt_logit": [-1.0, 2.0, 3.0],
    }  # fmt: skip
    return made | changes


RIGHT, COPY, COLORS, SIZE, PLACES = ["340", "000"], ["120", "000"], ["650", "000"], ["34"], ["000", "034"]


def answers(**counts: int) -> list[dict[str, Any]]:
    grids = {"right": RIGHT, "copy": COPY, "colors": COLORS, "size": SIZE, "places": PLACES}
    every = [grids[name] for name, count in counts.items() for _ in range(count)]
    return [record(number, grid) for number, grid in enumerate(every)]


def training(writer: RunWriter, rows: int = 100, **columns: Callable[[int], float]) -> None:
    healthy: dict[str, Callable[[int], float]] = {
        "lr": lambda number: 3e-4, "loss": lambda number: 1.0, "token_loss": lambda number: 0.9,
        "token_exact": lambda number: 0.6, "grad_norm": lambda number: 0.5 + 0.1 * (number % 2),
        "clipped": lambda number: 0,
    }  # fmt: skip
    for number in range(rows):
        values = {name: value(number) for name, value in (healthy | columns).items()}
        writer.metrics({"step": 10 * (number + 1), **values})


def names(diagnosis: Diagnosis) -> list[str]:
    return [finding.name for finding in diagnosis.findings]


def says_pad(tokens: Tensor, identity: Identity, side: int, labels: Any, every_segment: bool) -> SegmentsOutput:
    empty = torch.zeros_like(tokens, dtype=torch.int64)
    every = empty[None].expand(2, -1, -1) if every_segment else None
    return SegmentsOutput(
        empty, torch.full((len(tokens), 2), -1.0), torch.zeros(len(tokens)), torch.ones(len(tokens)), every
    )


def test_plateau_71_is_named_with_its_true_cause(make, open_run: Make) -> None:
    recipe = build_recipe("plateau-71").recipe
    pairs = [([[1, number % 10]], [[2, number % 10]]) for number in range(3)]
    dataset = make([(f"t{number}", pairs, [([[number, 3]], [[4, number]])]) for number in range(10)])
    writer = open_run(recipe)
    for step in (100, 200):
        result = evaluate(says_pad, dataset, recipe, "eval", "full", step, "raw", max_steps=200)
        writer.evaluation(result.row)
    writer.predictions(200, [plain(kept) for kept in result.predictions])
    diagnosis = diagnose(writer.layout)
    assert names(diagnosis)[:2] == ["constant_output", "input_blind"]
    first = diagnosis.findings[0]
    for cause in ("model.inject_input=true", "identity.kind=shared", "loss.include_pad=false"):
        assert any(said.startswith(cause) for said in first.numbers["causes"])
        assert cause in first.advice
    assert first.sentence.startswith("One and the same answer to 100 % of 5 tests; padded accuracy")
    assert len({puzzle.task for puzzle in first.evidence}) == 3
    assert first.evidence[0].what == "answered with no grid at all, as 4 others; wanted 1x2"
    assert first.experiments[0] == "EXP-00"


def test_a_healthy_run_has_no_findings(open_run: Make) -> None:
    writer = open_run(RECIPE)
    writer.evaluation(row())
    writer.predictions(1000, answers(right=20, copy=4, colors=4, size=4, places=8))
    training(writer)
    assert names(diagnose(writer.layout)) == []


@pytest.mark.parametrize(
    ("counts", "name", "what"),
    [
        ({"right": 5, "copy": 9, "size": 3, "places": 3}, "copy_bound", "answered with its own 2x3 input"),
        (
            {"right": 5, "colors": 9, "size": 3, "places": 3},
            "color_bound",
            "2 of 6 cells wrong, colours 5 for 4, 6 for 3",
        ),
        ({"right": 5, "size": 9, "copy": 3, "places": 3}, "size_bound", "answered 1x2 where 2x3 is right"),
    ],
)
def test_what_binds_the_answers(open_run: Make, counts: dict[str, int], name: str, what: str) -> None:
    writer = open_run(RECIPE)
    writer.evaluation(row())
    writer.predictions(1000, answers(**counts))
    (finding,) = diagnose(writer.layout).findings
    assert (finding.name, finding.numbers["bound"], finding.numbers["wrong"]) == (name, 9, 15)
    assert finding.evidence[0].what == what
    assert len(finding.evidence) == 3 and finding.experiments and finding.experiments[0] in finding.advice
    writer.evaluation(row(1001, constant_share=1.0))  # one answer for everything explains the rest
    assert names(diagnose(writer.layout)) == ["constant_output"]


def test_each_wrong_answer_is_bound_by_one_thing_at_most() -> None:
    kinds = [bound_by(record(0, grid)) for grid in (COPY, COLORS, SIZE, PLACES, [])]
    assert kinds == ["copy_bound", "color_bound", "size_bound", None, "size_bound"]
    assert bound_by(record(0, ["x"])) is bound_by(record(0, ["12", "1"])) is None


def test_blindness_and_reaction_without_use(open_run: Make) -> None:
    writer = open_run(RECIPE)
    writer.evaluation(row(identity_sensitivity=0.05, input_gain=0.001))
    writer.predictions(1000, answers(right=20, places=8))
    blind, useless = diagnose(writer.layout).findings
    assert (blind.name, useless.name) == ("identity_blind", "input_blind")
    assert "without use" in useless.sentence and "changes 5 % of the answers" in blind.sentence


def test_training_that_ended_too_soon_and_noisy_gradients(open_run: Make) -> None:
    writer = open_run(RECIPE)
    writer.evaluation(row())
    training(writer, lr=lambda n: 3e-4 * (1 - 0.96 * n / 99), loss=lambda n: 2.0 - n / 100)
    assert names(diagnose(writer.layout)) == []  # at 4 % of the rate
    for number in range(100, 120):
        writer.metrics({"step": 10 * number + 10, "lr": 1e-6, "loss": 2.0 - number / 100, "grad_norm": 0.5})
    (finding,) = diagnose(writer.layout).findings
    assert finding.name == "optimizer_floor" and finding.numbers["drop"] > 0
    other = open_run(RECIPE)
    other.evaluation(row())
    training(other, grad_norm=lambda n: 9.0 if n % 10 == 0 else 0.5, clipped=lambda n: int(n % 10 == 0))
    (noisy,) = diagnose(other.layout).findings
    assert noisy.name == "noisy_gradients"
    assert noisy.numbers["clip_share"] == pytest.approx(1 / 190)


def test_gap_plateau_halting_and_families(open_run: Make) -> None:
    writer = open_run(RECIPE)
    unsolved = {
        "move": {"pairs": 8, "exact": 0.0},
        "crop": {"pairs": 4, "exact": 0.0},
        "fill": {"pairs": 9, "exact": 0.5},
    }
    halting = {"histogram": [0, 40, 0], "never": 0.0}
    for step, loss in ((200, 0.8), (400, 0.9), (600, 1.0), (800, 1.1), (1000, 1.2)):
        writer.evaluation(row(step, loss=loss, families=unsolved, halting=halting))
    kept = answers(right=20, places=8)
    for number, one in enumerate(kept[20:]):
        one.update(families=["move"], cell_accuracy=number / 10)
    writer.predictions(1000, kept)
    training(writer)
    findings = {finding.name: finding for finding in diagnose(writer.layout).findings}
    assert list(findings) == ["overfitting", "halting_collapsed", "families_unsolved", "plateau"]
    assert findings["overfitting"].numbers["rising"] and "50 % above its lowest" in findings["overfitting"].sentence
    assert findings["overfitting"].evidence[0].what == "loss 28"  # the largest of the wrong ones
    assert findings["halting_collapsed"].evidence[0].what == "would halt in segment 2, and is wrong"
    assert findings["families_unsolved"].numbers["families"] == {"move": 8}
    assert findings["families_unsolved"].evidence[0].what == "the nearest of move: 70 % of the cells right"


def test_rows_of_identity_that_nothing_has_touched(open_run: Make) -> None:
    writer = open_run(RECIPE)
    writer.evaluation(row())
    writer.predictions(1000, answers(right=20, places=8))
    assert any("whether all were trained" in reason for reason in diagnose(writer.layout).not_looked_at)
    table = np.ones((29, 4), dtype=np.float32)
    table[[3, 21, 28]] = 0.0  # the last row is scratch
    folder = writer.layout.checkpoint(1000)
    folder.mkdir(parents=True)
    save_file({"rows.table": table}, folder / "weights.safetensors")
    (folder / "tasks.json").write_text(str([f"task{number}" for number in range(28)]).replace("'", '"'))
    write_meta(folder, {"step": 1000})
    (finding,) = diagnose(writer.layout).findings
    assert (finding.name, finding.numbers["untouched"], finding.numbers["rows"]) == ("rows_untrained", 2, 28)
    assert finding.experiments == ()  # no experiment gives a task more visits
    assert [(puzzle.task, puzzle.what) for puzzle in finding.evidence] == [
        ("task3", "its row is zero"), ("task21", "its row is zero"),
    ]  # fmt: skip


def test_what_cannot_be_diagnosed_is_said(open_run: Make) -> None:
    writer = open_run(RECIPE)
    with pytest.raises(UserError, match="no validation yet"):
        diagnose(writer.layout)
    writer.evaluation({"step": 3, "kind": "full"})  # not a whole row
    with pytest.raises(UserError, match="no validation yet"):
        diagnose(writer.layout)
    writer.evaluation(row(kind="fast", input_sensitivity=None, identity_sensitivity=None))
    diagnosis = diagnose(writer.layout)
    assert diagnosis.findings == () and len(diagnosis.not_looked_at) == 3


def test_more_rows_than_visits_call_for_shared_rows(open_run: Make) -> None:
    writer = open_run(build_recipe("EXP-00", ["identity.kind=per_augmentation", "augment.pool=3"]).recipe)
    writer.evaluation(row())
    table = np.zeros((7, 4), dtype=np.float32)
    table[:3] = 1.0
    folder = writer.layout.checkpoint(1000)
    folder.mkdir(parents=True)
    save_file({"rows.table": table}, folder / "weights.safetensors")
    (folder / "tasks.json").write_text('["a", "b"]')
    write_meta(folder, {"step": 1000})
    (finding,) = diagnose(writer.layout).findings
    assert (finding.numbers["share"], finding.numbers["tasks_without"]) == (0.5, 1)
    assert finding.evidence[0].what == "3 of its 3 rows are zero" and finding.experiments == ("EXP-00",)
    assert "identity.kind=shared" in finding.advice

"""Test-time training: what moves, what comes back, and that it trains on demonstrations alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from technique_bench import run_steps, tiny_parts

from hrm_core.data.dataset import Dataset, load_dataset
from hrm_core.errors import UserError
from hrm_core.evaluation.evaluate import evaluate
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import Predictor
from hrm_core.recipe.schema import Recipe
from hrm_core.training.adapt import Adapter
from hrm_core.training.step import Sum, train_step


def trained(arc1_file: Path) -> tuple[HRM, Dataset, Recipe]:
    parts = tiny_parts(arc1_file, ["evaluation.views=2", "data.validate_limit=6", "evaluation.segment_grids=2"])
    run_steps(parts, 4)
    return parts.model, load_dataset(arc1_file, parts.recipe.data), parts.recipe


@pytest.mark.parametrize("what", ["rows", "all"])
def test_it_moves_what_it_says_and_puts_it_back(what: str, arc1_file: Path) -> None:
    model, dataset, recipe = trained(arc1_file)
    adapter = Adapter(model, dataset, recipe, 3, "rows" if what == "rows" else "all")
    weights, rows = adapter.flat.values.clone(), model.rows.table.clone()
    adapter.adapt(5)
    assert torch.equal(adapter.flat.values, weights) == (what == "rows")
    moved = (model.rows.table != rows).any(dim=1).nonzero().flatten().tolist()
    assert moved == [5]
    adapter.restore()
    assert torch.equal(adapter.flat.values, weights)
    assert torch.equal(model.rows.table, rows)


def test_it_learns_the_task_from_demonstrations_only(arc1_file: Path) -> None:
    model, dataset, recipe = trained(arc1_file)
    adapter = Adapter(model, dataset, recipe, 40, "all")
    parts = adapter._parts(5)
    assert parts is not None
    tests = {key for pairs in dataset.val.values() for key in pairs.key.tolist()}
    assert all(lane.pairs.task.eq(5).all() and not tests & set(lane.pairs.key.tolist()) for lane in parts.lanes)
    before = _loss(adapter)
    adapter.adapt(5)
    assert _loss(adapter) < 0.7 * before


def _loss(adapter: Adapter) -> float:
    """Token loss of one step on the task, without moving anything."""
    parts = adapter._parts(5)
    assert parts is not None
    train_step(parts)  # learning rates are 0
    return (parts.sums[Sum.TOKEN_LOSS] / parts.sums[Sum.SAMPLES]).item()


def test_an_evaluation_goes_through_every_task_and_leaves_the_model(arc1_file: Path) -> None:
    model, dataset, recipe = trained(arc1_file)
    adapter = Adapter(model, dataset, recipe, 0, "rows")
    words = (Predictor(model), dataset, recipe, "val", "full", 4, "raw")
    plain = evaluate(*words).row  # type: ignore[arg-type]
    adapted = evaluate(*words, by_lane=adapter.outcomes).row  # type: ignore[arg-type]
    assert adapter.tasks == plain["tasks"] == 6
    for name, value in plain["metrics"].items():
        assert adapted["metrics"][name] == pytest.approx(value), name  # no step: nothing may differ
    rows = model.rows.table.clone()
    again = Adapter(model, dataset, recipe, 20, "all")
    changed = evaluate(*words, by_lane=again.outcomes).row  # type: ignore[arg-type]
    assert changed["loss"] != plain["loss"]
    assert torch.equal(model.rows.table, rows)
    assert again.seconds > 0


def test_rows_without_rows_is_refused(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ["identity.kind=none", "identity.place=prefix"])
    dataset = load_dataset(arc1_file, parts.recipe.data)
    with pytest.raises(UserError, match="no identity rows"):
        Adapter(parts.model, dataset, parts.recipe, 1, "rows")

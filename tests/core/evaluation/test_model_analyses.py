"""Sharpness, latency and ablation of a small model: repeatable, put back as it was, and with the effects they claim."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from hrm_core.errors import UserError
from hrm_core.evaluation.ablation import ABLATIONS, ablate
from hrm_core.evaluation.evaluate import chosen_pairs, evaluate
from hrm_core.evaluation.latency import measure_latency
from hrm_core.evaluation.sharpness import disturbed, disturbed_parameters, measure_sharpness, normal
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import Predictor
from hrm_core.recipe.lay import build_recipe

OVERRIDES = [
    "model.hidden=32", "model.heads=1", "model.h_layers=1", "model.l_layers=1", "halting.max_segments=3",
    "data.canvases=10", "evaluation.views=1",
]  # fmt: skip
RECIPE = build_recipe("EXP-00", OVERRIDES).recipe


@pytest.fixture
def dataset(make: Any) -> Any:
    draw = random.Random(1)

    def pair() -> Any:
        rows = [[draw.randrange(10) for _ in range(3)] for _ in range(3)]
        return rows, rows[::-1]

    return make([(f"t{number}", [pair(), pair()], [pair()]) for number in range(8)])


@pytest.fixture
def model(dataset: Any) -> HRM:
    torch.manual_seed(0)
    made = HRM(RECIPE, len(dataset.tasks))
    made.rows.table[:-1].normal_()
    return made


def state(model: HRM) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_normal_draws_are_normal_and_the_same_each_time() -> None:
    draws = normal(torch.Size([100_000]), 0, 3, 1)
    assert abs(float(draws.mean())) < 0.02 and abs(float(draws.std()) - 1.0) < 0.02
    assert torch.equal(draws, normal(torch.Size([100_000]), 0, 3, 1))
    assert not torch.equal(draws, normal(torch.Size([100_000]), 0, 3, 2))


def test_a_disturbance_is_relative_to_each_tensor_and_is_taken_back(model: HRM) -> None:
    before = state(model)
    with disturbed(model, 0.1, 0, 0):
        for name, parameter in model.named_parameters():
            moved = float((parameter.detach() - before[name]).norm())
            left = name in ("embeddings.dihedral", "embeddings.color")
            assert moved == pytest.approx(0.0 if left else 0.1 * float(before[name].norm()), rel=1e-4, abs=1e-7)
        assert torch.equal(model.rows.table, before["rows.table"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(model).items())
    assert not any("rows" in name for name in disturbed_parameters(model))


def test_sharpness_is_repeatable_and_grows_with_the_radius(model: HRM, dataset: Any) -> None:
    found = measure_sharpness(model, dataset, 8, radii=(1e-6, 0.3), draws=2)
    assert found == measure_sharpness(model, dataset, 8, radii=(1e-6, 0.3), draws=2)
    small, large = found["radii"]
    assert abs(small["mean_rise"]) < 1e-3 < abs(large["largest_rise"])
    assert large["largest_rise"] >= large["mean_rise"]
    assert found["pairs"] == 16 and "identity" in found["left_out"]


def test_latency_counts_what_the_model_holds(model: HRM, dataset: Any) -> None:
    lanes, _ = chosen_pairs(dataset, RECIPE, "val", "full")
    found = measure_latency(model, lanes, timed=3)
    assert found["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert found["parameter_bytes"] == 4 * found["parameters"]
    assert (found["identity_rows"], found["identity_bytes"]) == (8, 8 * 32 * 4)
    assert set(found["canvases"]) == {"10"} and found["canvases"]["10"]["tests"] == 4
    assert 0 < found["canvases"]["10"]["median_s"] <= found["canvases"]["10"]["slowest_s"]
    assert found["mean_s"] == pytest.approx(found["canvases"]["10"]["median_s"])


def row(model: HRM, dataset: Any, recipe: Any) -> dict[str, Any]:
    model.recipe = recipe
    return evaluate(Predictor(model), dataset, recipe, "val", "full", 1, "raw").row


def test_each_part_is_switched_off(model: HRM, dataset: Any) -> None:
    assert row(model, dataset, RECIPE)["identity_sensitivity"] > 0
    recipe = ablate(["identity", "halting", "segments"], model, RECIPE)
    assert recipe.halting.max_segments == 1
    without = row(model, dataset, recipe)
    assert without["identity_sensitivity"] == 0.0
    assert without["halting"] == {"histogram": [0], "never": 1.0}
    assert not model.embeddings.color.any() and not model.rows.table.any()


def test_objects_are_exchanged_and_the_graph_adapter_is_not_missed(dataset: Any) -> None:
    whole = build_recipe("EXP-06", OVERRIDES).recipe
    torch.manual_seed(0)
    model = HRM(whole, len(dataset.tasks))
    before = row(model, dataset, whole)
    after = row(model, dataset, ablate(["object_graph"], model, whole))
    assert model.object_graph is not None and not any(part.any() for part in model.object_graph.parameters())
    assert after["loss"] == before["loss"]  # evaluation shows grids only
    with pytest.raises(UserError, match="object_features: this model has none"):
        ablate(["object_features"], model, whole)
    featured = build_recipe("EXP-06b", OVERRIDES).recipe
    other = HRM(featured, len(dataset.tasks))
    own = row(other, dataset, featured)["loss"]
    assert row(other, dataset, ablate(["object_features"], other, featured))["loss"] != own


def test_parts_that_are_not_there_are_refused_by_name(model: HRM) -> None:
    with pytest.raises(UserError, match=f"wings: no such part; there are {', '.join(ABLATIONS)}"):
        ablate(["identity", "wings"], model, RECIPE)
    assert model.rows.table.any()  # nothing was switched off
    nameless = build_recipe("EXP-00", [*OVERRIDES, "identity.kind=none"]).recipe
    with pytest.raises(UserError, match="has none"):
        ablate(["identity"], model, nameless)
    with pytest.raises(UserError, match="no colour code"):
        ablate(["colors"], model, nameless)

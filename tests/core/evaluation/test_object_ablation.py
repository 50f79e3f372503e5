"""The object parts switched off: the adapter leaves evaluation as it was, shuffled objects are those of another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrm_core.errors import UserError
from hrm_core.evaluation.ablation import ablate
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import run_segments
from hrm_core.model.objects import ObjectFeatures
from hrm_core.model.types import Identity
from hrm_core.recipe.lay import build_recipe

SIDE, COUNT = 6, 5


def model(*overrides: str) -> HRM:
    lines = ["model.hidden=32", "model.heads=1", "model.h_layers=1", "model.l_layers=1", *overrides]
    return HRM(build_recipe("EXP-00", lines).recipe, 3)


def tokens() -> torch.Tensor:
    generator = np.random.default_rng(0)
    return torch.from_numpy(generator.choice([2, 2, 5, 7], (COUNT, SIDE * SIDE)).astype(np.int32))


def loss(of: HRM) -> torch.Tensor:
    zeros = torch.zeros(COUNT, dtype=torch.int64)
    identity = Identity(zeros, zeros, torch.arange(10).repeat(COUNT, 1), zeros)
    found = run_segments(of, tokens(), identity, SIDE, 1, tokens()).loss
    assert found is not None
    return found


def test_shuffled_objects_are_those_of_another_sample() -> None:
    features = model("input.object_features=true")
    module, own = features.object_features, loss(features)
    assert isinstance(module, ObjectFeatures)
    values = module.of_tokens(tokens(), SIDE)
    ablate(["object_features"], features, features.recipe)
    others = module.of_tokens(tokens(), SIDE)
    assert sorted(others.tolist()) == sorted(values.tolist())
    assert all(not torch.equal(mine, other) for mine, other in zip(values, others, strict=True))
    assert torch.equal(others, module.of_tokens(tokens(), SIDE)), "the same each time"
    assert bool((loss(features) != own).all())


def test_the_adapter_of_graphs_is_not_used_at_evaluation() -> None:
    graph = model("techniques.object_graph=on")
    own = loss(graph)
    ablate(["object_graph"], graph, graph.recipe)
    assert graph.object_graph is not None
    assert all(not parameter.any() for parameter in graph.object_graph.parameters())
    assert torch.equal(loss(graph), own)


@pytest.mark.parametrize("part", ["object_graph", "object_features"])
def test_what_a_model_has_not_cannot_be_switched_off(part: str) -> None:
    plain = model()
    with pytest.raises(UserError, match=f"--ablate {part}: this model has no"):
        ablate([part], plain, plain.recipe)

"""Nodes, edges and features against a few lines of plain loops; the adapters against their formulas."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from technique_bench import tiny_parts

from hrm_core.data.grids import OUTSIDE
from hrm_core.data.object_maps import object_maps
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import embed_input, run_segments
from hrm_core.model.objects import (
    ObjectFeatures,
    ObjectGraph,
    first_cells,
    graph_nodes,
    scaled_features,
    touching_objects,
)
from hrm_core.model.types import Identity
from hrm_core.recipe.lay import build_recipe
from hrm_core.training.step import admit

SIDE = 6


def fields(seed: int, count: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    made = np.full((count, SIDE, SIDE), OUTSIDE, np.uint8)
    made[:, :5, :4] = generator.choice([0, 0, 3, 5], (count, 5, 4))
    made[0] = 0  # a grid without objects
    return made


def tokens_of(grids: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.where(grids == OUTSIDE, 0, grids + 2).astype(np.int32)).flatten(1)


@pytest.mark.parametrize("neighbors", [4, 8])
def test_nodes_and_edges_are_those_of_plain_loops(neighbors: int) -> None:
    grids = fields(1, 12)
    labels = object_maps(grids, neighbors).labels
    most = int(labels.max()) + 2  # some nodes nobody has
    nodes = graph_nodes(torch.from_numpy(labels).flatten(1), tokens_of(grids), most, SIDE, neighbors)
    assert not nodes.features[0].any() and (nodes.first[0] == SIDE * SIDE).all()
    for sample, (grid, numbers) in enumerate(zip(grids, labels, strict=True)):
        for number in range(1, most + 1):
            cells = np.argwhere(numbers == number)
            found = nodes.features[sample, number - 1]
            if not len(cells):
                assert not found.any() and not nodes.touching[sample, number - 1].any()
                continue
            color = int(grid[tuple(cells[0])])
            height, width = cells.max(0) - cells.min(0) + 1
            area, center = math.log(len(cells) + 1) / math.log(901), (2 * cells.mean(0) + 1) / SIDE - 1
            expected = [*np.eye(10)[color], area, *center, height / 30, width / 30]
            torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
            assert nodes.first[sample, number - 1] == cells[0][0] * SIDE + cells[0][1]
            for other in range(1, most + 1):
                near = [
                    np.abs(a - b).sum() == 1 if neighbors == 4 else np.abs(a - b).max() == 1
                    for a in cells
                    for b in np.argwhere(numbers == other)
                ]
                assert bool(nodes.touching[sample, number - 1, other - 1]) == (other != number and any(near))


def test_the_adapter_adds_node_and_mean_of_neighbours_on_first_cells_only() -> None:
    grids = fields(2, 4)
    labels = torch.from_numpy(object_maps(grids).labels).flatten(1)
    most, prefix, hidden = int(labels.max()) + 1, 2, 8
    adapter = ObjectGraph(hidden, torch.Generator().manual_seed(0))
    nodes = graph_nodes(labels, tokens_of(grids), most, SIDE, 8)
    embedded = torch.randn(4, prefix + SIDE * SIDE, hidden, requires_grad=True)
    result = adapter(embedded, nodes, prefix)
    expected = embedded.detach().clone()
    for sample in range(4):
        for node in range(most):
            if nodes.first[sample, node] == SIDE * SIDE:
                continue
            touching = nodes.touching[sample, node] > 0
            around = nodes.features[sample][touching] @ adapter.neighbor.T
            vector = adapter.node @ nodes.features[sample, node] + (around.mean(0) if len(around) else 0)
            expected[sample, prefix + nodes.first[sample, node]] += vector.detach() * math.sqrt(hidden)
    torch.testing.assert_close(result, expected)
    result.square().sum().backward()
    assert adapter.node.grad is not None and adapter.neighbor.grad is not None
    assert adapter.node.grad.abs().sum() > 0 and adapter.neighbor.grad.abs().sum() > 0


def test_first_cells_and_touching_of_a_drawn_example() -> None:
    labels = torch.tensor([[[1, 1, 0], [0, 2, 0], [3, 0, 2]]]).flatten(1)
    assert first_cells(labels, 4).tolist() == [[0, 4, 6, 9]]
    four, eight = (touching_objects(labels, 3, 3, neighbors)[0].tolist() for neighbors in (4, 8))
    assert four == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert eight == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_features_are_scaled_as_they_say() -> None:
    values = torch.tensor([[8, 2, 4, 1, 0, 3, 1], [0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0]], dtype=torch.int16)
    scaled = scaled_features(values)
    logs = math.log(9) / math.log(901), math.log(2) / math.log(901)
    torch.testing.assert_close(scaled[0], torch.tensor([logs[0], 2 / 30, 4 / 30, 0.5, -0.75, 0.25, 1.0]))
    assert not scaled[1].any()
    torch.testing.assert_close(scaled[2], torch.tensor([logs[1], 1 / 30, 1 / 30, 0.0, 0.0, 1.0, 0.0]))


def identity(count: int) -> Identity:
    zeros = torch.zeros(count, dtype=torch.int64)
    return Identity(zeros, zeros, torch.arange(10).repeat(count, 1), zeros)


def small(*overrides: str) -> HRM:
    lines = ["model.hidden=32", "model.heads=1", "model.h_layers=1", "model.l_layers=1", *overrides]
    return HRM(build_recipe("EXP-00", lines).recipe, 3)


def test_neither_changes_what_else_the_model_is_drawn_as() -> None:
    plain = small().state_dict()
    for line in ("input.object_features=true", "techniques.object_graph=on"):
        other = small(line).state_dict()
        assert other.keys() > plain.keys()
        assert all(torch.equal(other[name], value) for name, value in plain.items())


def test_evaluation_adds_features_from_the_tokens_alone() -> None:
    model, grids = small("input.object_features=true"), fields(3, 5)
    tokens, rows = tokens_of(grids), torch.zeros(5, 32)
    plain = model.embeddings(tokens, identity(5), rows, model.dtype)
    added = embed_input(model, tokens, identity(5), rows, SIDE) - plain
    module = model.object_features
    assert isinstance(module, ObjectFeatures)
    values = torch.from_numpy(object_maps(grids).features).flatten(1, 2)
    expected = scaled_features(values) @ module.weight.T * math.sqrt(32)
    torch.testing.assert_close(added[:, 1:], expected, atol=1e-5, rtol=1e-5)
    assert not added[:, 0].any()
    told, untold = (run_segments(one, tokens, identity(5), SIDE, 1, tokens).loss for one in (model, small()))
    assert told is not None and untold is not None
    assert (told != untold).tolist() == [False, True, True, True, True], "the first has no objects"


def test_in_training_as_in_evaluation(arc1_file: Path) -> None:
    """The embedding of the step, from maps laid with the grids, is that of inference, from the tokens alone."""
    lines = [
        "input.object_features=true",
        "augment.dihedral=true",
        "augment.color_probability=0.5",
        "augment.translate=0.7",
        "training.batch=30",
    ]
    parts = tiny_parts(arc1_file, lines)
    for lane in parts.lanes:
        admit(lane, parts.recipe, parts.techniques)
        assert len(lane["dihedral"].unique()) > 4
        rows = torch.zeros(lane.num_slots, 64)
        plain = parts.model.embeddings(lane["tokens"], lane.identity(), rows, parts.model.dtype)
        trained = parts.techniques.embedded(lane, slice(None), plain)
        evaluated = embed_input(parts.model, lane["tokens"], lane.identity(), rows, lane.side)
        assert torch.equal(trained, evaluated) and not torch.equal(trained, plain)

"""What slots that were drawn to see a graph see: colours on objects' first cells, PAD elsewhere, the same labels."""

from __future__ import annotations

from pathlib import Path

import torch
from technique_bench import run_steps, tiny_parts

from hrm_core.data.object_maps import object_maps, token_fields
from hrm_core.techniques.object_graph import node_tokens
from hrm_core.training.step import StepParts, admit
from triton_kernels.lay import FIRST_COLOR

LINES = ("training.batch=60", "augment.dihedral=true", "augment.color_probability=0.5", "augment.translate=0.7")


def admitted(arc1_file: Path, *overrides: str) -> StepParts:
    parts = tiny_parts(arc1_file, [*LINES, *overrides])
    for lane in parts.lanes:
        admit(lane, parts.recipe, parts.techniques)
    return parts


def test_nodes_keep_their_colour_and_all_else_is_pad() -> None:
    tokens = torch.tensor([[2, 5, 5, 2, 7, 5, 1, 1, 0]], dtype=torch.int32)
    labels = torch.tensor([[0, 1, 1, 0, 2, 1, 0, 0, 0]], dtype=torch.int16)
    assert node_tokens(tokens, labels, 3).tolist() == [[0, 5, 0, 0, 7, 0, 0, 0, 0]]


def test_a_share_of_the_slots_sees_the_graph_of_its_own_grid(arc1_file: Path) -> None:
    plain = admitted(arc1_file)
    parts = admitted(arc1_file, "techniques.object_graph.share=0.5")
    shown_slots = 0
    for lane, other in zip(parts.lanes, plain.lanes, strict=True):
        shown = lane["object_graph_shown"]
        shown_slots += int(shown.sum())
        assert torch.equal(lane["labels"], other["labels"]), "labels stay"
        assert torch.equal(lane["tokens"][~shown], other["tokens"][~shown])
        again = torch.from_numpy(object_maps(token_fields(other["tokens"], lane.side)).labels).flatten(1)
        nodes = node_tokens(other["tokens"], again, int(again.max()))
        assert torch.equal(lane["tokens"][shown], nodes[shown])
        assert bool((lane["tokens"][shown] >= FIRST_COLOR).any())
    assert 18 <= shown_slots <= 42


def test_only_slots_that_see_the_graph_get_the_adapter(arc1_file: Path) -> None:
    parts = admitted(arc1_file, "techniques.object_graph.share=0.5")
    for lane in parts.lanes:
        shown = lane["object_graph_shown"]
        embedded = torch.randn(lane.num_slots, 1 + lane.side**2, 64)
        seen = parts.techniques.embedded(lane, slice(None), embedded)
        changed = (seen != embedded).any(-1)
        assert not changed[~shown].any() and not changed[:, 0].any()
        assert torch.equal(changed[shown][:, 1:], lane["tokens"][shown] >= FIRST_COLOR)


def test_the_view_of_a_slot_stays_until_it_halts(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ["techniques.object_graph.share=0.5"])
    run_steps(parts, 3)
    for _ in range(4):
        before = [
            (lane["object_graph_shown"].clone(), lane["tokens"].clone(), lane["halted"].clone()) for lane in parts.lanes
        ]
        run_steps(parts, 1)
        for lane, (shown, tokens, halted) in zip(parts.lanes, before, strict=True):
            assert torch.equal(lane["object_graph_shown"][~halted], shown[~halted])
            assert torch.equal(lane["tokens"][~halted], tokens[~halted])


def test_few_objects_are_kept_where_few_are_wanted(arc1_file: Path) -> None:
    parts = admitted(arc1_file, "techniques.object_graph.share=1", "techniques.object_graph.max_objects=2")
    for lane in parts.lanes:
        assert int((lane["tokens"] >= FIRST_COLOR).sum(1).max()) == 2

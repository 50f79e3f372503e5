"""The head for rule descriptors: labels under turning against grids that are turned, the loss against a formula, rows
that are not shown, scores on held-out pairs against made-up heads, and predictions that do not depend on the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from technique_bench import run_steps, tiny_parts
from torch.nn import functional

from hrm_core.data.dataset import load_dataset
from hrm_core.data.descriptors import SYMMETRIES, describe_task
from hrm_core.data.grids import Pair, Task, turn_grid
from hrm_core.data.rule_labels import RULE_CLASSES, rule_labels, turned_symmetries
from hrm_core.data.sources.recipes import read_source
from hrm_core.errors import UserError
from hrm_core.evaluation.ablation import ablate
from hrm_core.evaluation.evaluate import evaluate
from hrm_core.evaluation.rule_head import majority_classes, read_without_row, rule_head_row, score_descriptors
from hrm_core.model.inference import Predictor
from hrm_core.model.types import Identity
from hrm_core.techniques.rule_head import RuleDescriptors, descriptor_losses
from hrm_core.training.step import StepParts, admit

ON = ("techniques.rule_head=on",)
TURNS = ("augment.dihedral=true",)


def unwatched(rows: int) -> None:
    """Nobody watches."""


def descriptors_of(parts: StepParts) -> RuleDescriptors:
    """The technique behind the plug."""
    (plug,) = (plug for plug in parts.techniques.plugs if plug.name == "rule_head")
    owner: Any = plug.loss
    assert isinstance(owner.__self__, RuleDescriptors)
    return owner.__self__


def turned_task(task: Task, turn: int) -> Task:
    def pairs(several: tuple[Pair, ...]) -> tuple[Pair, ...]:
        return tuple(Pair(turn_grid(pair.input, turn), turn_grid(pair.target, turn)) for pair in several)

    return Task(task.id, task.source, task.evaluation, pairs(task.demonstrations), pairs(task.tests))


@pytest.mark.parametrize("kind", range(len(SYMMETRIES)))
def test_the_class_of_symmetry_follows_the_grid(kind: int) -> None:
    """Random grids made symmetric by taking the largest of all their images under the group."""
    grid = np.random.default_rng(kind).integers(0, 10, (5, 5), dtype=np.uint8)
    made = np.max([turn_grid(grid, element) for element in SYMMETRIES[kind][1]], axis=0)
    task = Task("t", "s", False, (Pair(made, made),), ())
    assert describe_task(task)["symmetry"] == kind
    table = turned_symmetries()
    assert table.shape == (8, 10)
    for turn in range(8):
        assert describe_task(turned_task(task, turn))["symmetry"] == table[turn, kind]


def test_of_real_tasks_only_symmetry_depends_on_the_turn() -> None:
    table = turned_symmetries()
    for task in read_source("arc1").tasks[:60:6]:
        plain = describe_task(task)
        for turn in (1, 4, 6):
            turned = describe_task(turned_task(task, turn))
            assert turned["symmetry"] == table[turn, plain["symmetry"]]
            assert all(turned[name] == plain[name] for name in list(RULE_CLASSES)[1:])


def test_the_last_class_is_so_many_or_more() -> None:
    columns = {"symmetry": [9, 0], "translation": [1, 0], "objects_changed": [4, 77], "recolored": [3, 9]}
    labels = rule_labels({name: torch.tensor(values) for name, values in columns.items()})
    assert labels.tolist() == [[9, 1, 4, 3], [0, 0, 4, 3]]


def test_the_loss_is_the_mean_of_four_cross_entropies(arc1_file: Path) -> None:
    logits = torch.randn(6, sum(RULE_CLASSES.values()), requires_grad=True)
    labels = torch.stack([torch.randint(0, count, (6,)) for count in RULE_CLASSES.values()], dim=1)
    found = descriptor_losses(logits, labels)
    start = 0
    for place, count in enumerate(RULE_CLASSES.values()):
        wanted = functional.cross_entropy(logits[:, start : start + count], labels[:, place], reduction="none")
        torch.testing.assert_close(found[:, place], wanted)
        start += count
    seen: list[torch.Tensor] = []
    parts = tiny_parts(arc1_file, ON)
    technique, loss = descriptors_of(parts), parts.techniques.loss

    def spy(view: Any) -> Any:
        added = loss(view)
        losses = descriptor_losses(technique.logits(view.carry.high), technique.labels_of(view.lane, view.piece))
        torch.testing.assert_close(added, 0.1 * losses.mean(1))
        seen.append(losses.detach().mean(1))
        return added

    parts.techniques.loss = spy  # type: ignore[method-assign]
    run_steps(parts, 3)
    row: dict[str, Any] = {}
    technique.row(row)
    assert row["rule_head_loss"] == pytest.approx(float(torch.cat(seen).mean()), rel=1e-5)
    assert 0.0 <= row["rule_head_symmetry"] <= 1.0
    technique.row(row)
    assert row["rule_head_loss"] is None


def test_labels_are_those_of_the_turned_sample(arc1_file: Path) -> None:
    """By turning the demonstrations of the task that a slot holds as the slot's sample is turned."""
    parts = tiny_parts(arc1_file, (*ON, *TURNS))
    technique, (lane,) = descriptors_of(parts), parts.lanes
    by_id = {task.id: task for task in read_source("arc1").tasks}
    ids = load_dataset(arc1_file, parts.recipe.data).tasks.ids
    seen = set()
    for _ in range(4):
        with torch.no_grad():
            admit(lane, parts.recipe, parts.techniques)
        labels = technique.labels_of(lane, slice(None))
        for slot in range(lane.num_slots):
            turn = int(lane["dihedral"][slot])
            seen.add(turn)
            found = describe_task(turned_task(by_id[ids[int(lane["task"][slot])]], turn))
            wanted = rule_labels({name: torch.tensor([found[name]]) for name in RULE_CLASSES})
            assert torch.equal(labels[slot], wanted[0])
    assert len(seen) > 2


def test_rows_are_blank_on_the_share_and_learn_nothing_there(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ("techniques.rule_head.blank_rows=0.5", "training.batch=64"))
    run_steps(parts, 2)
    technique, (lane,) = descriptors_of(parts), parts.lanes
    blank = technique.blank(lane, slice(None))
    assert 0.25 < float(blank.float().mean()) < 0.75
    rows = torch.ones(lane.num_slots, 4)
    assert technique.rows(lane, slice(None), rows).equal((~blank).float()[:, None].expand(-1, 4))
    assert (lane.row_gradients[blank] == 0).all()
    assert (lane.row_gradients[~blank].abs().sum(1) > 0).all()
    # One draw for the whole of a sample: who has not halted is as before.
    held = ~lane["halted"]
    run_steps(parts, 1, start=2)
    assert torch.equal(technique.blank(lane, slice(None))[held], blank[held])
    assert not torch.equal(technique.blank(lane, slice(None)), blank) or bool(held.all())
    assert technique.blank(lane, slice(8, 24)).equal(technique.blank(lane, slice(None))[8:24])


@pytest.mark.parametrize("read", ["mean", "prefix"])
def test_what_the_head_reads(read: str, arc1_file: Path) -> None:
    head = tiny_parts(arc1_file, (f"techniques.rule_head.read={read}",)).model.rule_head
    assert head is not None
    high = torch.randn(2, 50, 64)
    other = high.clone()
    other[:, 0 if read == "mean" else 7] += 1.0
    assert torch.equal(head(high), head(other))
    other[:, 7 if read == "mean" else 0] += 1.0
    assert not torch.equal(head(high), head(other))


def test_scores_of_made_up_heads(arc1_file: Path) -> None:
    """A head that knows the task is all right, one that says the commonest class is as good as that, exactly."""
    parts = tiny_parts(arc1_file, ON)
    dataset = load_dataset(arc1_file, parts.recipe.data)
    labels, counts = rule_labels(dataset.tasks.descriptors), list(RULE_CLASSES.values())
    majority = torch.tensor(majority_classes(dataset))

    def logits(classes: torch.Tensor) -> torch.Tensor:
        return torch.cat([functional.one_hot(classes[:, place], count) for place, count in enumerate(counts)], dim=1)

    def score(reads: Any) -> dict[str, dict[str, float]]:
        return score_descriptors(reads, dataset, parts.recipe, "val", torch.device("cpu"), unwatched)

    knows = score(lambda tokens, identity, side: logits(labels[identity.task]).float())
    commonest = score(lambda tokens, identity, side: logits(majority.expand(len(tokens), -1)).float())
    for place, name in enumerate(RULE_CLASSES):
        shares = torch.bincount(labels[:, place]).float() / len(labels)
        assert int(majority[place]) == int(shares.argmax())
        held_out = torch.cat([labels[pairs.task, place] for pairs in dataset.val.values()])
        assert knows[name]["accuracy"] == 1.0
        assert commonest[name]["accuracy"] == commonest[name]["majority"]
        assert commonest[name]["majority"] == pytest.approx(float((held_out == majority[place]).float().mean()))


def test_the_score_does_not_see_the_row_and_leaves_others_without_one(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ON)
    run_steps(parts, 4)
    model, (lane,) = parts.model, parts.lanes
    before = read_without_row(model, lane["tokens"], lane.identity(), lane.side)
    model.rows.table.add_(torch.randn_like(model.rows.table))
    assert torch.equal(read_without_row(model, lane["tokens"], lane.identity(), lane.side), before)
    identity = lane.identity()
    other = Identity(identity.task.flip(0), identity.dihedral, identity.colors, identity.augmentation)
    assert torch.equal(read_without_row(model, lane["tokens"], other, lane.side), before)
    dataset = load_dataset(arc1_file, parts.recipe.data)
    row = rule_head_row(model, dataset, "val", unwatched)["rule_head"]
    assert set(row) == set(RULE_CLASSES)
    assert all(0.0 <= value <= 1.0 for scores in row.values() for value in scores.values())
    assert rule_head_row(tiny_parts(arc1_file).model, dataset, "val", unwatched) == {}


def test_predictions_do_not_depend_on_the_head(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, (*ON, "data.validate_limit=16", "evaluation.views=1"))
    run_steps(parts, 6)
    dataset = load_dataset(arc1_file, parts.recipe.data)

    def predictions() -> Any:
        found = evaluate(Predictor(parts.model), dataset, parts.recipe, "val", "full", 6, "raw")
        return found.predictions, found.row["metrics"], found.row["loss"]

    before = predictions()
    assert ablate(["rule_head"], parts.model, parts.recipe) == parts.recipe
    head = parts.model.rule_head
    assert head is not None
    assert all((parameter == 0).all() for parameter in head.parameters())
    assert predictions() == before
    plain = tiny_parts(arc1_file)
    with pytest.raises(UserError, match="this model has none"):
        ablate(["rule_head"], plain.model, plain.recipe)

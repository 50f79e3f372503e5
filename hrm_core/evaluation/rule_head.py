"""What the head for rule descriptors knows of held-out pairs when it is not told the task (EXP-08).

Evaluation room: a model, a data set and a split -> {descriptor: {accuracy, majority}}. Every pair once as published,
with a blank task row: a row could have memorised its task's labels, and then 100 % would mean nothing. `majority` is
what always saying the training tasks' commonest class gets on the same pairs. Tests of a task share its labels, which
come from demonstrations. Predictions of grids never use this head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from hrm_core.data.dataset import Dataset
from hrm_core.data.rule_labels import RULE_CLASSES, rule_labels
from hrm_core.evaluation.evaluate import chosen_pairs
from hrm_core.evaluation.targets import as_published
from hrm_core.model.heads import predicted_classes
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import embed_input
from hrm_core.model.segment import reasoning_segment
from hrm_core.model.types import Identity
from hrm_core.recipe.schema import Recipe
from triton_kernels.lay import lay

# tokens (B, side * side) int32, identity, side -> (B, 21) logits of the descriptors.
Reads = Callable[[Tensor, Identity, int], Tensor]


@torch.no_grad()
def read_without_row(model: HRM, tokens_BT: Tensor, identity: Identity, side: int) -> Tensor:
    """The head's logits after all segments, with the task row blank; the view is told as ever."""
    assert model.rule_head is not None
    recipe, weights = model.recipe, model.cast()
    blank = torch.zeros(len(tokens_BT), recipe.model.hidden, device=model.device)
    embedded = embed_input(model, tokens_BT, identity, blank, side)
    carry = model.start_carry(embedded)
    for _ in range(recipe.halting.max_segments):
        carry = reasoning_segment(weights, carry, embedded, model.rotary(side), recipe.model)
    logits: Tensor = model.rule_head(carry.high)
    return logits


def majority_classes(dataset: Dataset) -> list[int]:
    """Of each descriptor, the commonest class of the tasks that are trained on; the smallest of equals."""
    trained = sorted({task for pairs in dataset.train.values() for task in pairs.task.tolist()})
    labels = rule_labels(dataset.tasks.descriptors)[trained]
    counts = [torch.bincount(labels[:, place], minlength=count) for place, count in enumerate(RULE_CLASSES.values())]
    return [int(count.argmax()) for count in counts]


def score_descriptors(
    reads: Reads,
    dataset: Dataset,
    recipe: Recipe,
    split: Literal["val", "eval"],
    device: torch.device,
    on_rows: Callable[[int], None],
    batch: int | None = None,
) -> dict[str, dict[str, float]]:
    """The pairs of a full evaluation, each descriptor: share right, and share right of the majority class. `batch`
    pairs at once (default: the recipe's)."""
    batch = batch or recipe.evaluation.batch
    lanes, _ = chosen_pairs(dataset, recipe, split, "full")
    table, majority = rule_labels(dataset.tasks.descriptors), torch.tensor(majority_classes(dataset))
    right, trivial, count = torch.zeros(len(RULE_CLASSES)), torch.zeros(len(RULE_CLASSES)), 0
    for pairs in lanes.values():
        moved, view = pairs.to(device), as_published(pairs.to(device))
        for rows in torch.arange(pairs.num_pairs, device=device).chunk(-(-pairs.num_pairs // batch)):
            identity = Identity(view.task[rows], view.dihedral[rows], view.colors[rows], view.augmentation[rows])
            change = (view.dihedral[rows], view.colors[rows], view.offset[rows])
            tokens, _ = lay(moved.input, moved.target, moved.sizes, view.index[rows], *change)
            said = predicted_classes(reads(tokens, identity, pairs.side)).cpu()
            labels = table[pairs.task[rows.cpu()]]
            right += (said == labels).sum(0)
            trivial += (labels == majority).sum(0)
            count += len(rows)
            on_rows(len(rows))
    return {
        name: {"accuracy": float(right[place]) / count, "majority": float(trivial[place]) / count}
        for place, name in enumerate(RULE_CLASSES)
    }


def rule_head_row(
    model: HRM,
    dataset: Dataset,
    split: Literal["val", "eval"],
    on_rows: Callable[[int], None],
    batch: int | None = None,
) -> dict[str, Any]:
    """The entry `rule_head` of an evaluation row; nothing where the model has no such head."""
    if model.rule_head is None:
        return {}

    def reads(tokens: Tensor, identity: Identity, side: int) -> Tensor:
        return read_without_row(model, tokens, identity, side)

    return {"rule_head": score_descriptors(reads, dataset, model.recipe, split, model.device, on_rows, batch)}

"""The first weights of a run, taken from a snapshot: `hrm run --from`.

Training room: snapshot folder -> the tensors of a new model, before anything else has looked at them, and sentences for
the log. Its evaluation weights are taken, not the raw ones: they are what its numbers were measured with, so the new
run begins where those say. Nothing else is: step, schedule, optimizers, averages and slots begin anew.
Identity rows go by the tasks' ids; a task that the snapshot did not know begins with a fresh row. With a row for each
augmentation, all are taken only where the same augmentation has the same number (equal tasks, seed and `augment`), else
that of the unvaried task. Parts that only one of the two models has (a technique's) begin anew or are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from hrm_core.errors import UserError
from hrm_core.model.hrm import HRM
from hrm_core.recipe.fitting import meaning_apart, refuse_unfit
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.values import show_value
from hrm_core.runs.archive_changes import described
from hrm_core.runs.files import mapping, string
from hrm_core.runs.snapshots import read_whole_meta, refuse_newer_snapshot, verify_folder
from hrm_core.runs.text import clean
from hrm_core.training.checkpoint import EVALUATION, load_tensors
from hrm_core.training.snapshot_files import read_recipe, read_task_ids

ROWS = "rows.table"
# Parts of the model that a setting adds: nothing of the trunk depends on their being there.
ADDED = ("object_graph.", "object_features.", "rule_head.", "embeddings.dihedral", "embeddings.color")


@final
@dataclass(frozen=True)
class Source:
    """A snapshot that a run begins from. `parent` is what run.json says of it."""

    path: Path
    recipe: Recipe
    task_ids: tuple[str, ...]
    tensors: dict[str, Tensor]
    parent: dict[str, Any]

    @property
    def name(self) -> str:
        """How it is called in sentences."""
        return f"{self.parent['run']}@{self.parent['step']}"


def read_source(path: Path) -> Source:
    """Opens a snapshot, every byte checked first. UserError (1) where it is not whole or cannot be read."""
    refuse_newer_snapshot(path)
    problems, meta = verify_folder(path), read_whole_meta(path)
    if problems or meta is None:
        what = problems[0] if problems else "meta.json is missing or damaged"
        raise UserError(f"--from {clean(path)} is no whole snapshot: {clean(what)}.", 1)
    recipe, task_ids = read_recipe(path), read_task_ids(path)
    # The run's folder may have another name by now than when the snapshot was written.
    run, step, _ = described(path)
    parent = {
        "run": run,
        "step": step,
        "snapshot": str(path.resolve()),
        "weights": string(meta, "evaluation_weights", 40) or "raw",
        "digest": string(mapping(mapping(meta, "files"), EVALUATION), "sha256", 64),
    }
    return Source(path, recipe, task_ids, load_tensors(path / EVALUATION), parent)


@torch.no_grad()
def start_from(source: Source, model: HRM, task_ids: Sequence[str]) -> list[str]:
    """Copies the snapshot's weights into a new model; gives sentences for the log. UserError (1) if they do not fit."""
    refuse_unfit(model.recipe, source.recipe, source.name)
    wanted, stored = model.state_dict(), source.tensors
    fresh = sorted(name for name in wanted if name != ROWS and not _fits(stored.get(name), wanted[name]))
    for name in fresh:
        if not name.startswith(ADDED):
            there = "nothing" if name not in stored else f"{tuple(stored[name].shape)}"
            raise UserError(
                f"--from {clean(source.name)}: {name} is {there} there and {tuple(wanted[name].shape)} here; "
                "begin from another snapshot.",
                1,
            )
    for name, tensor in wanted.items():
        if name != ROWS and name not in fresh:
            tensor.copy_(stored[name])
    left_out = sorted(name for name in stored if name not in wanted and name != ROWS)
    parent = source.parent
    notes = [f"weights from {source.name} ({parent['weights']}, sha256 {str(parent['digest'])[:12]}); all else is new"]
    notes += [f"begins anew, since the snapshot has none: {_parts(fresh)}"] if fresh else []
    notes += [f"left out of the snapshot: {_parts(left_out)}"] if left_out else []
    notes.append(_take_rows(source, model, tuple(task_ids)))
    apart = meaning_apart(model.recipe, source.recipe)
    if apart:
        said = ", ".join(f"{key} {show_value(pair[1])} -> {show_value(pair[0])}" for key, pair in apart.items())
        notes.append(f"settings that differ from the snapshot's: {said}")
    return notes


def _fits(stored: Tensor | None, wanted: Tensor) -> bool:
    return stored is not None and stored.shape == wanted.shape and stored.dtype == wanted.dtype


def _parts(names: Sequence[str]) -> str:
    """object_graph.node, object_graph.neighbor -> object_graph."""
    known = dict.fromkeys(next((part.rstrip(".") for part in ADDED if name.startswith(part)), name) for name in names)
    return ", ".join(known)


def _take_rows(source: Source, model: HRM, task_ids: tuple[str, ...]) -> str:
    """Copies the identity rows that mean the same task; the sentence for the log."""
    kind, before = model.recipe.identity.kind, source.recipe.identity.kind
    table, stored = model.rows.table, source.tensors.get(ROWS)
    if kind == "none":
        return "no identity rows: identity.kind is none"
    if kind != before or stored is None or stored.shape[-1] != table.shape[-1]:
        return f"identity rows begin anew: the snapshot's are of identity.kind={before}"
    old = {name: number for number, name in enumerate(source.task_ids)}
    known = [(new, old[name]) for new, name in enumerate(task_ids) if name in old]
    width, width_before = (1, 1) if kind == "shared" else (model.rows.pool, source.recipe.augment.pool)
    all_mean_the_same = kind == "shared" or _same_augmentations(source, model.recipe, task_ids)
    count = width if all_mean_the_same else 1
    for new, there in known:
        rows = stored[there * width_before : there * width_before + count]
        table[new * width : new * width + count].copy_(rows)
    words = f"identity rows: {len(known)} of {len(task_ids)} tasks from the snapshot"
    if len(known) < len(task_ids):
        words += f", {len(task_ids) - len(known)} begin anew"
    return words if all_mean_the_same else words + ", of each its unvaried form alone"


def _same_augmentations(source: Source, recipe: Recipe, task_ids: tuple[str, ...]) -> bool:
    """Whether the number of an augmentation means the same in both: it is drawn by seed, task number and settings."""
    same_draws = recipe.training.seed == source.recipe.training.seed and recipe.augment == source.recipe.augment
    return same_draws and task_ids == source.task_ids

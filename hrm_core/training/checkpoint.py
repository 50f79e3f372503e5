"""Snapshots: folders with a recipe, raw and evaluation weights, task ids and, for checkpoints, everything else.

Training room. Written whole or not at all (`hrm_core.runs.atomic`, sha256 of each file in meta.json); tensors are
safetensors, counters are JSON, so that loading runs no code. A checkpoint restores a run exactly: weights, optimizers,
averages, slots with their carry, sums, counters, gate and plan. An archive entry leaves the state out.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hrm_core.errors import UserError
from hrm_core.model.hrm import HRM
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.atomic import atomic_folder, lack_of_space, naming
from hrm_core.runs.snapshots import FORMAT, read_meta, refuse_newer_snapshot, verify_folder, write_meta
from hrm_core.runs.text import clean
from hrm_core.training.crew import Order
from hrm_core.training.progress import Progress
from hrm_core.training.setup import clear_sums, part_of, tensors_of
from hrm_core.training.snapshot_files import (
    PROGRESS,
    RECIPE,
    TASKS,
    check_size,
    read_progress,
    read_recipe,
    read_task_ids,
    recalled,
)
from hrm_core.training.step import OF_SLOTS, StepParts
from hrm_core.training.tensor_files import HostCopies, size_of, write_tensors

RAW, EVALUATION, STATE = "weights.safetensors", "evaluation.safetensors", "state.safetensors"
SPARE_BYTES = 2**20  # for meta.json, and the rows of the meantime


@final
@dataclass(frozen=True)
class Snapshot:
    """A loaded snapshot: the model holds the weights that were asked for."""

    path: Path
    recipe: Recipe
    model: HRM
    step: int
    run_id: str
    task_ids: tuple[str, ...]
    weights: str


@final
@dataclass(frozen=True)
class Taken:
    """A snapshot on the host, waiting to be written: small files and tensors by file, and what waits for the copies."""

    files: dict[str, bytes]
    tensors: dict[str, dict[str, Tensor]]
    meta: dict[str, Any]
    arrived: Callable[[], None]

    @property
    def size(self) -> int:
        """Bytes that it takes on the disk, but for meta.json."""
        return sum(map(len, self.files.values())) + sum(map(size_of, self.tensors.values()))


def take_snapshot(
    parts: StepParts,
    task_ids: tuple[str, ...],
    meta: Mapping[str, Any],
    progress: Mapping[str, Any] | None = None,
    extra: Mapping[str, bytes] | None = None,
    copies: HostCopies | None = None,
) -> Taken:
    """Copies what a snapshot holds. With `progress` it is a checkpoint and holds the whole state; `extra` files by
    name. Nothing in it changes with the parts, and nothing is written."""
    copies = copies or HostCopies()
    files = {RECIPE: to_toml(parts.recipe).encode("utf-8"), TASKS: json.dumps(task_ids).encode("ascii")}
    tensors = {RAW: copies.take(RAW, parts.model.state_dict())}
    with parts.evaluation_weights():
        tensors[EVALUATION] = copies.take(EVALUATION, parts.model.state_dict())
    if progress is not None:
        tensors[STATE] = copies.take(STATE, whole_state(parts))
        files[PROGRESS] = json.dumps({**progress, "techniques": parts.techniques.remember()}).encode("ascii")
        files |= parts.techniques.save_files()
    head = {"format": FORMAT, "evaluation_weights": parts.weights_name}
    return Taken(files | dict(extra or {}), tensors, {**head, **meta}, copies.arrived())


def whole_state(parts: StepParts) -> dict[str, Tensor]:
    """Every tensor of a run's state, with the slots of all processes that train it; they are asked to send theirs."""
    state = tensors_of(parts)
    if parts.crew is not None:
        parts.crew.tell(Order.SAVE)
        parts.crew.reduce(parts, OF_SLOTS)
        state |= parts.crew.gather(parts.lanes)
    return state


def write_snapshot(final_path: Path, taken: Taken) -> None:
    """Writes a snapshot folder. OSError where there is no room (ENOSPC, also before anything is written) or the disk
    fails; nothing half-written stays, an older folder is kept until then."""
    lack = lack_of_space(final_path.parent, taken.size + SPARE_BYTES)
    if lack:
        raise OSError(errno.ENOSPC, lack, str(final_path))
    taken.arrived()
    with naming(final_path), atomic_folder(final_path, replace=True) as folder:
        for name, data in taken.files.items():
            (folder / name).write_bytes(data)
        for name, tensors in taken.tensors.items():
            write_tensors(folder / name, tensors)
        write_meta(folder, taken.meta)


def save_snapshot(
    final_path: Path,
    parts: StepParts,
    task_ids: tuple[str, ...],
    meta: Mapping[str, Any],
    progress: Mapping[str, Any] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> None:
    """`take_snapshot` and `write_snapshot` in one."""
    write_snapshot(final_path, take_snapshot(parts, task_ids, meta, progress, extra))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file. UserError (1) if it is not readable as safetensors."""
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{clean(path)}: not readable as safetensors ({clean(error)[:200]}).", 1) from error


def load_state(folder: Path, parts: StepParts) -> dict[str, Any]:
    """Copies a checkpoint's state into the buffers of `parts`; returns its progress. UserError if it does not fit.

    The techniques recall first what they were: the lanes of a later stage are not those of a new run.
    """
    refuse_newer_snapshot(folder)
    progress = read_progress(folder)
    with recalled(folder):
        parts.techniques.recall(progress.pop("techniques", {}))
    stored, wanted = part_of(parts, load_tensors(folder / STATE)), tensors_of(parts)
    if stored.keys() != wanted.keys():
        odd = sorted(stored.keys() ^ wanted.keys())[0]
        raise UserError(f"{clean(folder)}: its state does not fit this recipe ({clean(odd)[:200]}).", 1)
    for name, tensor in wanted.items():
        if stored[name].shape != tensor.shape or stored[name].dtype != tensor.dtype:
            raise UserError(
                f"{clean(folder)}: {name} is {stored[name].dtype} {tuple(stored[name].shape)}, needs {tensor.dtype} "
                f"{tuple(tensor.shape)}.\nResume on the kind of device and data that the run began with.",
                1,
            )
    for name, tensor in wanted.items():
        tensor.copy_(stored[name])
    clear_sums(parts)
    parts.techniques.load_files(folder)
    return progress


def load_progress(folder: Path, parts: StepParts) -> Progress:
    """`load_state` for a run that goes on: the progress is looked at before anything is taken over."""
    with recalled(folder):
        Progress.from_json({name: value for name, value in read_progress(folder).items() if name != "techniques"})
    return Progress.from_json(load_state(folder, parts))


def load_snapshot(
    path: Path, weights: str = "evaluation", dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Snapshot:
    """Loads a snapshot's model with "evaluation" or "raw" weights, ready to predict.

    Every file is checked against its sha256 first. UserError where something is missing, damaged or does not fit.
    """
    refuse_newer_snapshot(path)
    problems = verify_folder(path)
    meta = read_meta(path)
    if problems or meta is None:
        what = problems[0] if problems else "meta.json is missing or damaged"
        raise UserError(f"{clean(path)} is no whole snapshot: {clean(what)}.", 1)
    recipe, task_ids = read_recipe(path), read_task_ids(path)
    check_size(path / (EVALUATION if weights == "evaluation" else RAW), recipe, len(task_ids))
    model = HRM(recipe, len(task_ids), dtype, device)
    stored = load_tensors(path / (EVALUATION if weights == "evaluation" else RAW))
    try:
        model.load_state_dict(stored)
    except RuntimeError as error:
        raise UserError(f"{clean(path)}: the weights do not fit the recipe.\n{clean(str(error))[:160]}", 1) from error
    used = str(meta.get("evaluation_weights", "raw")) if weights == "evaluation" else "raw"
    step = meta.get("step")
    return Snapshot(
        path, recipe, model, step if isinstance(step, int) else 0, str(meta.get("run_id", "")), task_ids, used
    )

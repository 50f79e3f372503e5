"""A model in one safetensors file: its weights, with recipe and task names in the file's own header. No code, no loop.

Interchange room: Snapshot -> file, and file -> HRM. For archives and for other code that brings its own model; within
this project a snapshot folder holds the same, with a sha256 of every file.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hrm_core.errors import UserError
from hrm_core.interchange.run_exported import Facts
from hrm_core.model.hrm import HRM
from hrm_core.recipe.toml_io import from_toml, to_toml
from hrm_core.runs.text import clean
from hrm_core.training.checkpoint import Snapshot, load_tensors
from hrm_core.training.snapshot_files import check_size


def write_weights(path: Path, snapshot: Snapshot, facts: Facts) -> None:
    """Writes the file. OSError or SafetensorError as the disk gives it."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in snapshot.model.state_dict().items()}
    names = json.dumps(snapshot.task_ids)
    save_file(tensors, path, {"hrm": facts.to_json(), "recipe": to_toml(snapshot.recipe), "tasks": names})


def read_weights(path: Path) -> tuple[HRM, Facts]:
    """The model on the CPU in fp32, and what the file says of itself. UserError (1) where it is none of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            said = dict(file.metadata() or {})
        facts, tasks = Facts.from_json(said["hrm"]), json.loads(said["tasks"])
        if not isinstance(tasks, list):
            raise ValueError("its task names are no list")
        recipe = from_toml(said["recipe"])
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{clean(path)} is no file of `hrm export --to safetensors` ({clean(error)[:100]})", 1
        ) from None
    check_size(path, recipe, len(tasks))
    model = HRM(recipe, len(tasks))
    try:
        model.load_state_dict(load_tensors(path))
    except RuntimeError as error:
        raise UserError(f"{clean(path)}: the weights do not fit its recipe.\n{clean(error)[:160]}", 1) from error
    return model, facts

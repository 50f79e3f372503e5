"""The small files of a snapshot folder, read within bounds: recipe, task ids, progress, and what its weights declare.

Training room. A snapshot may come from the internet, with a meta.json that fits it: whole says nothing about harmless.
folder -> values, or a UserError in a line; no size, depth or name in it decides what is allocated. Called after
`verify_folder`; the tensors themselves are loaded in `checkpoint.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from hrm_core.errors import UserError
from hrm_core.recipe.counts import rows_per_task
from hrm_core.recipe.estimate import layer_parameters
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import from_toml
from hrm_core.runs.files import read_small
from hrm_core.runs.text import clean

RECIPE, TASKS, PROGRESS = "recipe.toml", "tasks.json", "progress.json"
MAX_RECIPE_BYTES = 2**20
MAX_TASKS_BYTES = 16 * 2**20
MAX_PROGRESS_BYTES = 64 * 2**20


def _read(path: Path, limit: int) -> bytes:
    data = read_small(path, limit)
    if data is None:
        raise UserError(f"{clean(path)} is missing, no plain file, or larger than {limit >> 20} MiB.", 1)
    return data


def _json(path: Path, limit: int) -> object:
    try:
        return json.loads(_read(path, limit))
    except (ValueError, RecursionError):
        raise UserError(f"{clean(path)} is not the JSON that a snapshot has.", 1) from None


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a snapshot or run folder. UserError: not readable, no recipe, or not one of this version."""
    return from_toml(_read(folder / RECIPE, MAX_RECIPE_BYTES).decode("utf-8", "replace"))


def read_task_ids(folder: Path) -> tuple[str, ...]:
    """The tasks that identity rows belong to. UserError (1) if the file is not a list of names."""
    names = _json(folder / TASKS, MAX_TASKS_BYTES)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{clean(folder / TASKS)} is not a list of task names.", 1)
    return tuple(names)


def read_progress(folder: Path) -> dict[str, Any]:
    """What the host remembered at a checkpoint, of the shape that was written. UserError (1) if it is not."""
    progress = _json(folder / PROGRESS, MAX_PROGRESS_BYTES)
    if not isinstance(progress, dict) or not isinstance(progress.get("techniques", {}), dict):
        raise UserError(f"{clean(folder / PROGRESS)} is not what a checkpoint remembers.", 1)
    return progress


@contextmanager
def recalled(folder: Path) -> Iterator[None]:
    """Inside, values of progress.json are taken over; what they are not good for becomes a UserError (1)."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        what = f"{type(error).__name__}: {clean(error)}"[:120]
        raise UserError(
            f"{clean(folder / PROGRESS)} is not what a checkpoint remembers ({what}).\n"
            "Resume from an earlier checkpoint.",
            1,
        ) from None


def check_size(path: Path, recipe: Recipe, num_tasks: int) -> None:
    """UserError (1) if a file of weights holds fewer numbers than the recipe's model takes, before that is made.

    A recipe of a kilobyte can ask for a model of a terabyte. What is bounded by the file is bounded by the disk.
    """
    layers = recipe.model.l_layers + (0 if recipe.model.share_levels else recipe.model.h_layers)
    wanted = layers * layer_parameters(recipe) + num_tasks * rows_per_task(recipe) * recipe.model.hidden
    stored = 0
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no dict
                size = 1
                for side in file.get_slice(name).get_shape():
                    size *= side
                stored += size
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"{clean(path)}: not readable as safetensors ({clean(error)[:200]}).", 1) from None
    if stored < wanted:
        raise UserError(
            f"{clean(path)}: the weights do not fit the recipe, whose model has {wanted / 1e6:.1f} million numbers at "
            f"least; {stored / 1e6:.1f} million are stored.",
            1,
        )

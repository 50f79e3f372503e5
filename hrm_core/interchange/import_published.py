"""`hrm import`: a published checkpoint becomes a snapshot of ours, whole or not at all.

Interchange room: PublishedFiles -> a folder with recipe.toml, the weights (once, under both names), the names of its
identity rows and meta.json, which says where it came from. What the names mean is in `published.py`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import torch

from hrm_core.errors import UserError
from hrm_core.interchange.published import (
    EXPERIMENT,
    Origin,
    assumed,
    check_tensors,
    our_tensors,
    plain_names,
    settings_of,
    shape_of,
)
from hrm_core.interchange.published_files import PublishedFiles, read_identifiers
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.atomic import (
    ABANDONED_S,
    atomic_folder,
    check_free_space,
    clean_leftovers,
    explain_os_error,
    naming,
)
from hrm_core.runs.snapshots import FORMAT, write_meta
from hrm_core.runs.text import clean
from hrm_core.training.checkpoint import EVALUATION, RAW, SPARE_BYTES
from hrm_core.training.snapshot_files import RECIPE, TASKS
from hrm_core.training.tensor_files import size_of, write_tensors

SETTABLE: Final = ("model.heads=", "model.h_cycles=", "model.l_cycles=", "model.rope_theta=", "halting.")


@final
@dataclass(frozen=True)
class Imported:
    """What was made: the snapshot, its recipe, how many identity rows and numbers, and what was taken for granted."""

    path: Path
    recipe: Recipe
    rows: int
    parameters: int
    assumed: str


def import_published(
    files: PublishedFiles, origin: Origin, out: Path, settings: tuple[str, ...] = (), identifiers: Path | None = None
) -> Imported:
    """Checks every name and shape and writes the snapshot. UserError: what does not fit (1), what cannot be set (2)."""
    if os.path.lexists(out):
        raise UserError(f"--out {clean(out)} is already there; give another name, or remove it first")
    for setting in settings:
        if not setting.startswith(SETTABLE):
            raise UserError(
                f"--set {clean(setting)[:80]}: only what the weights do not show can be set here: model.heads, "
                "model.h_cycles, model.l_cycles, model.rope_theta and halting.*"
            )
    try:
        tensors = plain_names(files.tensors)
        shape = shape_of(tensors, origin)
        check_tensors(tensors, shape)
        recipe = build_recipe(EXPERIMENT[origin], [*settings_of(shape, files.arch, origin), *settings]).recipe
    except UserError as error:
        raise UserError(f"{clean(files.path)}: {error}", error.exit_code) from None
    names = _row_names(shape.rows) if identifiers is None else read_identifiers(identifiers, shape.rows)
    ours = our_tensors(tensors, shape, recipe.model.heads)
    source = {"from": origin, "file": files.path.name, "sha256": files.sha256, "settings": files.config is not None}
    meta = {"format": FORMAT, "kind": "import", "step": files.step, "run_id": "", "evaluation_weights": "raw"}
    _write(out, recipe, names, ours, {**meta, "imported": source})
    parameters = sum(tensor.numel() for name, tensor in ours.items() if name != "rows.table")
    return Imported(out, recipe, shape.rows, parameters, assumed(files.arch, origin, settings))


def _row_names(rows: int) -> tuple[str, ...]:
    """Names for rows that came without: their numbers."""
    return tuple(f"row-{number}" for number in range(rows))


def _write(
    out: Path, recipe: Recipe, names: tuple[str, ...], tensors: dict[str, torch.Tensor], meta: dict[str, object]
) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        clean_leftovers(out.parent, ABANDONED_S)  # of an import that was killed: gigabytes with a whole identity table
        check_free_space(out.parent, size_of(tensors) + SPARE_BYTES)
        with naming(out), atomic_folder(out) as folder:
            (folder / RECIPE).write_bytes(to_toml(recipe).encode("utf-8"))
            (folder / TASKS).write_bytes(json.dumps(names).encode("ascii"))
            write_tensors(folder / RAW, tensors)
            # Published checkpoints hold one set of weights; where the disk knows no second name, it is written again.
            try:
                os.link(folder / RAW, folder / EVALUATION)
            except OSError:
                write_tensors(folder / EVALUATION, tensors)
            write_meta(folder, meta)
    except OSError as error:
        raise explain_os_error(error) from error

"""`load`: the snapshot that a word names, with its model on a device.

API room: RUN, RUN@best, RUN@STEP, a promoted snapshot's name or a folder -> Model. Heavy imports are inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from hrm_core.api.results import Model
from hrm_core.api.watching import disk_told
from hrm_core.errors import UserError
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_core.recipe.training import TrainingConfig

WEIGHTS: Final = ("evaluation", "raw")


@disk_told()
def load(
    snapshot: str | Path,
    *,
    runs_dir: str | Path | None = None,
    weights: str = "evaluation",
    device: str | None = None,
    dtype: str | None = None,
) -> Model:
    """The model of a snapshot: RUN (its last checkpoint), RUN@best, RUN@STEP, a promoted snapshot's name or a folder.

    runs_dir: where runs are looked for (default: ./runs, else under ~/.local/share/hrm). weights: "evaluation" (the
    averaged ones, where the run averaged) or "raw". device "auto", "cpu" or "cuda" and dtype "auto", "bf16" or "fp32"
    go before the recipe's. The number of torch's threads becomes the recipe's (training.threads). Every file is
    checked against its sha256. UserError: nothing is called so, or a value is none of these (2); the snapshot is
    missing, damaged or does not fit, or there is no such device (1).
    """
    from hrm_core.runs.layout import default_runs_dir
    from hrm_core.runs.snapshot_names import find_snapshot
    from hrm_core.training.checkpoint import load_snapshot
    from hrm_core.training.setup import apply_device, choose_device

    if weights not in WEIGHTS:
        raise UserError(f"weights={clean(weights)[:40]}: there are evaluation and raw")
    folder = find_snapshot(default_runs_dir() if runs_dir is None else Path(runs_dir), str(snapshot))
    chosen = choose_device(_training(folder, device, dtype))
    apply_device(chosen, False)
    return Model(load_snapshot(folder, weights, chosen.dtype, chosen.device))


def _training(folder: Path, device: str | None, dtype: str | None) -> TrainingConfig:
    """The recipe's settings of device and number format, with those that were asked for instead."""
    from hrm_core.recipe.lay import override_recipe
    from hrm_core.runs.snapshots import verify_folder
    from hrm_core.training.snapshot_files import read_recipe

    try:
        recipe = read_recipe(folder)
    except UserError:
        problems = verify_folder(folder)
        if not problems:
            raise
        raise UserError(f"{clean(folder)} is no whole snapshot: {clean(problems[0])}.", 1) from None
    asked = (("training.device", device), ("training.dtype", dtype))
    lines = [f"{name}={value}" for name, value in asked if value is not None]
    return (override_recipe(recipe, lines) if lines else recipe).training

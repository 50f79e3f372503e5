"""Archived snapshots made up for tests, in runs of the real writer: small files in place of weights, real meta.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.atomic import atomic_folder
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.records import encode_status
from hrm_core.runs.snapshots import write_meta
from hrm_core.runs.writer import RunWriter

TRIVIAL = {
    "exact": {"pad": 0.0, "copy": 0.009},
    "cell_accuracy": {"pad": 0.0, "black": 0.4, "copy": 0.61},
}


def evaluation_of(step: int, exact: float, minute: int, **more: Any) -> dict[str, Any]:
    """A full validation; `minute` of one day is when it was made."""
    metrics = {"exact": exact, "cell_accuracy": 0.5 + exact / 2}
    return {
        "step": step, "kind": "full", "split": "val", "weights": "ema", "pairs": 69, "tasks": 60, "loss": 2.0 - exact,
        "time_utc": f"2026-03-01T{minute // 60:02d}:{minute % 60:02d}:00.000Z", "metrics": metrics, "trivial": TRIVIAL,
        "notes": ["a note"], "families": {"fill": {"pairs": 3, "exact": 0.0, "low": 0.0, "high": 0.5}}, **more,
    }  # fmt: skip


def make_snapshot(
    final: Path, run_id: str, step: int, evaluation: Mapping[str, Any] | None, recipe_toml: str, size: int = 1000
) -> Path:
    """A snapshot folder; without an evaluation it is a checkpoint."""
    with atomic_folder(final) as folder:
        (folder / "recipe.toml").write_text(recipe_toml)
        (folder / "tasks.json").write_text(json.dumps(["a", "b"]))
        for name in ("weights", "evaluation"):
            seed = f"{name} {run_id} {step} ".encode()
            (folder / f"{name}.safetensors").write_bytes((seed * size)[:size])
        if evaluation is None:
            (folder / "state.safetensors").write_bytes(b"s" * 5 * size)
            (folder / "progress.json").write_text("{}")
        else:
            (folder / "evaluation.json").write_text(json.dumps(evaluation))
            (folder / "log.txt").write_text(f"a line\nstep {step}: full validation, new best")
            (folder / "status.json").write_bytes(
                encode_status({"run_id": run_id, "global_step": step - 3, "max_steps": 1000, "lr": 0.001, "loss": 1.5})
            )
            (folder / "predictions.jsonl.gz").write_bytes(b"not looked at")
        write_meta(folder, {"format": 1, "evaluation_weights": "ema", "kind": "best", "step": step, "run_id": run_id})
    return final


def make_archived(
    runs_dir: Path,
    name: str,
    bests: Mapping[int, float],
    *,
    begun: int = 0,
    experiment: str = "EXP-00",
    overrides: tuple[str, ...] = (),
    parent: Mapping[str, Any] | None = None,
    size: int = 1000,
    state: str = "finished",
    metrics: Mapping[str, float] | None = None,
) -> RunFolder:
    """A run with an archived best for each {step: exact}, validated a minute apart from `begun` on, and a checkpoint
    at its last step."""
    recipe = build_recipe(experiment, ["preset=demo", *overrides]).recipe
    head = {
        "experiment": experiment, "recipe": recipe.model_dump(mode="json"), "parent": parent,
        "created_utc": f"2026-03-01T00:{begun % 60:02d}:00.000Z", "data": "/data/of/it.h5",
    }  # fmt: skip
    text, last = to_toml(recipe), max(bests)
    with RunWriter.create(runs_dir / name, text, head) as writer:
        layout = writer.layout
        for minute, (step, exact) in enumerate(bests.items(), begun):
            row = evaluation_of(step, exact, minute)
            row["metrics"] |= metrics or {}
            writer.evaluation(row)
            make_snapshot(layout.best(step), name, step, row, text, size)
        make_snapshot(layout.checkpoint(last), name, last, None, text, size)
        best = {"metric": "exact", "value": bests[last], "step": last}
        writer.status({"state": state, "global_step": last, "max_steps": last, "best": best})
        if state in ("finished", "stopped", "failed"):
            writer.result({"state": state, "step": last, "reason": "all steps done", "best": best})
    return layout

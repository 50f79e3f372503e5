"""Rows of identity that no step has touched: tasks, or augmentations of them, of which the model has not been told.

Evaluation room: the last whole checkpoint's raw weights -> a finding. Rows start at zero and every update moves one
(`hrm_core.learning.rows`), so a row of norm 0 was never trained. The array is read piece by piece with numpy; torch is
not needed. A prediction for such a task is made as if it were nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from hrm_core.evaluation.alarms_training import percent
from hrm_core.evaluation.diagnosis_material import Finding, Material, Puzzle, make_finding
from hrm_core.runs.files import integer, read_small, string
from hrm_core.runs.snapshots import latest_good

WEIGHTS, TABLE, TASKS = "weights.safetensors", "rows.table", "tasks.json"
PIECE = 65_536
FEWEST_SHARE = 0.001


def row_findings(material: Material) -> list[Finding]:
    """The finding, or none; notes what could not be read."""
    kind = material.recipe.identity.kind
    if kind == "none":
        return []
    snapshot = latest_good(material.layout.checkpoints)
    untouched = None if snapshot is None else untouched_rows(snapshot / WEIGHTS)
    tasks = None if snapshot is None else _task_ids(snapshot / TASKS)
    if snapshot is None or untouched is None or tasks is None or not tasks:
        material.missing.append("no whole checkpoint with identity rows: whether all were trained is not known")
        return []
    each = len(untouched) // len(tasks)
    if each < 1 or each * len(tasks) != len(untouched):
        material.missing.append("the checkpoint's rows do not belong to its tasks")
        return []
    share = float(untouched.mean())
    if share < FEWEST_SHARE:
        return []
    by_task = untouched.reshape(len(tasks), each).mean(axis=1)
    what = "tasks" if kind == "shared" else f"rows ({each} for each of {len(tasks)} tasks)"
    count = int(untouched.sum())
    sentence = f"No step has touched the identity row of {count} of {len(untouched)} {what}: {percent(share)}."
    whole = int((by_task == 1.0).sum())
    experiments: tuple[str, ...] | None
    if each > 1:
        sentence += f" Of {whole} tasks every row is untouched."
        experiments = None  # EXP-00 has one shared row for each task
        advice = "There are more rows than visits: identity.kind=shared, a smaller augment.pool, or a longer run."
    else:
        experiments = ()
        advice = "Each task's row needs visits: a longer run, or fewer tasks."
    numbers = {"untouched": count, "rows": len(untouched), "share": share, "tasks_without": whole}
    evidence = _evidence(material, {name: float(part) for name, part in zip(tasks, by_task, strict=True)}, each)
    return [make_finding("rows_untrained", 0.2 + 0.65 * share, sentence, advice, numbers, evidence, experiments)]


def untouched_rows(path: Path) -> NDArray[np.bool_] | None:
    """(R) bool: rows of the identity table whose norm is 0, without its scratch row; None if there is no such table."""
    try:
        with safe_open(path, framework="numpy") as file:
            table = file.get_slice(TABLE)
            count = int(table.get_shape()[0]) - 1
            parts = [~np.any(piece, axis=1) for piece in _pieces(table, count)]
    except (OSError, SafetensorError, ValueError, TypeError, IndexError):
        return None
    return np.concatenate(parts) if parts else None


def _pieces(table: Any, count: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, count, PIECE):
        yield table[start : min(start + PIECE, count)]


def _task_ids(path: Path) -> list[str] | None:
    import json

    try:
        names = json.loads(read_small(path) or b"null")
    except (ValueError, RecursionError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _evidence(material: Material, untouched: dict[str, float], each: int) -> tuple[Puzzle, ...]:
    """Tests whose own task has untouched rows, the most first; tasks of the table where no test has any."""
    ranked = sorted((name for name in untouched if untouched[name] > 0), key=lambda name: -untouched[name])
    families = {string(record, "task"): record for record in material.records}

    def what(name: str) -> str:
        return "its row is zero" if each == 1 else f"{round(untouched[name] * each)} of its {each} rows are zero"

    tested = [name for name in ranked if name in families]
    chosen = tested or ranked
    return tuple(Puzzle(name, integer(families.get(name), "test") or 0, what(name)) for name in chosen[:3])

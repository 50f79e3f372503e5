"""Predictions of a run as the trainer keeps them, small and made up: what tests of the puzzles screen read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hrm_core.runs.predictions import write_predictions, write_tasks

SMALL = ["120", "012", "000"]
FLIPPED = ["021", "210", "000"]
NEARLY = ["021", "210", "007"]
SEGMENTS = [["000", "000", "000"], ["021", "000", "000"], NEARLY, FLIPPED]
LOGITS = [-2.0, -1.0, 0.5, 2.0]


def record(task: str, test: int = 0, *, right: bool = True, segments: bool = False, **changes: Any) -> dict[str, Any]:
    """One test; the input is SMALL, the target FLIPPED."""
    predicted = FLIPPED if right else NEARLY
    row: dict[str, Any] = {
        "task": task,
        "test": test,
        "split": "val",
        "side": 7,
        "fits": True,
        "duplicate": False,
        "families": ["same_size", "dihedral"],
        "input": SMALL,
        "target": FLIPPED,
        "predicted": predicted,
        "exact": right,
        "cell_accuracy": 1.0 if right else 0.9333,
        "confidence": 0.8808,
        "loss": 0.25,
        "halt_logit": LOGITS,
        "rank": 0 if right else 1,
        "answers": [
            {"grid": predicted, "votes": 3, "confidence": 0.8808},
            {"grid": FLIPPED if not right else NEARLY, "votes": 1, "confidence": 0.2},
        ],
    }
    if segments:
        row["segments"] = [*SEGMENTS[:-1], predicted]
    return {**row, **changes}


def task(name: str, demonstrations: int = 2) -> dict[str, Any]:
    """What tasks.jsonl.gz holds of a task; colours 1 and 2 change places in its canonical ones."""
    pair = {
        "input": SMALL,
        "input_objects": [[1, 0, 0, 2, 2, 2], [2, 0, 1, 2, 2, 2]],
        "target": FLIPPED,
        "target_objects": [[1, 0, 1, 2, 2, 2], [2, 0, 0, 2, 2, 2]],
    }
    return {
        "task": name,
        "source": "arc1",
        "evaluation": False,
        "canvas": 7,
        "families": ["same_size", "dihedral"],
        "colors": [0, 2, 1, 3, 4, 5, 6, 7, 8, 9],
        "descriptors": {
            "symmetry": 1,
            "translation": 1,
            "translation_row": 2,
            "translation_column": -1,
            "objects_changed": 3,
            "recolored": 0,
        },
        "demonstrations": [{**pair, "pair": number} for number in range(demonstrations)],
        "tests": [{"pair": demonstrations, "input": SMALL, "input_objects": pair["input_objects"]}],
    }


def records() -> list[dict[str, Any]]:
    """Five tests of four tasks: two right, two with the grids of their segments."""
    return [
        record("aaaa0000", segments=True),
        record("bbbb1111", right=False, families=["recolor"], cell_accuracy=0.5),
        record("cccc2222", right=False, families=["same_size", "move"], confidence=0.1, halt_logit=[-1.0] * 4),
        record("dddd3333", right=False, segments=True, families=["recolor"], cell_accuracy=0.7),
        record("dddd3333", 1, families=["move"]),
    ]


def keep(folder: Path, step: int, rows: list[dict[str, Any]] | None = None) -> None:
    """Write predictions of a step, and the tasks, into a run's folder."""
    rows = records() if rows is None else rows
    write_predictions(folder, step, rows, keep=range(1_000_000))
    names = dict.fromkeys(str(row["task"]) for row in rows if "task" in row)
    write_tasks(folder, [task(name) for name in names])

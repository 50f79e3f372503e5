"""Two hundred long runs for the console's benchmark: four real files of 100,000 rows, linked fifty times.

Benchmarks room: folder -> run folders made by the real writer, whose metrics, validations and events are links to those
of the first four. Rows have the trainer's keys and as many digits; their values are made up. The last loss of a file is
such that a screen shows its digits nowhere else, so that one sees when all of it is drawn.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from hrm_core.errors import UserError
from hrm_core.recipe.digest import recipe_hash
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import metrics_rows
from hrm_core.runs.records import encode_row
from hrm_core.runs.text import clean
from hrm_core.runs.writer import RunWriter

STEPS_A_ROW: Final = 10
LAST_LOSS: Final = (0.4861, 0.4871, 0.4881, 0.4891)
_CLOCK = "2026-11-27T{:02d}:{:02d}:{:02d}.{:03d}Z"


def noise(place: float, kind: int) -> float:
    """A number in [0, 1) with all its digits."""
    return math.sin(place * 12.9898 + kind * 78.233) * 43758.5453 % 1.0


def metrics_row(number: int, row: int, rows: int) -> dict[str, Any]:
    """Row `row` of `rows` of file `number`, as the trainer writes it on a GPU."""
    step, share = row * STEPS_A_ROW, row / rows
    loss = 1.9 * math.exp(-4 * share) + 0.35 + 0.1 * noise(row, number)
    seconds = step * (0.041 + 0.001 * number)
    clock = int(seconds * 1000)
    return {
        "step": step,
        "elapsed_s": round(seconds, 3),
        "samples": step * 32,
        "puzzles": step * 4,
        "tokens": step * 11_328,
        "epoch": round(step * 32 / 22_400, 4),
        "stage": 0,
        "lr": 1e-3 * (0.5 + 0.5 * math.cos(math.pi * share)),
        "loss": LAST_LOSS[number % 4] if row == rows else loss,
        "token_loss": loss * 0.98,
        "halt_loss": 0.02 * noise(row, number + 10),
        "token_accuracy": 1.0 - 0.6 * math.exp(-3 * share) * (0.9 + 0.1 * noise(row, number + 20)),
        "token_exact": 0.1 * share * noise(row, number + 30),
        "mean_segments": 6.0 + 2.0 * noise(row, number + 40),
        "grad_norm": 1.0 + 2.0 * noise(row, number + 50),
        "clipped": 10,
        "nonfinite": 0,
        "samples_per_sec": 760.0 + 40.0 * noise(row, number + 60),
        "puzzles_per_sec": 95.0 + 5.0 * noise(row, number + 70),
        "tokens_per_sec": 270_000.0 + 9_000.0 * noise(row, number + 80),
        "memory_gib": 7.43096923828125,
        "power_w": 118.0 + 12.0 * noise(row, number + 90),
        "temperature_c": float(70 + row % 7),
        "loss_spike": False,
        "loss_spikes": 0,
        "time_utc": _CLOCK.format(clock // 3_600_000 % 24, clock // 60_000 % 60, clock // 1000 % 60, clock % 1000),
    }


def validation_row(number: int, step: int, kind: str, share: float) -> dict[str, Any]:
    """A validation, with its trivial values and some of what stands beside them."""
    names = ("exact", "cell_accuracy", "color_accuracy", "changed_cell_accuracy", "shape_accuracy", "padded_accuracy")
    metrics = {name: share * (0.5 + 0.1 * place + 0.01 * noise(step, place)) for place, name in enumerate(names)}
    predictors = ("pad", "black", "frequent", "copy")
    trivial = {
        name: {who: 0.1 * noise(place, at) for at, who in enumerate(predictors)} for place, name in enumerate(names)
    }
    return {
        "step": step,
        "time_utc": _CLOCK.format(0, 0, 0, 0),
        "elapsed_s": 12.0,
        "kind": kind,
        "split": "val",
        "weights": "ema",
        "pairs": 416,
        "loss": 2.0 - share + 0.1 * noise(step, number),
        "metrics": metrics,
        "trivial": trivial,
        "lift": {name: metrics[name] - max(trivial[name].values()) for name in names},
        "input_sensitivity": 0.9,
        "input_gain": 0.2 * share,
        "identity_sensitivity": 0.8,
        "calibration": {"ece": 0.04, "brier": 0.03, "auroc": 0.9, "base_rate": 0.06},
        "halting": {"histogram": [1, 2, 3, 5, 8, 5, 3, 1], "never": 0.1},
        "families": {f"family_{at}": {"pairs": 30, "exact": share * 0.3, "low": 0.0, "high": 0.5} for at in range(24)},
        "notes": [],
    }


def _fill(writer: RunWriter, number: int, rows: int) -> None:
    """The files of one of the four."""
    last = rows * STEPS_A_ROW
    with open(writer.layout.metrics, "ab") as file:
        for start in range(1, rows + 1, 1000):
            part = range(start, min(start + 1000, rows + 1))
            file.write(b"".join(encode_row(metrics_row(number, row, rows)) for row in part))
    for place in range(1, 51):
        kind = "full" if place % 5 == 0 else "fast"
        writer.evaluation(validation_row(number, last * place // 50, kind, place / 50))
        if kind == "full":
            writer.event("best", last * place // 50, metric="exact", value=place / 100, trivial=0.009)
    writer.log("training begins")


def status_of(step: int, max_steps: int) -> dict[str, Any]:
    """What a run says of itself."""
    return {
        "global_step": step,
        "max_steps": max_steps,
        "samples_per_sec": 780.0,
        "steps_per_sec": 24.0,
        "lr": 1e-4,
        "grad_norm": 1.5,
        "eta_s": max(0, max_steps - step) / 24.0,
        "best": {"metric": "exact", "value": 0.5, "step": step // 2},
        "alarms": [],
    }


def run_words(number: int) -> tuple[str, dict[str, Any]]:
    """recipe.toml and run.json of run `number`."""
    resolved = build_recipe("EXP-00", [f"training.seed={number}"])
    recipe = resolved.recipe
    hour, minute = divmod(number, 60)
    words = {
        "experiment": recipe.experiment,
        "preset": recipe.preset,
        "recipe": recipe.model_dump(mode="json"),
        "recipe_hash": recipe_hash(recipe),
        "sources": resolved.sources,
        "seed": number,
        "device": "made up",
        "created_utc": _CLOCK.format(hour, minute, 0, 0),
    }
    return to_toml(recipe), words


def make_load(folder: Path, runs: int, rows: int, say: Callable[[str], None]) -> list[str]:
    """Ended runs in a folder; their names, newest first."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [f"bench-{number:03d}" for number in range(runs)]
    if sorted(os.listdir(folder)) == made and len(metrics_rows(folder / made[0])) == rows:
        say(f"{runs} runs of {rows:,} rows each are in {folder}")
        return made[::-1]
    if os.listdir(folder):
        raise UserError(f"--load {clean(folder)}: there is something else in it; give an empty folder", exit_code=2)
    say(f"making {runs} runs of {rows:,} rows each in {folder}")
    toml, words = run_words(0)
    first: list[RunFolder] = []
    for number, name in enumerate(made):
        hour, minute = divmod(number, 60)
        more = {"seed": number, "created_utc": _CLOCK.format(hour, minute, 0, 0)}
        with RunWriter.create(folder / name, toml, words | more) as writer:
            if number < 4:
                _fill(writer, number, rows)
                first.append(writer.layout)
            writer.status({"state": "finished", **status_of(rows * STEPS_A_ROW, rows * STEPS_A_ROW)})
            writer.result({"state": "finished", "step": rows * STEPS_A_ROW, "reason": "it reached its last step"})
        if number >= 4:
            for old, new in _linked(first[number % 4], writer.layout):
                os.unlink(new)
                os.link(old, new)
    return made[::-1]


def _linked(old: RunFolder, new: RunFolder) -> Iterator[tuple[Path, Path]]:
    yield old.metrics, new.metrics
    yield old.evaluations, new.evaluations
    yield old.events, new.events

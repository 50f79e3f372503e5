"""The table of formats that are fuzzed. Torture room; name -> `Format`. A line here and a `prepare` make a new one."""

from __future__ import annotations

from typing import Final

from hrm_core.torture import fuzz_data, fuzz_runs, fuzz_texts
from hrm_core.torture.fuzz_reader import Format

FORMATS: Final[dict[str, Format]] = {
    "recipe": Format("recipe.toml of a run", "toml", fuzz_texts.recipes),
    "experiment": Format("saved experiments (TOML)", "toml", fuzz_texts.experiments),
    "settings": Format("settings.toml", "toml", fuzz_texts.settings),
    "overrides": Format("overrides behind `hrm run`", "words", fuzz_texts.overrides),
    "keys": Format("keys.toml", "toml", fuzz_texts.keys),
    "tasks": Format("ARC tasks (JSON)", "json", fuzz_texts.tasks),
    "data": Format(
        "built data (HDF5)",
        "bytes",
        fuzz_data.data,
        how="as a command reads it, the sha256 made anew: the guard's function and bounds in a fork for each (for "
        "every hundredth the guard's own child), then the loader",
    ),
    "rows": Format("metrics, evaluations, events", "json", fuzz_runs.rows),
    "status": Format("status.json", "json", fuzz_runs.status),
    "run": Format("run.json, result.json, policy.json", "json", fuzz_runs.run_files),
    "queue": Format("queue.json", "json", fuzz_runs.queues),
    "predictions": Format("predictions, their index, tasks", "json", fuzz_runs.predictions),
    "weights": Format("safetensors of a snapshot", "bytes", fuzz_data.weights, memory_gib=8.0),
}

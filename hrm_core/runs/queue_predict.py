"""Room `runs`: how long a run will take, by one that is over: the same recipe but for its seed, on the same kind of
device. Nothing is guessed: where there was none like it, there is no prediction.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hrm_core.runs.devices import devices_here
from hrm_core.runs.files import Row, mapping, number, read_json_object, string
from hrm_core.runs.layout import RunFolder


def predicted_s(runs_dir: Path, recipe_toml: str) -> float | None:
    """Seconds that the newest finished run of this recipe took, whatever its seed; None if there is none."""
    from hrm_core.recipe.toml_io import from_toml

    wanted = _without_seed(from_toml(recipe_toml).model_dump(mode="json"))
    kind = "cuda" if devices_here()[0].is_gpu else "cpu"
    found: list[tuple[str, float]] = []
    try:
        names = os.listdir(runs_dir)
    except OSError:
        return None
    for name in names:
        layout = RunFolder(runs_dir / name)
        result = read_json_object(layout.result)
        seconds = number(result, "elapsed_s")
        if seconds is None or string(result, "state") != "finished":
            continue
        run_json = read_json_object(layout.run_json) or {}
        if run_json.get("device_kind") == kind and _without_seed(mapping(run_json, "recipe")) == wanted:
            found.append((string(result, "time_utc") or "", seconds))
    return max(found)[1] if found else None


def _without_seed(recipe: Row) -> dict[str, Any]:
    training = {key: value for key, value in mapping(recipe, "training").items() if key != "seed"}
    return {**recipe, "training": training}

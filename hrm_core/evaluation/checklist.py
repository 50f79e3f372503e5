"""The plan's checklist of experiments as CSV: one line a run, failures among them.

Evaluation room: arms and the document of `comparison.py` -> CSV text. `new best` says by how many points the run's best
validation is above the mean best of the control's runs (the plan's measure, not a verdict).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from hrm_core.evaluation.comparison_arms import Arm, changes
from hrm_core.evaluation.comparison_runs import RunFacts
from hrm_core.evaluation.comparison_words import points
from hrm_core.runs.files import string
from hrm_core.runs.text import clean

COLUMNS = (
    "id", "start", "end", "batch", "accumulation", "schedule", "extras", "cadences", "notes", "new best",
    "families improved",
)  # fmt: skip


def checklist_csv(document: dict[str, Any], arms: Sequence[Arm]) -> str:
    """CSV with the plan's columns; the first arm is the control."""
    told = {arm["name"]: arm for arm in [document["control"], *document["arms"]]}
    control_best = [run.best for run in arms[0].finished if run.best is not None]
    best = sum(control_best) / len(control_best) if control_best else None
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for arm in arms:
        for run in arm.runs:
            table.writerow([_harmless(cell) for cell in _cells(arms[0], arm, run, told[arm.name], best)])
    begun = {run.run_id for arm in arms for run in arm.runs}
    for entry in document.get("missing", ()):
        if entry["run_id"] not in begun:
            note = f"{entry['state']}: {entry['reason']}"
            table.writerow([_harmless(cell) for cell in (entry["run_id"], "", "", "", "", "", "", "", note, "", "")])
    return text.getvalue()


def _cells(control: Arm, arm: Arm, run: RunFacts, told: dict[str, Any], control_best: float | None) -> list[str]:
    training, schedule = run.recipe.training, run.recipe.schedule
    extras = "; ".join(f"{key}={value[1]}" for key, value in changes(control.recipe, arm.recipe).items())
    cadences = (
        f"fast {training.fast_validation_every}, full {training.full_validation_every}, "
        f"checkpoint {training.checkpoint_every}"
    )
    improved = [family["family"] for family in told.get("families", ()) if family["change"] > 0 and family["apart"]]
    is_control = arm is control
    gain = None if is_control or control_best is None or run.best is None else run.best - control_best
    end = string(run.result, "time_utc") or ""
    reason = string(run.result, "reason") if run.score is None else None
    notes = f"seed {run.seed}, {run.state}" + (f": {reason}" if reason else "")
    verdict = "" if is_control else f"; {told['verdict']['text']}"
    return [
        run.run_id, string(run.run_json, "created_utc") or "", end, str(training.batch), str(training.accumulation),
        schedule.kind, extras, cadences, notes + verdict, "-" if gain is None else points(gain), "; ".join(improved),
    ]  # fmt: skip


def _harmless(cell: str) -> str:
    """Text that a spreadsheet does not take for a formula; signed numbers stay."""
    text = clean(cell)
    signed = text[:1] in "+-" and text[1:].replace(".", "", 1).isdigit()
    return f"'{text}" if text[:1] in ("=", "@", "+", "-") and not signed and text != "-" else text

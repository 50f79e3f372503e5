"""Why a run does not get better: findings from its folder alone, gravest first.

Evaluation room: a run folder, through `hrm_core.runs` -> `Diagnosis`, each `Finding` with its numbers, three puzzles as
evidence and the experiments that address it, best first. What the answers show is `diagnosis_answers.py`'s, what the
course of training shows `diagnosis_training.py`'s, the rows of identity `diagnosis_rows.py`'s. A finding that explains
others comes before them: a model with one answer for everything is not also told that its colours are wrong. No model
is run here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hrm_core.errors import UserError
from hrm_core.evaluation.diagnosis_answers import answer_findings
from hrm_core.evaluation.diagnosis_material import Diagnosis, Finding, Material, Puzzle, is_sound
from hrm_core.evaluation.diagnosis_rows import row_findings
from hrm_core.evaluation.diagnosis_training import training_findings
from hrm_core.recipe.toml_io import from_toml
from hrm_core.runs.files import integer, read_small
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import read_predictions, steps_kept
from hrm_core.runs.reader import evaluation_rows, metrics_rows, read_policy, read_status
from hrm_core.runs.text import clean

__all__ = ["Diagnosis", "Finding", "Puzzle", "diagnose"]

LOOKS: tuple[Callable[[Material], list[Finding]], ...] = (answer_findings, training_findings, row_findings)


def diagnose(folder: Path | RunFolder) -> Diagnosis:
    """Findings about a run, gravest first. UserError (1) if it has no validation or no readable recipe yet."""
    layout = RunFolder.of(folder)
    material = gather(layout)
    findings = [finding for look in LOOKS for finding in look(material)]
    findings.sort(key=lambda finding: -finding.gravity)
    return Diagnosis(
        run_id=layout.run_id,
        step=int(material.row["step"]),
        kind=str(material.row["kind"]),
        split=str(material.row["split"]),
        pairs=int(material.row["pairs"]),
        findings=tuple(findings),
        not_looked_at=tuple(material.missing),
    )


def gather(layout: RunFolder) -> Material:
    """What the folder holds: rows as they were written, the predictions of the last validation that has any."""
    text = read_small(layout.recipe_toml)
    if text is None:
        raise UserError(f"run {clean(layout.run_id)} has no readable recipe.toml; see `hrm show`.", 1)
    recipe = from_toml(text.decode("utf-8", errors="replace"))
    rows = [row for row in evaluation_rows(layout) if is_sound(row)]
    if not rows:
        raise UserError(f"run {clean(layout.run_id)} has no validation yet, so there is nothing to diagnose.", 1)
    full = [row for row in rows if row["kind"] == "full"]
    row = (full or rows)[-1]
    missing: list[str] = []
    if not full:
        missing.append("no full validation yet: swaps of input and identity, predictions and a plateau are not judged")
    records = _records(layout, missing)
    return Material(
        layout=layout,
        recipe=recipe,
        row=row,
        rows=tuple(rows),
        metrics=tuple(metrics_rows(layout)),
        records=records,
        policy=read_policy(layout),
        max_steps=integer(read_status(layout), "max_steps") or 0,
        missing=missing,
    )


def _records(layout: RunFolder, missing: list[str]) -> tuple[dict[str, Any], ...]:
    steps = steps_kept(layout)
    if not steps:
        missing.append("no predictions kept: answers are not looked at")
        return ()
    return tuple(read_predictions(layout, steps[-1]))

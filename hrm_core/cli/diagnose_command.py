"""`hrm diagnose`: why a run does not get better, gravest first, with evidence and what to try.

Command-line room: a run folder -> findings as text or JSON. What is found is `hrm_core.evaluation.diagnosis`'s; nothing
is written and no model is run. Heavy imports are inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli.options import json_option, print_json, print_line, runs_folder, runs_option

if TYPE_CHECKING:
    from hrm_core.evaluation.diagnosis import Diagnosis


@click.command()
@click.argument("run", metavar="RUN")
@runs_option
@json_option
def diagnose(run: str, runs: Path | None, as_json: bool) -> None:
    """Say why RUN does not get better: findings, gravest first, three puzzles each, and experiments to try."""
    from hrm_core.evaluation.diagnosis import diagnose as find
    from hrm_core.runs.catalogue import find_run
    from hrm_core.runs.records import plain

    diagnosis = find(find_run(runs_folder(runs), run))
    if as_json:
        print_json(plain(diagnosis.to_json()))
        return
    for line in lines(diagnosis):
        print_line(line)


def lines(diagnosis: Diagnosis) -> list[str]:
    """A diagnosis in words."""
    said = [
        f"{diagnosis.run_id}: {diagnosis.kind} validation at step {diagnosis.step}, "
        f"{diagnosis.pairs} tests of {diagnosis.split}"
    ]
    if not diagnosis.findings:
        said += ["", "Nothing of what is looked for was found."]
    for number, finding in enumerate(diagnosis.findings, start=1):
        said += ["", f"{number}. {finding.name.replace('_', ' ')}: {finding.sentence}"]
        said += [f"   {puzzle.task}, test {puzzle.test + 1}: {puzzle.what}" for puzzle in finding.evidence]
        if finding.advice:
            said.append(f"   {finding.advice}")
    if diagnosis.not_looked_at:
        said += ["", *(f"not looked at: {reason}" for reason in diagnosis.not_looked_at)]
    return said

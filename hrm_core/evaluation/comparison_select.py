"""Which runs a person means: words of the command line, or a sweep -> the control's arm and the others.

Evaluation room: runs folder + words -> arms. A word is a run, or an experiment (built in, or one's own), which means
all its finished runs that began with drawn weights: those that began from a snapshot are asked for by name.
Runs that cannot be read are named and left out where many were asked for. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrm_core.errors import UserError
from hrm_core.evaluation.comparison_arms import Arm, group_runs, same_start
from hrm_core.evaluation.comparison_runs import RunFacts, read_facts
from hrm_core.recipe.experiments import known_experiment
from hrm_core.runs.catalogue import find_run, list_runs
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import output_tail, read_run
from hrm_core.runs.sweeps import Sweep
from hrm_core.runs.text import clean

Missing = dict[str, Any]


def runs_of_word(runs_dir: Path, word: str) -> list[RunFacts]:
    """The runs that a word means. UserError: there is no such run (2), or no finished run of that experiment (1)."""
    is_path = "/" in word or (runs_dir / word).is_dir()
    of_word = [] if is_path else [view for view in list_runs(runs_dir) if view.experiment == word]
    if not is_path and (of_word or known_experiment(word) is not None):
        views = [view for view in of_word if view.state == "finished"]
        views = [view for view in views if not view.run_json.get("parent")]
        if not views:
            raise UserError(
                f"there is no finished run of {word} in {clean(runs_dir)}; start one with `hrm run {word}`.", 1
            )
        return [read_facts(view.folder) for view in reversed(views)]
    return [read_facts(find_run(runs_dir, word))]


def arms_of_words(runs_dir: Path, base: str, others: Sequence[str]) -> tuple[Arm, list[Arm]]:
    """The control and the arms. Runs of the others that have the control's recipe join it, if any other arm is left."""
    ours = group_runs(runs_of_word(runs_dir, base))
    if len(ours) > 1:
        names = "; ".join(arm.name for arm in ours)
        raise UserError(f"{base} has runs of {len(ours)} recipes ({clean(names)}); name the runs to compare with.", 2)
    found = [run for word in others for run in runs_of_word(runs_dir, word)]
    own = {run.folder for run in ours[0].runs}
    same = [run for run in found if same_start(ours[0].runs[0], run) and run.folder not in own]
    different = [run for run in found if not same_start(ours[0].runs[0], run)]
    if different:
        arms = group_runs([*ours[0].runs, *same, *different])
        return arms[0], arms[1:]
    if not same:
        raise UserError(f"there is nothing to compare {clean(base)} with: the others are the same runs.", 2)
    # The same recipe on both sides: two sets of seeds, which the words alone tell apart.
    other = group_runs(same)[0]
    return ours[0], [Arm(f"{other.name}, other seeds", other.runs)]


def arms_of_sweep(runs_dir: Path, sweep: Sweep) -> tuple[Arm, list[Arm], list[Missing]]:
    """The control, the arms by name, and the sweep's runs without a final score. UserError (1) if the control has no
    run at all. The order in which a sweep was asked for is one of haste; a table is read by name.
    """
    facts: list[tuple[str, RunFacts]] = []
    missing: list[Missing] = []
    for planned in sweep.runs:
        layout = RunFolder(runs_dir / planned.name)
        entry: Missing = {"run_id": planned.name, "experiment": planned.experiment, "seed": planned.seed}
        if not layout.run_json.exists():
            said = output_tail(layout, 1)
            missing.append({**entry, "state": "not begun", "reason": said[-1][:300] if said else ""})
            continue
        try:
            run = read_facts(layout)
        except UserError as error:
            missing.append({**entry, "state": "unreadable", "reason": error.message})
            continue
        facts.append((planned.experiment, run))
        if run.score is None:
            missing.append({**entry, "state": run.state, "reason": _why(layout)})
    arms = group_runs([run for _, run in sorted(facts, key=lambda entry: entry[0])])
    control = [arm for arm in arms if arm.recipe.experiment == sweep.control]
    if not control:
        raise UserError(f"sweep {sweep.name} has no run of its control {sweep.control} yet; start it again.", 1)
    return control[0], [arm for arm in arms if arm is not control[0]], missing


def _why(layout: RunFolder) -> str:
    """What a run's files say about its not being finished; nothing of a run that goes on."""
    view = read_run(layout)
    reason = (view.result or {}).get("reason")
    if isinstance(reason, str) and reason:
        return reason[:300]
    # What the reader finds of a process that is gone or silent comes last, after the run's own alarms.
    return str(view.alarms[-1]["sentence"]) if view.alarms and view.state in ("lost", "stalled", "failed") else ""

"""One control against its arms: everything that `hrm compare` tells, as one plain document.

Evaluation room: the control's `Arm` and the others -> a dict that JSON can hold. Verdicts by `verdict.py` over the
scores of the last steps; all the rest describes. Every score has its best trivial value beside it. Words and tables are
in `comparison_words.py`; no torch here.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from hrm_core.evaluation import comparison_measures as measures
from hrm_core.evaluation.comparison_arms import Arm, changes
from hrm_core.evaluation.comparison_described import described
from hrm_core.evaluation.comparison_families import families_moved
from hrm_core.evaluation.comparison_runs import RunFacts, exact_of, kept_full_steps, solved_tests, trivial_of
from hrm_core.evaluation.verdict import FEWEST_SEEDS, PairedTests, Verdict, judge, paired_tests, plan_rule
from hrm_core.evaluation.verdict_statistics import null_share
from hrm_core.recipe.experiments import known_experiment
from hrm_core.runs.paired import count_families, pair_runs

Document = dict[str, Any]
EQUAL_WITHIN = 0.05
"""Arms count as equally long within 5 % of their segments, or of their tokens (EXP-07 against its 30 x 30 control)."""


def compare(control: Arm, arms: Sequence[Arm]) -> Document:
    """The document: `control`, `arms` (each with its `verdict`), `tests`, `notes`."""
    split, pairs, tasks, digest = control.runs[0].tests
    reasons = {arm.name: reason for arm in arms if (reason := _not_comparable(control, arm))}
    verdicts = judge(control.scores, {arm.name: arm.scores for arm in arms}, max(tasks, 2), reasons)
    return {
        "tests": {"split": split, "pairs": pairs, "tasks": tasks, "data_digest": digest},
        "control": describe_arm(control) | {"null_check": _null_check(control, tasks)},
        "arms": [_against(control, arm, verdicts[arm.name]) for arm in arms],
        "notes": _notes(control, arms),
    }


def describe_arm(arm: Arm) -> Document:
    """What an arm is and scored, without reference to a control."""
    experiment = known_experiment(arm.recipe.experiment)
    first = arm.runs[0]
    scores = arm.scores
    trivial = next((found for run in arm.finished if (found := trivial_of(run.final)) is not None), None)
    mean = _mean_over(arm.runs)
    return {
        "name": arm.name,
        "experiment": arm.recipe.experiment,
        "title": experiment.title if experiment else "",
        "preset": arm.recipe.preset,
        "seeds": [run.seed for run in arm.finished],
        "runs": [describe_run(run) for run in arm.runs],
        "score": {
            "mean": statistics.fmean(scores) if scores else None,
            "sd": statistics.stdev(scores) if len(scores) > 1 else None,
            "trivial": None if trivial is None else {"name": trivial[0], "value": trivial[1]},
        },
        "to_best": _to_best(arm),
        "roughness": mean(lambda run: measures.roughness(measures.scores_of(run))),
        "spread_of_last_five": mean(lambda run: measures.spread_of_last(measures.scores_of(run))),
        "lost_since_previous": mean(
            lambda run: None if (lost := measures.lost_since_previous(run)) is None else float(len(lost))
        ),
        "stability": {
            key: mean(lambda run, key=key: measures.stability(run.metrics)[key])  # type: ignore[misc]
            for key in measures.stability(())
        },
        "described": described(arm.finished),
        "seconds_per_step": mean(measures.seconds_per_step),
        "parameters": measures.parameters(first),
        "peak_memory_gib": max((value for run in arm.runs if (value := measures.peak_memory_gib(run))), default=None),
        "cannot_act": next((why for run in arm.finished if (why := measures.cannot_act(run))), ""),
    }


def describe_run(run: RunFacts) -> Document:
    """One seed."""
    trivial = trivial_of(run.full[-1] if run.full else None)
    end = run.place(int(run.full[-1]["step"])) if run.full else None
    return {
        "run_id": run.run_id,
        "seed": run.seed,
        "state": run.state,
        "score": run.score,
        "trivial": None if trivial is None else {"name": trivial[0], "value": trivial[1]},
        "best": run.best,
        "best_step": next((int(row["step"]) for row in run.full if exact_of(row) == run.best), None),
        "end": None if end is None else vars(end),
        "validations": len(run.full),
    }


def _mean_over(runs: Sequence[RunFacts]) -> Callable[[Callable[[RunFacts], float | None]], float | None]:
    """A function that gives the mean of a measure over the runs that have it."""

    def mean(measure: Callable[[RunFacts], float | None]) -> float | None:
        known = [value for run in runs if (value := measure(run)) is not None]
        return statistics.fmean(known) if known else None

    return mean


def _to_best(arm: Arm) -> Document:
    """Means over the runs that solved anything; `joules` is None where any of these was not measured."""
    found = [place for run in arm.finished if (place := measures.to_best(run)) is not None]
    means: Document = {"runs": len(found)}
    for key in ("step", "segments", "seconds", "joules"):
        values = [place[key] for place in found]
        means[key] = statistics.fmean(values) if values and None not in values else None
    return means


def _not_comparable(control: Arm, arm: Arm) -> str:
    """Why the last scores of two arms cannot be held against each other; empty if they can."""
    if not control.finished or not arm.finished:
        return ""
    ours, theirs = control.finished[0].tests, arm.finished[0].tests
    if ours != theirs:
        if ours[:3] == theirs[:3]:
            return "it was scored on other data than the control"
        return f"it was scored on {theirs[1]} tests of {theirs[0]}, the control on {ours[1]} of {ours[0]}"
    lengths = [
        [length for run in side.finished if (length := measures.length(run, "segments"))] for side in (control, arm)
    ]
    passed = [[count for run in side.finished if (count := measures.tokens(run))] for side in (control, arm)]
    if all(lengths) and not _equal(lengths) and not (all(passed) and _equal(passed)):
        means = [statistics.fmean(side) for side in lengths]
        return f"it is not at equal segments ({means[1]:,.0f} against {means[0]:,.0f})"
    return ""


def _equal(sides: Sequence[Sequence[float]]) -> bool:
    """Whether the means of both sides lie within a few percent."""
    first, second = (statistics.fmean(side) for side in sides)
    return abs(first - second) <= EQUAL_WITHIN * max(first, second)


def _against(control: Arm, arm: Arm, verdict: Verdict) -> Document:
    """An arm with all that is told of it against the control."""
    noise = [
        value for run in control.finished if (value := measures.validation_noise(measures.scores_of(run))) is not None
    ]
    validations = round(statistics.fmean([len(run.full) for run in arm.finished])) if arm.finished else 0
    rule = plan_rule(
        [run.best for run in arm.finished if run.best is not None],
        [run.best for run in control.finished if run.best is not None],
        validations,
        statistics.fmean(noise) if noise else 0.0,
    )
    return describe_arm(arm) | {
        "difference": changes(control.recipe, arm.recipe),
        "verdict": {**vars(verdict), "text": verdict.text},
        "plan_rule": None if rule is None else {**vars(rule), "met": rule.met, "text": rule.text},
        "equal": [_equal_point(control, arm, by) for by in ("steps", "seconds", "segments")],
        "families": families_moved(control.finished, arm.finished),
        "tests": _tests(control, arm),
    }


def _equal_point(control: Arm, arm: Arm, by: measures.By) -> Document:
    """Mean scores of both sides at the last point that all their runs reached."""
    runs = [*control.finished, *arm.finished]
    lengths = [length for run in runs if (length := measures.length(run, by)) is not None]
    if not control.finished or not arm.finished or len(lengths) < len(runs):
        return {"by": by, "at": None, "control": None, "arm": None}
    at = min(lengths)
    means = [_mean_over(side.finished)(lambda run: measures.score_at(run, by, at)) for side in (control, arm)]
    return {"by": by, "at": at, "control": means[0], "arm": means[1]}


def _tests(control: Arm, arm: Arm) -> Document | None:
    """The paired table of two checkpoints, the lowest seed that both sides have (else the lowest of each)."""
    if not control.finished or not arm.finished:
        return None
    common = sorted({run.seed for run in control.finished} & {run.seed for run in arm.finished})
    pair = [
        next((run for run in side.finished if common and run.seed == common[0]), side.finished[0])
        for side in (control, arm)
    ]
    steps = [max(kept_full_steps(run), default=None) for run in pair]
    if steps[0] is None or steps[1] is None:
        return None
    table = paired_tests(solved_tests(pair[0], steps[0]), solved_tests(pair[1], steps[1]))
    paired = pair_runs(pair[0].folder, pair[1].folder, (steps[0], steps[1])).tests if table.num_tests else ()
    return {
        "title": PairedTests.TITLE,
        "checkpoints": [f"{run.run_id}@{step}" for run, step in zip(pair, steps, strict=True)],
        **vars(table),
        "families": [vars(family) for family in count_families(paired)],
    }


def _null_check(control: Arm, tasks: int) -> Document | None:
    """The control's own seeds against each other; None with fewer than six."""
    if len(control.scores) < 2 * FEWEST_SEEDS:
        return None
    share, choices = null_share(control.scores, FEWEST_SEEDS, max(tasks, 2))
    return {"share": share, "choices": choices, "seeds": len(control.scores)}


def _notes(control: Arm, arms: Sequence[Arm]) -> list[str]:
    """What must be said beside these numbers."""
    notes: list[str] = []
    for run in (run for arm in (control, *arms) for run in arm.runs):
        if run.full:
            notes += [str(note) for note in run.full[-1].get("notes") or ()]
    everyone = [run for arm in (control, *arms) for run in arm.runs]
    if any(run.recipe.training.share_device for run in everyone):
        notes.append("runs shared a GPU: times and joules mean little")
    if len({run.recipe.training.threads for run in everyone}) > 1:
        notes.append("runs had different numbers of threads: times mean little")
    if len({run.run_json.get("device") for run in everyone}) > 1:
        notes.append("runs were made on different devices: times mean little")
    if any(run.score is None for run in everyone):
        notes.append("runs without a final validation are listed and do not count")
    return list(dict.fromkeys(notes))

"""Which families of tasks an arm solves more or less of than its control. They describe; a family decides nothing.

Evaluation room: the final rows of two sets of runs -> one entry a family. The interval is Wilson's for the mean over
seeds with the family's number of tests (its seeds see the same tests, so they add none). No torch here.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from hrm_core.evaluation.comparison_runs import RunFacts
from hrm_core.evaluation.families import wilson_interval
from hrm_core.runs.files import integer, mapping, number


def families_moved(control: Sequence[RunFacts], arm: Sequence[RunFacts]) -> list[dict[str, Any]]:
    """Every family that both sides have, the largest change first: tests, means, intervals, whether these are apart."""
    ours, theirs = _means(control), _means(arm)
    moved = []
    for name in sorted(ours.keys() & theirs.keys()):
        tests, before = ours[name]
        after = theirs[name][1]
        if theirs[name][0] != tests:
            continue
        before_interval, after_interval = (wilson_interval(share * tests, tests) for share in (before, after))
        moved.append(
            {
                "family": name,
                "tests": tests,
                "control": before,
                "arm": after,
                "change": after - before,
                "control_interval": list(before_interval),
                "arm_interval": list(after_interval),
                "apart": after_interval[0] > before_interval[1] or after_interval[1] < before_interval[0],
            }
        )
    return sorted(moved, key=lambda family: (-abs(family["change"]), family["family"]))


def _means(runs: Sequence[RunFacts]) -> dict[str, tuple[int, float]]:
    """Family, ours or the plan's -> number of tests, mean share solved over the runs."""
    found: dict[str, list[tuple[int, float]]] = {}
    for run in runs:
        for key, mark in (("families", ""), ("plan_families", "the plan's ")):
            families = mapping(run.final, key)
            for name in families:
                tests, exact = integer(families[name], "pairs"), number(families[name], "exact")
                if tests and exact is not None:
                    found.setdefault(mark + name, []).append((tests, exact))
    return {
        name: (seen[0][0], statistics.fmean(exact for _, exact in seen))
        for name, seen in found.items()
        if len(seen) == len(runs)
    }

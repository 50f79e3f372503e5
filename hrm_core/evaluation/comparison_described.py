"""The other numbers of the last validation, arm beside arm: voting, calibration, halting, sensitivity.

Evaluation room: the final rows of runs -> means over seeds, by a name for people; None where it was not measured. They
describe; only `exact` decides. What `hrm eval` measures on request (sharpness, colour copies, latency) is not in them.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final

from hrm_core.evaluation.comparison_runs import RunFacts
from hrm_core.runs.files import Row, mapping, number
from hrm_core.runs.reader import best_trivial

# Name for people, where it is in an evaluation row. The base rate stands beside the three of calibration, and the best
# trivial value beside every metric that has one.
PLACES: Final = (
    ("pass@2", ("metrics", "pass_at_2")),
    ("cells", ("metrics", "cell_accuracy")),
    ("changed cells", ("metrics", "changed_cell_accuracy")),
    ("exact without duplicates", ("without_duplicates", "exact")),
    ("val loss", ("loss",)),
    ("ECE", ("calibration", "ece")),
    ("Brier", ("calibration", "brier")),
    ("AUROC", ("calibration", "auroc")),
    ("base rate", ("calibration", "base_rate")),
    ("never halts", ("halting", "never")),
    ("depth against error, correlation", ("halting_analysis", "depth_error", "correlation")),
    ("segments saved at equal accuracy", ("halting_analysis", "equal_accuracy", "share")),
    ("input sensitivity", ("input_sensitivity",)),
    ("identity sensitivity", ("identity_sensitivity",)),
)


def described(runs: Sequence[RunFacts]) -> dict[str, dict[str, Any]]:
    """Name -> `{value, trivial}`, means over the runs that have it; names that no run has are left out."""
    found = {}
    for name, path in PLACES:
        values = [value for run in runs if (value := _at(run.final, path)) is not None]
        if values:
            found[name] = {"value": statistics.fmean(values), "trivial": _trivial(runs, path)}
    return found


def _at(row: Row | None, path: Sequence[str]) -> float | None:
    place: object = row
    for name in path[:-1]:
        place = mapping(place, name)
    return number(place, path[-1])


def _trivial(runs: Sequence[RunFacts], path: Sequence[str]) -> float | None:
    """The best trivial value of a metric on the same tests."""
    if path[0] != "metrics":
        return None
    known = [best for run in runs if (best := best_trivial(run.final, path[1])) is not None]
    return known[0][1] if known else None

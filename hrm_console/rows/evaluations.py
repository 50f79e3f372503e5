"""What a row of evaluations.jsonl says of a metric: its value, the best trivial predictor's, the lift.

The numbers alone of what `hrm_core.runs.reader` finds. What else the console knows of a run is in `feed.py`.
"""

from __future__ import annotations

from typing import Any

from hrm_core.runs import reader
from hrm_core.runs.files import mapping, number
from hrm_core.runs.reader import lift_of

__all__ = ["Row", "best_of", "best_trivial", "lift_of", "metric_of"]

Row = dict[str, Any]


def best_trivial(evaluation: Row | None, metric: str) -> float | None:
    """The best trivial predictor's value of a metric, on the samples of this evaluation."""
    return best_of(mapping(mapping(evaluation, "trivial"), metric))


def best_of(values: Row) -> float | None:
    """The largest of the trivial predictors' values, `{name: value}`."""
    found = reader.best_of(values)
    return None if found is None else found[1]


def metric_of(evaluation: Row | None, metric: str) -> float | None:
    """A metric of an evaluation row, or None."""
    return number(mapping(evaluation, "metrics"), metric)

"""What a row of evaluations.jsonl says of a metric: its value, the best trivial predictor's, the lift.

Rows are data from a file: a value that is none is None here. What else the console knows of a run is in `feed.py`.
"""

from __future__ import annotations

from typing import Any

from hrm_console.words import finite

Row = dict[str, Any]


def best_trivial(evaluation: Row | None, metric: str) -> float | None:
    """The best trivial predictor's value of a metric, on the samples of this evaluation."""
    return best_of(((evaluation or {}).get("trivial") or {}).get(metric))


def best_of(values: Any) -> float | None:
    """The largest of the trivial predictors' values, `{name: value}`."""
    if not isinstance(values, dict):
        return None
    found = [value for value in map(finite, values.values()) if value is not None]
    return max(found) if found else None


def metric_of(evaluation: Row | None, metric: str) -> float | None:
    """A metric of an evaluation row, or None."""
    return finite(((evaluation or {}).get("metrics") or {}).get(metric))


def lift_of(evaluation: Row | None, metric: str) -> float | None:
    """Metric minus the best trivial predictor's."""
    written = finite(((evaluation or {}).get("lift") or {}).get(metric))
    value, trivial = metric_of(evaluation, metric), best_trivial(evaluation, metric)
    return written if written is not None else None if value is None or trivial is None else value - trivial

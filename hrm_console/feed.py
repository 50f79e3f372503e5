"""What the console knows of the run it follows: curves, the newest rows, events and the log's tail. No Textual here.

batches of rows read by watching.py -> `Feed`, owned by the app's thread -> charts for the screens. A run of 100,000
steps is 10,000 points for each of five curves. Runs that are only listed have no feed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, final

from hrm_console.charts.chart import Mark
from hrm_console.charts.series import Series
from hrm_console.words import finite

Row = dict[str, Any]
LOG_LINES = 1_000
EVENTS = 500
BEST_MARK, WARN_MARK, QUIET_MARK = 114, 203, 240
EVENT_MARKS = {
    "resumed": ("resumed", QUIET_MARK),
    "best": ("best", BEST_MARK),
    "rollback": ("rollback", WARN_MARK),
    "nonfinite": ("not finite", WARN_MARK),
    "early_stop": ("early stop", QUIET_MARK),
}


@final
@dataclass
class Batch:
    """Rows read since the last batch; `whole` says that what was known before is to be forgotten."""

    run_id: str
    whole: bool = False
    metrics: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.whole or self.metrics or self.evaluations or self.events or self.log)


def best_trivial(evaluation: Row | None, metric: str) -> float | None:
    """The best trivial predictor's value of a metric, on the samples of this evaluation."""
    values = ((evaluation or {}).get("trivial") or {}).get(metric) or {}
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


@final
class Feed:
    """The followed run's rows as curves. Everything is in the order of the files."""

    TRAINING_CURVES = ("loss", "token_accuracy", "lr", "grad_norm", "samples_per_sec")
    VALIDATION_CURVES = ("loss", "exact", "cell_accuracy")

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.forget()

    def forget(self) -> None:
        """Begin again with nothing read."""
        self.training = {name: Series(name) for name in self.TRAINING_CURVES}
        self.fast = {name: Series(name) for name in self.VALIDATION_CURVES}
        self.full = {name: Series(name) for name in self.VALIDATION_CURVES}
        self.metrics: Row | None = None
        self.evaluations: list[Row] = []
        self.events: deque[Row] = deque(maxlen=EVENTS)
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.marks: list[Mark] = []
        self.read = False
        self.log_count = 0

    def take(self, batch: Batch) -> None:
        """Add what was read."""
        if batch.whole:
            self.forget()
        self.read = True
        for row in batch.metrics:
            self._take_metrics(row)
        for row in batch.evaluations:
            self._take_evaluation(row)
        for row in batch.events:
            self._take_event(row)
        self.log.extend(batch.log)
        self.log_count += len(batch.log)

    def _take_metrics(self, row: Row) -> None:
        step, elapsed = finite(row.get("step")), finite(row.get("elapsed_s"))
        if step is None:
            return
        self.metrics = row
        for name, series in self.training.items():
            if name in row and not (name == "token_accuracy" and row[name] is None):
                series.append(step, row[name], time=elapsed if elapsed is not None else 0.0)

    def _take_evaluation(self, row: Row) -> None:
        step = finite(row.get("step"))
        if step is None:
            return
        while self.evaluations and (finite(self.evaluations[-1].get("step")) or 0) > step:
            self.evaluations.pop()
        self.evaluations.append(row)
        curves = self.full if row.get("kind") == "full" else self.fast
        values = {"loss": finite(row.get("loss"))} | {n: metric_of(row, n) for n in self.VALIDATION_CURVES[1:]}
        for name, value in values.items():
            if value is not None:
                curves[name].append(step, value)

    def _take_event(self, row: Row) -> None:
        self.events.append(row)
        label, color = EVENT_MARKS.get(str(row.get("kind")), ("", None))
        step = finite(row.get("step"))
        if label and step is not None:
            if label == "best":
                self.marks = [mark for mark in self.marks if mark.label != "best"]
            self.marks.append(Mark(step, label, color=color))

    @property
    def evaluation(self) -> Row | None:
        """The newest evaluation."""
        return self.evaluations[-1] if self.evaluations else None

    def newest(self, kind: str) -> Row | None:
        """The newest evaluation of a kind, "fast" or "full"."""
        return next((row for row in reversed(self.evaluations) if row.get("kind") == kind), None)

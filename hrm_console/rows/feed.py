"""What the console knows of a run it follows: curves, the newest rows, events and the log's tail. No Textual here.

batches of rows read by following.py -> `Feed`, owned by the app's thread -> charts for the screens. Every number that
the rows of training hold is a curve under its own name, and so is every number of the validations; all have the x axes
step, time, samples and joules as far as the run has them. Curves of training share their axes: 25 of 100,000 rows take
20 MB. Runs that are only listed have no feed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import compress
from typing import final

from hrm_console.charts.chart import Mark
from hrm_console.charts.series import Series
from hrm_console.rows.axes import Axes
from hrm_console.rows.blocks import NAN, STEP, Block, block_of_rows, rising_parts
from hrm_console.rows.evaluations import Row, best_trivial
from hrm_console.rows.marks import KINDS, marks_of
from hrm_console.words import finite
from hrm_core.runs.files import string

LOG_LINES = 1_000
EVENTS = 500
WHOLE = 32  # so many validations are kept as they were written
KEPT = (STEP, "kind", "trivial")  # and of the older ones this
# Here a missing value says that the number was not finite; elsewhere that nothing was measured.
BROKEN_BY_GAPS = frozenset({"loss", "token_loss", "halt_loss", "grad_norm"})
NO_CURVES = frozenset({STEP, "elapsed_s"})
NO_METRICS = frozenset({STEP, "elapsed_s", "pairs", "tasks", "oversize"})
GROUPS = ("calibration", "halting", "without_duplicates")


@final
@dataclass
class Batch:
    """Rows read since the last batch; `whole` says that what was known before is to be forgotten.

    The rows of training are a block, or rows where somebody has only those. share: how much of a long file is read.
    """

    run_id: str
    whole: bool = False
    metrics: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    block: Block | None = None
    share: float | None = None

    def __bool__(self) -> bool:
        return bool(self.whole or self.metrics or self.evaluations or self.events or self.log or self.block)


def numbers_of(evaluation: Row) -> dict[str, float]:
    """Every number of a validation by name: its metrics, what stands beside them, and groups as `calibration.ece`."""
    found = {name: value for name, value in evaluation.items() if name not in NO_METRICS}
    for group in GROUPS:
        if isinstance(values := evaluation.get(group), dict):
            found |= {f"{group}.{name}": value for name, value in values.items() if name not in NO_METRICS}
    metrics = evaluation.get("metrics")
    found |= metrics if isinstance(metrics, dict) else {}
    return {str(name): number for name, value in found.items() if (number := finite(value)) is not None}


@final
class Feed:
    """A followed run's rows as curves. Everything is in the order of the files."""

    TRAINING_CURVES = ("loss", "token_accuracy", "lr", "grad_norm", "samples_per_sec")
    VALIDATION_CURVES = ("loss", "exact", "cell_accuracy")

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.forget()

    def forget(self) -> None:
        """Begin again with nothing read."""
        self.axes: dict[str, array[float]] = {STEP: array("d")}
        self.training = {name: Series.sharing(name, self.axes) for name in self.TRAINING_CURVES}
        self.fast = {name: Series(name) for name in self.VALIDATION_CURVES}
        self.full = {name: Series(name) for name in self.VALIDATION_CURVES}
        self.metrics: Row | None = None
        self.evaluations: list[Row] = []  # the last ones as they were written
        self._whole: dict[str, Row] = {}  # of each kind the newest
        self.events: deque[Row] = deque(maxlen=EVENTS)
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.marks: list[Mark] = []
        self._notable: deque[Row] = deque(maxlen=EVENTS)
        self.read = False
        self.share: float | None = None
        self.log_count = 0
        self._apart: set[str] = set()  # curves with x columns of their own, since not every row has them
        self._join = Axes()
        self._placed = 0.0  # the last step of training when validations and events were last put on the other axes

    def take(self, batch: Batch) -> None:
        """Add what was read."""
        if batch.whole:
            self.forget()
        self.read = True
        self.share = batch.share
        if batch.block is not None:
            self._take_block(batch.block)
        block = block_of_rows(batch.metrics)
        for part in () if block is None else rising_parts(block):
            self._join.join(part)
            self._take_block(part)
        for row in batch.evaluations:
            self._take_evaluation(row)
        self.events.extend(batch.events)
        self._notable.extend(row for row in batch.events if string(row, "kind") in KINDS)
        self._place(batch)
        self.log.extend(batch.log)
        self.log_count += len(batch.log)

    # Training -----------------------------------------------------------------------------------------------------

    def _take_block(self, block: Block) -> None:
        steps, count = block.columns[STEP], len(block)
        self.metrics = block.last
        own = self.axes[STEP]
        if own and steps[0] < own[-1]:
            self._cut(steps[0])
        length = len(own)
        for kind, column in block.axes.items():
            if kind not in self.axes:  # an axis that begins now: earlier points are put where it does
                self.axes[kind] = array("d", [column[0]]) * length
        for kind, column in self.axes.items():
            if kind != STEP:
                last = column[-1:] if column else array("d", [0.0])
                column.extend(block.axes.get(kind) or last * count)
        own.extend(steps)
        for name in {*block.columns, *self.training} - NO_CURVES:
            self._take_column(name, block, length)

    def _take_column(self, name: str, block: Block, length: int) -> None:
        column = block.columns.get(name)
        series = self.training.get(name)
        if series is None:
            series = self.training[name] = Series.sharing(name, self.axes)
            if name in BROKEN_BY_GAPS or not length:
                series.extend_values(array("d", [NAN]) * length)
            else:
                series.leave_gaps_out()
                self._apart.add(name)
        if name not in self._apart:
            finite = column is not None and block.gaps is not None and name not in block.gaps
            series.extend_values(array("d", [NAN]) * len(block) if column is None else column, finite)
            if len(series) > series.num_finite and name not in BROKEN_BY_GAPS:
                series.leave_gaps_out()
                self._apart.add(name)
        elif column is not None:
            there = [value == value for value in column]  # not nan
            axes = {kind: array("d", compress(found, there)) for kind, found in block.axes.items()}
            steps, values = array("d", compress(block.columns[STEP], there)), array("d", compress(column, there))
            series.extend(steps, values, **axes)

    def _cut(self, step: float) -> None:
        """Forget the rows of training above a step: the run went back to a checkpoint and comes again."""
        length = bisect_right(self.axes[STEP], step)
        for column in self.axes.values():
            del column[length:]
        for name, series in self.training.items():
            if name in self._apart:
                series.cut(step)
            else:
                series.keep(length)

    # Validations and events ---------------------------------------------------------------------------------------

    def _take_evaluation(self, row: Row) -> None:
        step = finite(row.get(STEP))
        if step is None:
            return
        while self.evaluations and (finite(self.evaluations[-1].get(STEP)) or 0) > step:
            self.evaluations.pop()
        self.evaluations.append(row)
        self._whole[string(row, "kind") or ""] = row
        if len(self.evaluations) > WHOLE:
            self._shorten(len(self.evaluations) - WHOLE - 1)
        curves = self.full if row.get("kind") == "full" else self.fast
        for name, value in numbers_of(row).items():
            curves.setdefault(name, Series(name)).append(step, value)

    def _shorten(self, place: int) -> None:
        """Of an older validation keeps what its mark says: a row has hundreds of values, a day-long run thousands of
        rows. What the trivial predictors get is mostly the same, and then kept once."""
        row = self.evaluations[place]
        short = {name: row[name] for name in KEPT if name in row}
        before = self.evaluations[place - 1].get("trivial") if place else None
        if before is not None and before == short.get("trivial"):
            short["trivial"] = before
        self.evaluations[place] = short

    def _place(self, batch: Batch) -> None:
        """Put validations and events on the other axes, by the rows of training at their steps."""
        last = self.axes[STEP][-1] if self.axes[STEP] else 0.0
        newest = max(
            [finite(row.get(STEP)) or 0.0 for row in (*self.evaluations[-1:], *list(self._notable)[-1:])], default=0.0
        )
        due = batch.evaluations or batch.events or (last != self._placed and newest > self._placed)
        if not due:
            return
        self._placed = last
        curves = [*self.fast.values(), *self.full.values()]
        places = {step: self.place_of(step) for step in {step for series in curves for step in series.xs}}
        for series in curves:
            axes = {kind: [places[step][kind] for step in series.xs] for kind in self.axes if kind != STEP}
            series.put_axes(axes if self.axes[STEP] else {})
        self.marks = marks_of(self._notable, self.place_of)

    def place_of(self, step: float) -> dict[str, float]:
        """Where a step lies on the other axes: at the row of training at or before it."""
        if not self.axes[STEP]:
            return {}
        at = max(0, bisect_right(self.axes[STEP], step) - 1)
        return {kind: column[at] for kind, column in self.axes.items() if kind != STEP}

    def trivial(self, metric: str) -> float | None:
        """What the best trivial predictor gets, on the samples of the newest full validation, or else of any."""
        found = best_trivial(self.newest("full"), metric)
        return best_trivial(self.evaluation, metric) if found is None else found

    @property
    def evaluation(self) -> Row | None:
        """The newest evaluation."""
        return self.evaluations[-1] if self.evaluations else None

    def newest(self, kind: str) -> Row | None:
        """The newest evaluation of a kind, "fast" or "full"."""
        found = next((row for row in reversed(self.evaluations) if row.get("kind") == kind), None)
        whole = self._whole.get(kind)
        same = found is not None and whole is not None and whole.get(STEP) == found.get(STEP)
        return whole if same else found

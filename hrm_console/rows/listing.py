"""One run as the screens list it, from what the reader says of its folder.

`hrm_core.runs.reader.RunView` -> `RunLine`, a frozen value that is compared with the one before, so that a tick that
changed nothing paints nothing. Built in the watching thread; text is cleaned where it is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from hrm_console.rows.evaluations import Row, best_trivial, lift_of, metric_of
from hrm_console.words import ENDED, finite
from hrm_core.runs.facts import Facts, make_facts
from hrm_core.runs.reader import RunView


@final
@dataclass(frozen=True)
class Alarm:
    """A sentence with the numbers, and what to try."""

    name: str
    sentence: str
    advice: str


@final
@dataclass(frozen=True)
class RunLine:
    """What is shown of a run without opening it. Shares are of 1, times in seconds."""

    run_id: str
    folder: Path
    experiment: str
    state: str
    step: float | None = None
    max_steps: float | None = None
    loss: float | None = None
    exact: float | None = None
    trivial: float | None = None
    lift: float | None = None
    speed: float | None = None
    eta_s: float | None = None
    best: Row | None = None
    alarms: tuple[Alarm, ...] = ()
    status: Row = field(default_factory=dict)
    result: Row = field(default_factory=dict)
    run_json: Row = field(default_factory=dict)
    where: str = ""

    @property
    def fraction(self) -> float | None:
        """Share of the steps that are done."""
        return None if self.step is None or not self.max_steps else self.step / self.max_steps

    @property
    def ended(self) -> bool:
        """Whether the run has written its result."""
        return self.state in ENDED


def run_line(view: RunView) -> RunLine:
    """The line of a run. Values that its files do not hold (yet) are None."""
    status, evaluation = view.status, view.evaluation
    moving = view.state in ("running", "starting", "stopping")
    return RunLine(
        run_id=view.run_id,
        folder=Path(view.folder),
        experiment=view.experiment,
        state=view.state,
        step=finite(view.step),
        max_steps=finite(view.max_steps),
        loss=finite((view.metrics or {}).get("loss")),
        exact=metric_of(evaluation, "exact"),
        trivial=best_trivial(evaluation, "exact"),
        lift=lift_of(evaluation, "exact"),
        speed=finite(status.get("samples_per_sec")) if moving else None,
        eta_s=finite(status.get("eta_s")) if moving else None,
        best=view.best,
        alarms=tuple(alarm_of(row) for row in view.alarms),
        status=status,
        result=view.result or {},
        run_json=view.run_json,
        where=view.where,
    )


def line_facts(line: RunLine, now_s: float, marked: bool = False) -> Facts:
    """What filters and sorting ask of a run."""
    return make_facts(
        line.run_id,
        line.experiment,
        line.state,
        line.run_json,
        line.status,
        marked=marked,
        alarms=tuple(alarm.name for alarm in line.alarms),
        ended=bool(line.result),
        now_s=now_s,
        val=line.exact,
        trivial=line.trivial,
        lift=line.lift,
        best=finite((line.best or {}).get("value")),
        loss=line.loss,
        step=line.step,
        steps=line.max_steps,
        speed=line.speed,
        eta=line.eta_s,
    )


def alarm_of(row: Row) -> Alarm:
    """An alarm as the reader gives it."""
    return Alarm(*(str(row.get(key) or "") for key in ("name", "sentence", "advice")))


def newest_first(lines: Iterable[RunLine]) -> tuple[RunLine, ...]:
    """Runs that need somebody come first, then the ended ones; within each the order of the catalogue, newest first."""
    return tuple(sorted(lines, key=lambda line: line.ended))

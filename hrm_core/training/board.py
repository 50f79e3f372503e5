"""What a run shows of itself: status.json at least once a second, and the alarm of a device slowed by heat.

Training room: Progress, the last row of metrics, the device -> status.json. What is in it is `measures.status_of`; who
reads it raises and takes back alarms. Not here: what a disk that is full has to say, which is only passed on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, final

from hrm_core.recipe.schema import Recipe
from hrm_core.runs.throttling import ADVICE, slowed_by_heat
from hrm_core.runs.writer import RunWriter
from hrm_core.training.clocks import ClockWatch
from hrm_core.training.data_watch import DataWatch
from hrm_core.training.measures import status_of
from hrm_core.training.progress import Progress
from hrm_core.training.telemetry import Telemetry

STATUS_EVERY_S = 1.0


@final
class Board:
    """The status of one run. row, rate: of the last metrics; state: as it was shown last, but for a full disk."""

    def __init__(
        self, writer: RunWriter, recipe: Recipe, progress: Progress, telemetry: Telemetry, say: Callable[[str], None]
    ) -> None:
        self.writer = writer
        self.recipe = recipe
        self.progress = progress
        self.telemetry = telemetry
        self.say = say
        self.row: dict[str, Any] | None = None
        self.rate = 0.0
        self.state = "starting"
        self.disk_alarms: Callable[[], list[dict[str, Any]]] = list
        self.clocks = ClockWatch(self._gap)
        self.data: DataWatch | None = None
        self._throttled = False
        self._shown_at = 0.0

    def again(self) -> None:
        """The same state, with the alarms of now."""
        self.show(self.state, force=True)

    def show(self, state: str, force: bool = False) -> None:
        """Writes the status, unless that was done within the last second."""
        self.state = state
        now = time.monotonic()
        if not force and now - self._shown_at < STATUS_EVERY_S:
            return
        self._shown_at = now
        self.clocks.look()
        progress, alarms = self.progress, self.recipe.alarms
        disk = self.disk_alarms()
        if self.data is not None and not disk:  # on a full disk there may be no event of it for a while
            self.data.look(force)
        status = status_of(
            progress,
            "paused" if disk else state,
            self.row,
            self.rate,
            [*disk, *progress.alarms],
            progress.step < alarms.warmup_share * progress.plan.max_steps,
            alarms.stalled_s,
            self.telemetry.status(),
        )
        self.writer.status(status)
        self._heat(slowed_by_heat(status))

    def end(self, state: str, reason: str, last: Mapping[str, Any] | None) -> None:
        """The last event, status and line, and result.json; `last` is the row of the last full validation."""
        progress = self.progress
        if self.data is not None:
            self.data.look(force=True)
        self.writer.event(state, progress.step, reason=reason)
        self.say(f"{state} at step {progress.step}: {reason}")
        self.show(state, force=True)
        self.writer.result(
            {
                "state": state,
                "reason": reason,
                "step": progress.step,
                "elapsed_s": round(progress.elapsed_s, 1),
                "best": progress.best,
                "last": None if last is None else {key: last[key] for key in ("step", "score", "loss", "metrics")},
            }
        )

    def _gap(self, kind: str, seconds: float) -> None:
        step = self.progress.step
        self.writer.event(kind, step, seconds=round(seconds, 1))
        if kind == "held":
            self.say(f"step {step}: going on after a signal held the run, for {seconds:.0f} s at most")
        else:
            self.say(f"step {step}: the clock jumped by {seconds:+.0f} s (it was set, or the machine slept)")

    def _heat(self, sentence: str) -> None:
        """The reader raises the alarm and takes it back; here it is written down when it begins, and told."""
        if sentence and not self._throttled:
            self.writer.event("alarm", self.progress.step, name="throttled", sentence=sentence, advice=ADVICE)
            self.say(f"ALARM throttled: {sentence} {ADVICE}")
        self._throttled = bool(sentence)

"""The loop around the step: cadences, checkpoints, requests, signals, policies, and how a run ends.

Training room: an opened RunWriter, StepParts, Dataset and Progress -> a finished run folder. The loop reads numbers
from the device every `training.log_every` steps only. What a step does is `step.py`; when things are due is `plan.py`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any, final

import torch

from hrm_core.data.dataset import Dataset
from hrm_core.recipe.spans import parse_time
from hrm_core.runs.control import Inbox
from hrm_core.runs.signals import answered
from hrm_core.runs.snapshots import latest_good, prune
from hrm_core.runs.throttling import ADVICE, slowed_by_heat
from hrm_core.runs.writer import RunWriter
from hrm_core.techniques.points import Event
from hrm_core.training.checkpoint import load_state, save_snapshot
from hrm_core.training.graphs import make_step
from hrm_core.training.measures import metrics_row, status_of, take_sums
from hrm_core.training.plan import MEASURED_STEPS, make_plan
from hrm_core.training.policy import Policy
from hrm_core.training.progress import Progress
from hrm_core.training.step import StepParts, Sum, train_step
from hrm_core.training.telemetry import Telemetry
from hrm_core.training.validation import Validator
from hrm_core.training.validation_gate import Decay, EarlyStop

STATUS_EVERY_S = 1.0
LOG_EVERY_S = 15.0
PAUSE_POLL_S = 0.2
PAUSE_BEAT_S = 20.0


@final
class Trainer:
    """Trains one run to its end. `say` gets lines for the log; the terminal's copy is the caller's affair."""

    def __init__(
        self,
        writer: RunWriter,
        parts: StepParts,
        dataset: Dataset,
        progress: Progress,
        policy: Policy,
        say: Callable[[str], None],
    ) -> None:
        self.writer = writer
        self.parts = parts
        self.recipe = parts.recipe
        self.dataset = dataset
        self.progress = progress
        self.policy = policy
        self.say = say
        self.step = make_step(parts, say)
        self.inbox = Inbox(writer.layout)
        self.telemetry = Telemetry(parts.model.device)
        self.validator = Validator(parts, dataset, writer, progress, say)
        self.schedule = progress.plan.schedule(self.recipe)
        self._follow_plan()
        self.budget_s = parse_time(self.recipe.training.time_budget).seconds
        self.ending: str | None = None  # "finished", "stopped" or "failed", once decided
        self.reason = ""
        self.save_at_end = True
        self.paused = False
        self.throttled = False
        self.last_row: dict[str, Any] | None = None
        self.rate = 0.0
        self._status_at = 0.0
        self._log_at = time.monotonic()

    def run(self) -> str:
        """Trains until the run ends; returns "finished", "stopped" or "failed"."""
        with self._signals():
            self._status("running", force=True)
            while self.ending is None:
                self._requests()
                if self.ending is None and not self.paused:
                    self._one_step()
            return self._end()

    def _follow_plan(self) -> None:
        """Tells the techniques how long the run is, once that is known."""
        plan = self.progress.plan
        if not plan.provisional:
            self.parts.techniques.timeline.set(plan.max_steps, self.progress.seconds_per_step)

    def _heed(self, events: list[Event]) -> None:
        """Writes the techniques' events; captures the step anew where one of them changed what it consists of."""
        for event in events:
            self.writer.event(event.name, self.progress.step, **event.fields)
            self.say(f"step {self.progress.step}: {event.say}")
        if any(event.recapture for event in events):
            self.step = partial(train_step, self.parts)  # lets go of the old graphs before new ones take memory
            self.step = make_step(self.parts, self.say)

    def _one_step(self) -> None:
        progress, scalars, techniques = self.progress, self.parts.scalars, self.parts.techniques
        techniques.timeline.elapsed_s = progress.elapsed_s
        self._heed(techniques.before_step(progress.step))
        factor = techniques.factor(progress.step, self.schedule.factor(progress.step)) * self.policy.lr_factor
        scalars.lr.fill_(self.recipe.optimizer.lr * factor)
        scalars.schedule.fill_(factor)
        started = time.perf_counter()
        self.step()
        last = progress.step + 1 >= progress.plan.max_steps
        log_due = (progress.step + 1) % self.recipe.training.log_every == 0 or last
        # Reading the sums waits for the device, so the clock is read after it, where it is read at all.
        sums = take_sums(self.parts.sums) if log_due else None
        if sums is None and self._pause_due(progress.step + 1):
            self._wait()  # else a validation or a checkpoint would wait for these steps, on its own time
        seconds = time.perf_counter() - started
        progress.step += 1
        progress.elapsed_s += seconds
        progress.row_seconds += seconds
        progress.row_steps += 1
        progress.row_tokens += sum(lane.num_slots * lane.side**2 for lane in self.parts.lanes)
        if sums is not None:
            self._log_row(sums, self.recipe.optimizer.lr * factor)
        self._heed(techniques.after_step(progress.step))
        if self.ending is None:
            self._after_step(last)

    def _pause_due(self, step: int) -> bool:
        """Whether something other than the next step follows this one."""
        plan = self.progress.plan
        if plan.provisional:
            return step == MEASURED_STEPS
        return plan.fast_due(step) or plan.full_due(step) or plan.checkpoint_due(step)

    def _wait(self) -> None:
        """Until the device has done what it was given."""
        if self.parts.model.device.type == "cuda":
            torch.cuda.synchronize(self.parts.model.device)

    def _log_row(self, sums: dict[Sum, float], lr: float) -> None:
        progress = self.progress
        self.rate = progress.row_steps / max(progress.row_seconds, 1e-9)
        row = metrics_row(self.parts, progress, sums, lr, self.telemetry.read())
        progress.row_seconds, progress.row_steps, progress.row_tokens = 0.0, 0, 0
        events = self.parts.techniques.row(row)
        self.last_row = row
        progress.train_loss = row["token_loss"]
        self.writer.metrics(row)
        self._heed(events)
        if time.monotonic() - self._log_at > LOG_EVERY_S:
            self._log_at = time.monotonic()
            loss = "-" if row["loss"] is None else f"{row['loss']:.3f}"
            accuracy = "-" if row["token_accuracy"] is None else f"{100 * row['token_accuracy']:.1f} %"
            self.say(
                f"step {progress.step} of {progress.plan.max_steps}: loss {loss}, training tokens right {accuracy}, "
                f"{row['samples_per_sec']:.0f} segments/s"
            )
        if sums[Sum.NONFINITE]:
            self._nonfinite(int(sums[Sum.NONFINITE]))

    def _after_step(self, last: bool) -> None:
        progress, plan = self.progress, self.progress.plan
        if plan.provisional and progress.step == MEASURED_STEPS:
            self._resolve_plan()
            plan = self.progress.plan
        decay_start = self.schedule.decay_start()
        if decay_start is not None and progress.step == decay_start and self.schedule.kind == "wsd":
            progress.decay_began = True
            self.writer.event("decay", progress.step, steps=plan.max_steps - progress.step)
        if not plan.provisional:
            if plan.fast_due(progress.step) or last:
                self.validator.fast()
            if plan.full_due(progress.step):
                self._obey(self.validator.due_full(self._decay()))
        if last:
            self._finish("finished", "all steps done")
        elif progress.elapsed_s > self.budget_s:
            self._finish("stopped", f"the time budget of {self.recipe.training.time_budget} is used up")
        elif plan.checkpoint_due(progress.step) or progress.step == decay_start:
            self.checkpoint()
        self._status("running")

    def _decay(self) -> Decay:
        start = self.schedule.decay_start()
        if start is None:
            # An averaged tail is such a run's decay: nothing stops it before its mean has been made.
            return "none" if self.recipe.techniques.swa_tail is None else "under_way"
        return "under_way" if self.progress.step >= start else "ahead"

    def _obey(self, decision: EarlyStop | None) -> None:
        if decision is None:
            return
        progress = self.progress
        self.writer.event("early_stop", progress.step, action=decision.action, steps=decision.steps)
        self.say(f"step {progress.step}: early stop, {decision.reason}")
        if decision.action == "stop_now":
            self._finish("finished", decision.reason)
            return
        # The decay ahead begins now: the run ends `steps` from here.
        end = progress.step + decision.steps
        progress.plan = replace(progress.plan, max_steps=end, decay=decision.steps)
        self.schedule = replace(progress.plan.schedule(self.recipe), kind="wsd")
        progress.decay_began = True

    def _resolve_plan(self) -> None:
        """Turns hours into steps, once, from the speed of the first steps and of one validation of each kind."""
        progress = self.progress
        training = progress.elapsed_s / progress.step
        started = time.perf_counter()
        self.validator.fast()
        fast = time.perf_counter() - started
        started = time.perf_counter()
        self.validator.due_full("ahead")
        full = time.perf_counter() - started
        per_step = training
        if isinstance(self.recipe.training.max_steps, str):
            training = self.parts.techniques.pace(parse_time(self.recipe.training.max_steps).seconds, training)
            total = parse_time(self.recipe.training.max_steps).seconds
            shares = self.recipe.training
            for span, seconds in ((shares.fast_validation_every, fast), (shares.full_validation_every, full)):
                if isinstance(span, float):
                    total -= seconds / span
            total = max(total, 2 * training * MEASURED_STEPS)
            per_step = training * parse_time(self.recipe.training.max_steps).seconds / total
        progress.plan = make_plan(self.recipe, per_step)
        progress.seconds_per_step = per_step
        self.schedule = progress.plan.schedule(self.recipe)
        self._follow_plan()
        self.writer.event("plan_resolved", progress.step, seconds_per_step=training, plan=progress.plan.to_json())
        self.say(f"step {progress.step}: the run will take {progress.plan.max_steps} steps")

    def _nonfinite(self, count: int) -> None:
        step = self.progress.step
        action = self.policy.nonfinite_step(step, count)
        self.writer.policy(self.policy.to_json())
        self.writer.event("nonfinite", step, count=count, action=action, lr_factor=self.policy.lr_factor)
        self.say(
            f"step {step}: {count} step(s) with a loss or gradient that is not finite left out; "
            f"learning rate now x {self.policy.lr_factor:.2f}"
        )
        if action == "stop":
            self._finish("failed", f"{self.policy.nonfinite} steps with non-finite loss or gradient", save=False)
        elif action == "rollback":
            self._rollback()

    def _rollback(self) -> None:
        """Back to the last good checkpoint; the policy's counts stay."""
        good = latest_good(self.writer.layout.checkpoints)
        if good is None:
            self.say("there is no checkpoint to go back to; the run goes on")
            return
        stored = Progress.from_json(load_state(good, self.parts))
        for name, value in vars(stored).items():
            setattr(self.progress, name, value)
        self.writer.cut(self.progress.step)
        self.step = make_step(self.parts, self.say)
        self.validator = Validator(self.parts, self.dataset, self.writer, self.progress, self.say)
        self.schedule = self.progress.plan.schedule(self.recipe)
        self._follow_plan()
        self.policy.recent.clear()
        self.writer.policy(self.policy.to_json())
        self.writer.event("rollback", self.progress.step, to=self.progress.step)
        self.say(f"went back to the checkpoint of step {self.progress.step}")

    def checkpoint(self) -> None:
        """Saves the whole state; the newest `keep_checkpoints` and the one where the decay begins stay."""
        progress, layout = self.progress, self.writer.layout
        before = progress.last_checkpoint_step
        progress.last_checkpoint_step = progress.step
        self.writer.sync()
        meta = {"kind": "checkpoint", "step": progress.step, "run_id": layout.run_id}
        try:
            save_snapshot(
                layout.checkpoint(progress.step), self.parts, tuple(self.dataset.tasks.ids), meta, progress.to_json()
            )
        except OSError as error:
            progress.last_checkpoint_step = before
            self.writer.event("checkpoint_failed", progress.step, reason=str(error))
            self.say(f"step {progress.step}: no checkpoint ({error}); the earlier one stays, the run goes on")
            return
        self.writer.event("checkpoint", progress.step)
        start = self.schedule.decay_start()
        prune(layout.checkpoints, self.recipe.training.keep_checkpoints, also=() if start is None else (start,))

    def _requests(self) -> None:
        for request in self.inbox.poll():
            self._answer(request.kind, request.text)
        waited = 0.0
        while self.paused and self.ending is None:
            time.sleep(PAUSE_POLL_S)
            waited += PAUSE_POLL_S
            if waited > PAUSE_BEAT_S:
                waited = 0.0
                self._status("paused", force=True)
            for request in self.inbox.poll():
                self._answer(request.kind, request.text)

    def _answer(self, kind: str, text: str) -> None:
        step = self.progress.step
        if kind == "stop":
            self._finish("stopped", "stop was asked for")
        elif kind == "stop-now":
            self._finish("stopped", "stop-now was asked for", save=False)
        elif kind == "checkpoint":
            self.checkpoint()
        elif kind == "note":
            self.writer.event("note", step, text=text)
            self.say(f"note: {text}")
        elif kind == "pause" and not self.paused:
            self.paused = True
            self.checkpoint()
            self.writer.event("paused", step)
            self.say(f"step {step}: paused")
            self._status("paused", force=True)
        elif kind == "continue" and self.paused:
            self.paused = False
            self.writer.event("continued", step)
            self.say(f"step {step}: going on")
            self._status("running", force=True)

    def _finish(self, state: str, reason: str, save: bool = True) -> None:
        self.ending, self.reason, self.save_at_end = state, reason, save

    def _end(self) -> str:
        assert self.ending is not None
        progress = self.progress
        if self.save_at_end and progress.last_checkpoint_step != progress.step:
            self._status("stopping", force=True)
            self.checkpoint()
        self.writer.event(self.ending, progress.step, reason=self.reason)
        self.say(f"{self.ending} at step {progress.step}: {self.reason}")
        self._status(self.ending, force=True)
        last = next((row for row in reversed(self.validator.previous) if row["kind"] == "full"), None)
        self.writer.result(
            {
                "state": self.ending,
                "reason": self.reason,
                "step": progress.step,
                "elapsed_s": round(progress.elapsed_s, 1),
                "best": progress.best,
                "last": None if last is None else {key: last[key] for key in ("step", "score", "loss", "metrics")},
            }
        )
        return self.ending

    def _status(self, state: str, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._status_at < STATUS_EVERY_S:
            return
        self._status_at = now
        progress = self.progress
        warming = progress.step < self.recipe.alarms.warmup_share * progress.plan.max_steps
        limit, device = self.recipe.alarms.stalled_s, self.telemetry.status()
        status = status_of(progress, state, self.last_row, self.rate, progress.alarms, warming, limit, device)
        self.writer.status(status)
        self._heat(slowed_by_heat(status))

    def _heat(self, sentence: str) -> None:
        """The reader raises the alarm and takes it back; here it is written down when it begins, and told."""
        if sentence and not self.throttled:
            self.writer.event("alarm", self.progress.step, name="throttled", sentence=sentence, advice=ADVICE)
            self.say(f"ALARM throttled: {sentence} {ADVICE}")
        self.throttled = bool(sentence)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM, SIGINT and SIGHUP ask for a stop with a checkpoint; the second SIGINT ends at once."""

        def asked(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGINT and self.ending is not None:
                raise KeyboardInterrupt
            self._finish("stopped", f"signal {signal.Signals(number).name}")

        with answered(asked):
            yield

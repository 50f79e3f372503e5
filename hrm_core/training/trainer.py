"""The loop around the step: cadences, checkpoints, requests, signals, policies, and how a run ends.

Training room: an opened RunWriter, StepParts, Dataset and Progress -> a finished run folder. The loop reads numbers
from the device every `training.log_every` steps only. What a step does is `step.py`; when things are due is `plan.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import final

import torch

from hrm_core.data.dataset import Dataset
from hrm_core.recipe.spans import parse_time
from hrm_core.runs.writer import RunWriter
from hrm_core.techniques.points import Event
from hrm_core.training.board import Board
from hrm_core.training.graphs import make_step
from hrm_core.training.leading import Leading
from hrm_core.training.mail import Mail
from hrm_core.training.measures import metrics_row, row_words, take_sums
from hrm_core.training.plan import MEASURED_STEPS, make_plan, measured_plan
from hrm_core.training.policy import Policy
from hrm_core.training.progress import Progress
from hrm_core.training.saving import Saver
from hrm_core.training.shortage import begin_anew, clear_step, halve_pieces, is_out_of_memory, refuse_crew
from hrm_core.training.step import StepParts, Sum, train_step
from hrm_core.training.stops import HINT, Stops
from hrm_core.training.telemetry import Telemetry
from hrm_core.training.trouble import DiskTrouble, Host
from hrm_core.training.validation import Validator
from hrm_core.training.validation_gate import Decay, EarlyStop

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
        self.ending: str | None = None  # "finished", "stopped" or "failed", once decided
        self.reason = ""
        self.save_at_end = True
        self.paused = False
        self._log_at = time.monotonic()
        self.mail = Mail(writer.layout)
        self.stops = Stops(self._asked, lambda: self.ending is not None)
        self.telemetry = Telemetry(parts.model.device)
        self.board = Board(writer, parts.recipe, progress, self.telemetry, say)
        self.trouble = DiskTrouble(writer, Host(self.mail.stop_asked, lambda: progress.step, self.board.again, say))
        self.board.disk_alarms = self.trouble.alarms
        writer.on_trouble, writer.on_room = self.trouble.wait, self.trouble.over
        self.saver = Saver(writer, parts, tuple(dataset.tasks.ids), progress, self.trouble, say)
        parts.techniques.quieten(policy.noise_factor)
        if policy.pieces is not None and parts.limit is not None:
            parts.limit.slots = min(parts.limit.slots, policy.pieces)
        self.crew = Leading(parts, progress)
        self.step = self._make_step()
        self.validator = Validator(parts, dataset, writer, progress, say, policy)
        self.schedule = progress.plan.schedule(self.recipe)
        self._follow_plan()
        self.budget_s = parse_time(self.recipe.training.time_budget).seconds

    def run(self) -> str:
        """Trains until the run ends; returns "finished", "stopped" or "failed"."""
        with self.stops.heard(), self.board.clocks.hears_continue():
            try:
                self.board.show("running", force=True)
                plan, ended = self.progress.plan, self.progress.ended
                if ended or (not plan.provisional and self.progress.step >= plan.max_steps):
                    self._finish("finished", ended or "all steps done")  # it was killed after its last checkpoint
                while self.ending is None:
                    self._requests()
                    if self.ending is None and not self.paused:
                        self._one_step()
                        self.saver.look()
                ended = self._end()
                self.crew.end()
                return ended
            finally:
                self.saver.join()

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
            self.step = self._make_step()

    def _make_step(self) -> Callable[[], None]:
        """The step, captured where it is to be; with smaller pieces where memory runs out over that, which changes no
        state. UserError where even single slots do not fit."""
        while True:
            try:
                return make_step(self.parts, self.say)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                refuse_crew(self.parts, error)
            self._halve("while the step was captured")

    def _one_step(self) -> None:
        progress, scalars, techniques = self.progress, self.parts.scalars, self.parts.techniques
        last = progress.step + 1 >= progress.plan.max_steps
        log_due = (progress.step + 1) % self.recipe.training.log_every == 0 or last
        techniques.timeline.elapsed_s = progress.elapsed_s
        self.crew.step(self.policy)
        self._heed(techniques.before_step(progress.step))
        factor = techniques.factor(progress.step, self.schedule.factor(progress.step)) * self.policy.lr_factor
        scalars.lr.fill_(self.recipe.optimizer.lr * factor)
        scalars.schedule.fill_(factor)
        self.crew.scalars(self.recipe.optimizer.lr * factor, factor, log_due)
        started = time.perf_counter()
        if not self._step_fits():
            return
        if log_due:
            self.crew.reduce()
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
        made = progress.step
        if sums is not None:
            self._log_row(sums, self.recipe.optimizer.lr * factor)
        if progress.step != made:
            return  # it went back: what is due after that step has been done
        self._heed(techniques.after_step(progress.step))
        if self.ending is None:
            self._after_step(last)

    def _step_fits(self) -> bool:
        """Makes the step. False where memory ran out over it: then the run is where it was at its last checkpoint."""
        try:
            self.step()
            return True
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            refuse_crew(self.parts, error)
        self.step = partial(train_step, self.parts)
        self._halve("in a step", go_back=True)
        self._take_up()
        return False

    def _halve(self, when: str, go_back: bool = False) -> None:
        """Smaller pieces, which the policy remembers; with `go_back` also the state of the last checkpoint, or of step
        0, so that nothing is left of a step that came half-way."""
        before, now = halve_pieces(self.parts)
        self.policy.pieces = now
        self.writer.policy(self.policy.to_json())
        step, slots = self.progress.step, self.parts.num_slots
        if go_back and not self.saver.go_back():
            begin_anew(self.parts, self.dataset)
            vars(self.progress).update(vars(Progress(make_plan(self.recipe))))
            self.writer.cut(0)
        clear_step(self.parts)
        pieces = {"pieces_before": before, "pieces": now, "slots": slots}
        self.writer.event("out_of_memory", step, when=when, back_to=self.progress.step if go_back else None, **pieces)
        self.say(
            f"step {step}: out of memory {when}; from here on at most {now} of the {slots} slots at a time, {before} "
            "before" + (f"; went back to step {self.progress.step}, as the step had come half-way" if go_back else "")
        )

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
        self.board.rate = progress.row_steps / max(progress.row_seconds, 1e-9)
        row = metrics_row(self.parts, progress, sums, lr, self.telemetry.read())
        progress.row_seconds, progress.row_steps, progress.row_tokens = 0.0, 0, 0
        self.crew.row(row)
        events = self.parts.techniques.row(row)
        self.board.row = row
        progress.train_loss = row["token_loss"]
        self.writer.metrics(row)
        self._heed(events)
        if time.monotonic() - self._log_at > LOG_EVERY_S:
            self._log_at = time.monotonic()
            self.say(row_words(row, progress.plan.max_steps))
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
                self.saver.finish()  # a new best is archived; one thing at a time takes the disk
                if (decision := self.validator.due_full(self._decay())) is not None:
                    self._obey(decision)
        if last:
            self._finish("finished", "all steps done")
        elif progress.elapsed_s > self.budget_s:
            self._finish("stopped", f"the time budget of {self.recipe.training.time_budget} is used up")
        elif plan.checkpoint_due(progress.step) or progress.step == decay_start:
            self._begin_save()
        self.board.show("running")

    def _decay(self) -> Decay:
        start = self.schedule.decay_start()
        if start is None:
            # An averaged tail is such a run's decay: nothing stops it before its mean has been made.
            return "none" if self.recipe.techniques.swa_tail is None else "under_way"
        return "under_way" if self.progress.step >= start else "ahead"

    def _obey(self, decision: EarlyStop) -> None:
        progress = self.progress
        self.writer.event("early_stop", progress.step, action=decision.action, steps=decision.steps)
        self.say(f"step {progress.step}: early stop, {decision.reason}")
        if decision.action == "stop_now":
            progress.ended = decision.reason
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
        fast_s = self._seconds_of(self.validator.fast)
        full_s = self._seconds_of(partial(self.validator.due_full, "ahead"))
        pace, training = self.parts.techniques.pace, progress.elapsed_s / progress.step
        progress.plan, training, per_step = measured_plan(self.recipe, pace, training, fast_s, full_s)
        progress.seconds_per_step = per_step
        self.schedule = progress.plan.schedule(self.recipe)
        self._follow_plan()
        self.writer.event("plan_resolved", progress.step, seconds_per_step=training, plan=progress.plan.to_json())
        self.say(f"step {progress.step}: the run will take {progress.plan.max_steps} steps")

    def _seconds_of(self, work: Callable[[], object]) -> float:
        """How long it takes, but for what it waited for room on the disk."""
        waited_s, started = self.trouble.waited_s, time.perf_counter()
        work()
        return time.perf_counter() - started - (self.trouble.waited_s - waited_s)

    def _nonfinite(self, count: int) -> None:
        step = self.progress.step
        policy, techniques = self.policy, self.parts.techniques
        action = policy.nonfinite_step(step, count, techniques.has_noise)
        techniques.quieten(policy.noise_factor)
        self.writer.policy(policy.to_json())
        self.writer.event("nonfinite", step, count=count, action=action, **policy.factors)
        lowered = ", ".join(f"{name} {value:.3g}" for name, value in policy.factors.items())
        self.say(f"step {step}: {count} step(s) with a loss or gradient that is not finite left out; now {lowered}")
        if action == "stop":
            self._finish("failed", f"{self.policy.nonfinite} steps with non-finite loss or gradient", save=False)
        elif action == "rollback":
            self._rollback()

    def _rollback(self) -> None:
        """Back to the last good checkpoint; the policy's counts stay."""
        if not self.saver.go_back():
            self.say("there is no checkpoint to go back to; the run goes on")
            return
        self._take_up()
        self.policy.recent.clear()
        self.writer.policy(self.policy.to_json())
        self.writer.event("rollback", self.progress.step, to=self.progress.step)
        self.say(f"went back to the checkpoint of step {self.progress.step}")

    def _take_up(self) -> None:
        """Makes anew what hangs on the state, after that has gone back."""
        self.step = self._make_step()
        self.validator = Validator(self.parts, self.dataset, self.writer, self.progress, self.say, self.policy)
        self.schedule = self.progress.plan.schedule(self.recipe)
        self._follow_plan()

    def checkpoint(self) -> None:
        """Saves the whole state and returns once that is done, or has failed and been told."""
        self._begin_save()
        self.saver.finish()

    def _begin_save(self) -> None:
        """Takes the state, to be written while the run goes on. The checkpoint where the decay begins stays."""
        start = self.schedule.decay_start()
        self.saver.begin(() if start is None else (start,))

    def _requests(self) -> None:
        self._answer_all()
        waited = 0.0
        while self.paused and self.ending is None:
            time.sleep(PAUSE_POLL_S)
            waited += PAUSE_POLL_S
            if waited > PAUSE_BEAT_S:
                waited = 0.0
                self.board.show("paused", force=True)
            self._answer_all()

    def _answer_all(self) -> None:
        for request in self.mail.take():
            self._answer(request.kind, request.text)

    def _answer(self, kind: str, text: str) -> None:
        step = self.progress.step
        if kind in ("stop", "stop-now"):
            self.mail.stop = f"{kind} was asked for"
            self._finish("stopped", self.mail.stop, save=kind == "stop")
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
            self.board.show("paused", force=True)
        elif kind == "continue" and self.paused:
            self.paused = False
            self.writer.event("continued", step)
            self.say(f"step {step}: going on")
            self.board.show("running", force=True)

    def _finish(self, state: str, reason: str, save: bool = True) -> None:
        self.ending, self.reason, self.save_at_end = state, reason, save

    def _end(self) -> str:
        assert self.ending is not None
        progress = self.progress
        if self.ending == "stopped" and self.save_at_end:
            self.say(f"step {progress.step}: {self.reason}; the run stops once its checkpoint is saved, {HINT}")
        self.saver.finish()
        if self.save_at_end and progress.last_checkpoint_step != progress.step:
            self.board.show("stopping", force=True)
            self.checkpoint()
        self.stops.tell(self.writer, progress.step, self.say)
        last = next((row for row in reversed(self.validator.previous) if row["kind"] == "full"), None)
        self.board.end(self.ending, self.reason, last)
        return self.ending

    def _asked(self, why: str) -> None:
        """A signal came. One that comes while the run is ending changes nothing but what waits for room."""
        self.mail.stop = why
        if self.ending is None:
            self._finish("stopped", why)

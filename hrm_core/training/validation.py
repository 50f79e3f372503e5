"""Fast and full validations of a run: evaluates, asks the gate, keeps alarms, writes rows, archives a new best.

Training room: StepParts and Dataset -> rows in the run folder. What the numbers mean is `hrm_core.evaluation`'s, when
to validate is `validation_gate`'s; here they are carried out, with the recipe's evaluation weights.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Literal, final

from hrm_core.data.dataset import Dataset
from hrm_core.evaluation.changes import changes
from hrm_core.evaluation.evaluate import Evaluation, evaluate, validation_split
from hrm_core.evaluation.predictions import task_records
from hrm_core.evaluation.rule_head import rule_head_row
from hrm_core.runs.predictions import read_predictions, steps_kept
from hrm_core.runs.reader import evaluation_rows, log_tail
from hrm_core.runs.snapshots import newest_first, step_of
from hrm_core.runs.writer import RunWriter
from hrm_core.training.checkpoint import save_snapshot
from hrm_core.training.crew import Order
from hrm_core.training.policy import Policy
from hrm_core.training.progress import Progress
from hrm_core.training.shared_validation import SharedPredictor, sharing
from hrm_core.training.step import StepParts
from hrm_core.training.validation_gate import Decay, EarlyStop, ValidationGate
from hrm_core.training.validation_memory import ValidationMemory

BEAT_EVERY_S = 5.0
LOG_WINDOW_LINES = 200
# A fast validation does not swap input and identity, nor end a plateau: what the last full one found of these stays.
FULL_ONLY_ALARMS = ("input_blind", "identity_blind", "plateau")


@final
class Validator:
    """Validates one run. `say` writes a line to the log and, in the foreground, to the terminal."""

    def __init__(
        self,
        parts: StepParts,
        dataset: Dataset,
        writer: RunWriter,
        progress: Progress,
        say: Callable[[str], None],
        policy: Policy,
    ) -> None:
        recipe = parts.recipe
        self.parts = parts
        self.dataset = dataset
        self.writer = writer
        self.progress = progress
        self.say = say
        self.split: Literal["val", "eval"] = validation_split(recipe)
        self.gate = ValidationGate(recipe.training.patience, recipe.training.early_stop, progress.gate)
        self.previous: list[dict[str, Any]] = evaluation_rows(writer.layout)
        self.memory = ValidationMemory(parts, writer, progress, policy, say)
        self._beaten = time.monotonic()
        if not (writer.layout.predictions / "tasks.jsonl.gz").exists():
            writer.tasks(task_records(dataset, self.split))

    def _beat(self, rows: int) -> None:
        if time.monotonic() - self._beaten > BEAT_EVERY_S:
            self._beaten = time.monotonic()
            self.writer.beat()

    def _evaluate(self, kind: Literal["fast", "full"]) -> Evaluation:
        return self.memory.within(lambda grids: self._evaluate_with(kind, grids))

    def _evaluate_with(self, kind: Literal["fast", "full"], grids: int) -> Evaluation:
        parts, progress, predict, many = self.parts, self.progress, self.memory.predict, grids
        if parts.crew is not None:
            predict, many = SharedPredictor(parts.crew, predict, grids), grids * parts.crew.world.size
        with sharing(parts.crew), parts.evaluation_weights():
            return evaluate(
                predict,
                self.dataset,
                parts.recipe,
                self.split,
                kind,
                progress.step,
                parts.weights_name,
                max_steps=progress.plan.max_steps,
                previous=self.previous,
                train_loss=progress.train_loss,
                device=parts.model.device,
                on_rows=self._beat,
                batch=many,
            )

    def _rule_head(self, grids: int) -> dict[str, Any]:
        self.memory.saw(grids)
        with self.parts.evaluation_weights():
            return rule_head_row(self.parts.model, self.dataset, self.split, self._beat, grids)

    def fast(self) -> None:
        """A fast validation, its row and its alarms."""
        row = self._evaluate("fast").row
        self.progress.last_fast_step = self.progress.step
        self.gate.fast(self.progress.step, row["score"], row["loss"])
        self._record(row)

    def due_full(self, decay: Decay) -> EarlyStop | None:
        """The full validation that is due: run or skipped as the gate says. Returns its decision to end, if any."""
        progress = self.progress
        always = progress.step >= progress.plan.max_steps or self.parts.weights_name == "swa"
        if not self.gate.wants_full(progress.step, always=always):
            waited = self.gate.skipped()
            self.writer.event("validation_skipped", progress.step, waited=waited)
            self.say(f"step {progress.step}: full validation skipped, the fast set has not improved since the last one")
            progress.gate = self.gate.state_dict()
            return None
        evaluation = self._evaluate("full")
        row = evaluation.row
        outcome = self.gate.full(progress.step, progress.plan.max_steps, row["score"], row["loss"], decay)
        progress.last_full_step = progress.step
        row["best"] = outcome.best
        # What is kept after a rollback or a resume is never later than the step, so this is the validation before.
        before = steps_kept(self.writer.layout)[-1:]
        earlier = [record for step in before for record in read_predictions(self.writer.layout, step)]
        row |= changes(earlier, evaluation.predictions)
        row |= self.memory.within(self._rule_head)
        self._record(row)
        archived = [step for path in newest_first(self.writer.layout.archive) if (step := step_of(path)) is not None]
        self.writer.predictions(progress.step, evaluation.predictions, keep=[*archived, progress.step])
        if outcome.best:
            metric = self.parts.recipe.evaluation.score
            trivial = max((value for value in row["trivial"][metric].values() if value is not None), default=None)
            best = {"metric": metric, "value": row["score"], "trivial": trivial}
            progress.best = {**best, "step": progress.step, "loss": row["loss"]}
            self._archive(row)
        return outcome.early_stop

    def _record(self, row: dict[str, Any]) -> None:
        progress = self.progress
        progress.gate = self.gate.state_dict()
        self.previous.append(row)
        self.writer.evaluation(row)
        if self.parts.crew is not None:
            self.parts.crew.tell(Order.VALIDATED, row)
        self.parts.techniques.validated(row)
        alarms = list(row["alarms"])
        if row["kind"] == "fast":
            alarms += [alarm for alarm in progress.alarms if alarm["name"] in FULL_ONLY_ALARMS]
        known = {alarm["name"] for alarm in progress.alarms}
        for alarm in alarms:
            if alarm["name"] not in known:
                self.writer.event("alarm", progress.step, **alarm)
                self.say(f"ALARM {alarm['name']}: {alarm['sentence']} {alarm['advice']}")
        progress.alarms = alarms
        self.say(describe(row, self.parts.recipe.evaluation.score))

    def _archive(self, row: dict[str, Any]) -> None:
        """Weights, recipe, status, the log window, the evaluation and the predictions of a new best."""
        step = self.progress.step
        try:
            self.writer.patiently(lambda: self._save_best(row))
        except OSError as error:
            self.writer.event("archive_failed", step, reason=str(error))
            self.say(f"step {step}: the new best could not be archived ({error}); the run goes on")
            return
        best = self.progress.best or {}
        self.writer.event("best", step, **{key: best.get(key) for key in ("metric", "value", "trivial")})

    def _save_best(self, row: dict[str, Any]) -> None:
        layout, step = self.writer.layout, self.progress.step
        extra = {
            "evaluation.json": json.dumps(row).encode(),
            "log.txt": "\n".join(log_tail(layout, LOG_WINDOW_LINES)).encode(),
            "predictions.jsonl.gz": (layout.predictions / f"{step}.jsonl.gz").read_bytes(),
        }
        if layout.status_json.exists():
            extra["status.json"] = layout.status_json.read_bytes()
        meta = {"kind": "best", "step": step, "run_id": layout.run_id, "score": row["score"], "metrics": row["metrics"]}
        save_snapshot(layout.best(step), self.parts, tuple(self.dataset.tasks.ids), meta, extra=extra)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def describe(row: dict[str, Any], score: str) -> str:
    """One line for the log: the score and the cell accuracy, each beside what the best trivial predictor gets."""
    parts = []
    for name in dict.fromkeys((score, "exact", "cell_accuracy")):
        trivial = [value for value in row["trivial"].get(name, {}).values() if value is not None]
        best = f" (trivial {_percent(max(trivial))})" if trivial else ""
        parts.append(f"{name.replace('_', ' ')} {_percent(row['metrics'].get(name))}{best}")
    loss = "-" if row["loss"] is None else f"{row['loss']:.3f}"
    words = f"step {row['step']}: {row['kind']} validation on {row['pairs']} {row['split']} tests, loss {loss}, "
    if row.get("lost") is not None and row.get("gained") is not None:
        parts.append(f"{len(row['gained'])} tests gained and {len(row['lost'])} lost")
    if row.get("input_sensitivity") is not None:
        parts.append(f"input sensitivity {row['input_sensitivity']:.2f}")
    return words + ", ".join(parts) + (", new best" if row["best"] else "")

"""Test-time training: before a task's tests are predicted, the model is trained on that task's demonstrations.

Training room: a loaded model and a data set -> outcomes of an evaluation, one task after the other, each from the
snapshot's own weights. `rows` moves the task's identity row alone, `all` the weights too; both see the demonstrations
and their augmentations as the recipe draws them, never a test. The rate falls linearly to 0. Akyurek et al. 2024 (arXiv
2411.07279) and VARC (2511.14761) train so before every task. Ours begins with fresh moments and without averaging or
techniques. What is predicted, and what it is worth, is `hrm_core/evaluation`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, final

import torch
from torch import Tensor

from hrm_core.data.dataset import Dataset
from hrm_core.data.lanes import LanePairs, OversizePairs
from hrm_core.errors import UserError
from hrm_core.evaluation.lane import LaneOutcome, Measures, evaluate_lane
from hrm_core.evaluation.predict import Runner
from hrm_core.learning.averaging import Average
from hrm_core.learning.flat import FlatParameters
from hrm_core.learning.lanes import LaneState, build_lanes
from hrm_core.learning.optimizers import TrunkOptimizer
from hrm_core.learning.rows import RowsOptimizer
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import Predictor
from hrm_core.recipe.lay import override_recipe
from hrm_core.recipe.learning import AveragingConfig
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.techniques import TechniquesConfig
from hrm_core.techniques.compose import compose_techniques
from hrm_core.techniques.points import Bench
from hrm_core.techniques.timeline import Timeline
from hrm_core.training.step import Scalars, StepParts, Sum, train_step

What = Literal["rows", "all"]
# Slots of a task's training: a few views of each demonstration in every step.
SLOTS = 16


@final
class Adapter:
    """Adapts `model` to one task at a time and evaluates its tests; afterwards the model is as it was.

    `seconds` and `tasks` add up what the adaptation took; `factor` is the highest learning rate over the recipe's.
    """

    def __init__(
        self,
        model: HRM,
        dataset: Dataset,
        recipe: Recipe,
        steps: int,
        what: What,
        factor: float = 1.0,
        on_task: Callable[[int], None] | None = None,
    ) -> None:
        if recipe.identity.kind == "none" and what == "rows":
            raise UserError("--adapt-what rows: this model has no identity rows (identity.kind=none); use all")
        small = override_recipe(recipe, [f"training.batch={SLOTS}", "training.accumulation=1"])
        self.recipe = small.model_copy(update={"techniques": TechniquesConfig()})
        self.model = model
        self.dataset = dataset
        self.steps = steps
        self.what = what
        self.factor = factor
        self.on_task = on_task
        self.flat = FlatParameters(model)
        self.values, self.rows = self.flat.values.clone(), model.rows.table.clone()
        self.seconds = 0.0
        self.tasks = 0

    def outcomes(
        self, runner: Runner, pairs: LanePairs, oversize: OversizePairs, measures: Measures
    ) -> list[LaneOutcome]:
        """The lane's outcomes, one of each task in it."""
        adapted = replace(runner, predictor=Predictor(self.model))
        found = []
        for task in dict.fromkeys(pairs.task.tolist()):
            rows = torch.tensor([row for row, other in enumerate(pairs.task.tolist()) if other == task])
            started = time.perf_counter()
            try:
                self.adapt(task)
                if self.model.device.type == "cuda":
                    torch.cuda.synchronize(self.model.device)
                self.seconds += time.perf_counter() - started
                self.tasks += 1
                found.append(evaluate_lane(adapted, pairs.select(rows), oversize, measures))
            finally:
                self.restore()
            if self.on_task is not None:
                self.on_task(task)
        return found

    def summary(self) -> dict[str, Any]:
        """For the evaluation's row: what was done, and the time that it took."""
        return {
            "steps": self.steps,
            "what": self.what,
            "rate": self.factor,
            "tasks": self.tasks,
            "seconds": self.seconds,
        }

    def adapt(self, task: int) -> None:
        """Trains on this task's demonstrations; without any, nothing happens."""
        parts = self._parts(task)
        if parts is None:
            return
        for step in range(self.steps):
            left = self.factor * (1.0 - step / self.steps)
            parts.scalars.lr.fill_(self.recipe.optimizer.lr * left if self.what == "all" else 0.0)
            parts.scalars.schedule.fill_(left)
            train_step(parts)

    def restore(self) -> None:
        """The snapshot's weights again."""
        self.flat.values.copy_(self.values)
        self.flat.gradients.zero_()
        self.model.rows.table.copy_(self.rows)

    def _parts(self, task: int) -> StepParts | None:
        lanes = self._lanes(task)
        if not lanes:
            return None
        model, device = self.model, self.model.device
        trunk = TrunkOptimizer(self.recipe.optimizer, self.flat)
        average = AveragingConfig(kind="none")
        bench = Bench(self.recipe, model, lanes, self.flat, trunk, self.dataset, Timeline())
        return StepParts(
            recipe=self.recipe,
            model=model,
            lanes=lanes,
            flat=self.flat,
            trunk=trunk,
            rows=RowsOptimizer(self.recipe.rows, model.rows.table),
            average=Average(average, self.flat.values, model.rows.table),
            scalars=Scalars(device),
            sums=torch.zeros(len(Sum), dtype=torch.float64, device=device),
            num_slots=sum(lane.num_slots for lane in lanes),
            techniques=compose_techniques(bench),
        )

    def _lanes(self, task: int) -> list[LaneState]:
        own: dict[int, LanePairs] = {}
        for side, pairs in self.dataset.train.items():
            rows: Tensor = (pairs.task == task).nonzero().flatten()
            if len(rows):
                own[side] = pairs.select(rows).to(self.model.device)
        return build_lanes(own, self.recipe, self.model.dtype)

"""A recipe: the whole, typed description of a run, and the only thing that a run depends on beside its data.

Recipe room; free of torch. One group of settings a field; what must hold between groups is in `checks.py`. The
defaults are the experiment EXP-00, the control of the ten. How a recipe comes about: `lay.py`.
"""

from __future__ import annotations

from typing import Literal, final

from pydantic import model_validator

from hrm_core.recipe.augment import AugmentConfig, IdentityConfig
from hrm_core.recipe.base import Settings, setting
from hrm_core.recipe.checks import first_problem
from hrm_core.recipe.data import DataConfig, InputConfig
from hrm_core.recipe.evaluation import AlarmsConfig, EvaluationConfig
from hrm_core.recipe.learning import AveragingConfig, OptimizerConfig, RowsConfig, ScheduleConfig
from hrm_core.recipe.model import HaltingConfig, LossConfig, ModelConfig
from hrm_core.recipe.techniques import TechniquesConfig
from hrm_core.recipe.training import KernelsConfig, MemoryConfig, TrainingConfig

PresetName = Literal["plan", "laptop", "h100", "cpu", "demo"]


@final
class Recipe(Settings):
    """Everything that a run is."""

    experiment: str = setting("EXP-00", "Name of the experiment that this recipe began as")
    preset: PresetName = setting("plan", "Size of the run: plan, laptop, h100, cpu or demo")
    data: DataConfig = setting(DataConfig(), "What is learned from")
    input: InputConfig = setting(InputConfig(), "What is done to grids before they become tokens")
    augment: AugmentConfig = setting(AugmentConfig(), "How a pair is varied at each admission")
    identity: IdentityConfig = setting(IdentityConfig(), "What the model is told about task and view")
    model: ModelConfig = setting(ModelConfig(), "Shape of the network")
    halting: HaltingConfig = setting(HaltingConfig(), "When thinking about a pair ends")
    loss: LossConfig = setting(LossConfig(), "Loss of the tokens")
    optimizer: OptimizerConfig = setting(OptimizerConfig(), "Update of the trunk")
    rows: RowsConfig = setting(RowsConfig(), "Update of the tasks' identity rows")
    schedule: ScheduleConfig = setting(ScheduleConfig(), "Learning rate over the run")
    averaging: AveragingConfig = setting(AveragingConfig(), "Which weights are evaluated")
    techniques: TechniquesConfig = setting(TechniquesConfig(), "Techniques of the ten experiments")
    training: TrainingConfig = setting(TrainingConfig(), "Course of the run")
    evaluation: EvaluationConfig = setting(EvaluationConfig(), "How predictions are scored")
    alarms: AlarmsConfig = setting(AlarmsConfig(), "When an alarm is raised")
    memory: MemoryConfig = setting(MemoryConfig(), "Memory of the device")
    kernels: KernelsConfig = setting(KernelsConfig(), "Kernels or references")

    @model_validator(mode="after")
    def _between_groups(self) -> Recipe:
        problem = first_problem(self)
        if problem is not None:
            raise ValueError(problem)
        return self

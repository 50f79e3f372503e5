"""Settings of the update: optimizer of the trunk, optimizer of the identity rows, learning-rate schedule, averaging.

Recipe room; free of torch. How they act: `hrm_core/learning`.
"""

from __future__ import annotations

from typing import Annotated, Literal, final

from pydantic import AfterValidator

from hrm_core.recipe.base import Betas, Settings, setting
from hrm_core.recipe.spans import SpanOrZero


def _check_betas(betas: tuple[float, float]) -> tuple[float, float]:
    if any(not 0.0 <= beta < 1.0 for beta in betas):
        raise ValueError("each beta is at least 0 and below 1")
    return betas


CheckedBetas = Annotated[Betas, AfterValidator(_check_betas)]


@final
class OptimizerConfig(Settings):
    """Optimizer of all that is not a task's identity row."""

    kind: Literal["adamw", "adam_atan2", "lion", "muon"] = setting(
        "adamw", "muon: Muon on matrices, AdamW on the rest; lion wants a rate 3 to 10 times lower than AdamW"
    )
    lr: float = setting(3e-4, "Learning rate at its highest, above 0 to 1", gt=0, le=1)
    betas: CheckedBetas = setting((0.9, 0.95), "Decays of the first and second moment, each 0 to below 1")
    weight_decay: float = setting(0.1, "Decoupled weight decay, 0 to 10", ge=0, le=10)
    clip: float | None = setting(1.0, "Largest gradient norm of the trunk, above 0; none: no clip", gt=0)
    muon_lr: float | None = setting(
        None, "Learning rate of Muon's matrices; none: the same lr; above 0 to 1", gt=0, le=1
    )


@final
class RowsConfig(Settings):
    """Optimizer of the tasks' identity rows, which only the batch's tasks touch."""

    kind: Literal["sign_sgd", "adam"] = setting("sign_sgd", "sign_sgd (HRM) or Adam, on touched rows only")
    lr: float = setting(1e-2, "Learning rate at its highest, above 0 to 1; follows the trunk's schedule", gt=0, le=1)
    weight_decay: float = setting(0.1, "Decoupled weight decay of touched rows, 0 to 10", ge=0, le=10)
    betas: CheckedBetas = setting((0.9, 0.95), "Decays of Adam's moments, each 0 to below 1 (adam only)")


@final
class ScheduleConfig(Settings):
    """Learning rate over the run."""

    kind: Literal["constant", "cosine", "wsd"] = setting(
        "wsd", "After the warm-up: constant; cosine to the end; or wsd, constant and then linear down at the end"
    )
    warmup: SpanOrZero = setting(0.02, "Linear warm-up: steps, share of the run or time; 0 is none")
    decay: SpanOrZero = setting(0.2, "Length of wsd's decay at the end: steps, share of the run or time; 0 is none")
    min_ratio: float = setting(0.0, "Learning rate at the end over the highest, 0 to 1", ge=0, le=1)
    mode: Literal["shares", "absolute"] = setting(
        "shares", "shares keep their shape at any length; absolute: the plan's numbers, of a run of 100000 steps"
    )
    restarts: int = setting(
        0, "Warm restarts of the cosine, which make equal cycles of the run; 0 to 100 (cosine only)", ge=0, le=100
    )


@final
class AveragingConfig(Settings):
    """Which weights are evaluated."""

    kind: Literal["none", "ema"] = setting("ema", "none: the raw weights; ema: their exponential moving average")
    decay: float = setting(
        0.999, "Decay of the average a step, 0 to below 1; min(decay, (1 + t) / (10 + t))", ge=0, lt=1
    )
    rows: bool = setting(True, "Average the tasks' identity rows too")

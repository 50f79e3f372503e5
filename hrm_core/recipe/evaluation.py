"""Settings of what is measured, and of when an alarm is raised.

Recipe room; free of torch. How they act: `hrm_core/evaluation`.
"""

from __future__ import annotations

from typing import Literal, final

from hrm_core.recipe.base import Settings, setting


@final
class EvaluationConfig(Settings):
    """How held-out pairs are predicted and scored."""

    views: int = setting(8, "Views that vote, from the training augmentation; 1: one view; 1 to 2000", ge=1, le=2000)
    batch: int = setting(64, "Views in a piece that passes through memory together, 1 to 16384", ge=1, le=16384)
    segment_grids: int = setting(40, "Fixed pairs whose grid is kept for each segment, 0 to 1000", ge=0, le=1000)
    score: Literal["exact", "padded_accuracy"] = setting(
        "exact", "What chooses the best; padded_accuracy only to show why not: PAD alone gets 71 % on eval"
    )
    may_halt: bool = setting(False, "A prediction is that of the first segment in which the halting head would stop")


@final
class AlarmsConfig(Settings):
    """Thresholds of the alarms; each alarm is a sentence with its numbers on every screen."""

    constant_share: float = setting(0.9, "constant_output: one grid for at least this share of the inputs", gt=0, le=1)
    input_sensitivity: float = setting(0.1, "input_blind: fewer predictions change with the input, 0 to 1", ge=0, le=1)
    identity_sensitivity: float = setting(
        0.1, "identity_blind: fewer change with the task's identity, 0 to 1", ge=0, le=1
    )
    warmup_share: float = setting(
        0.1, "Share of the run before the alarms that need one are raised, 0 to 1", ge=0, le=1
    )
    divergence_factor: float = setting(3.0, "diverging: loss above so many times its lowest, above 1", gt=1, le=1000)
    halting_share: float = setting(0.95, "halting_collapsed: this share halts in one and the same segment", gt=0, le=1)
    overfit_gap: float = setting(
        0.3, "overfitting: validation loss above its lowest by this share, 0 to 100", ge=0, le=100
    )
    plateau_validations: int = setting(
        4, "plateau: so many full validations without improvement, 2 to 1000", ge=2, le=1000
    )
    plateau_gain: float = setting(0.005, "plateau: a smaller gain of the score is none, 0 to 1", ge=0, le=1)
    stalled_s: float = setting(120.0, "stalled: no heartbeat for so many seconds, 1 to 86400", ge=1, le=86400)
    lost_s: float = setting(
        5.0, "lost: the lock is free and no result came for so many seconds, 0 to 3600", ge=0, le=3600
    )

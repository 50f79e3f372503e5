"""What the host remembers of a run beside the tensors: counters, plan, gate and bests. Plain values, for checkpoints.

Training room, free of torch. `Progress` is changed by the trainer only; clocks in it count training time, and pauses
and the time between a kill and a resume are left out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, final

from hrm_core.training.plan import Plan


@final
@dataclass
class Progress:
    """Counters of a run at a step."""

    plan: Plan
    step: int = 0
    elapsed_s: float = 0.0
    samples: int = 0
    puzzles: int = 0
    tokens: int = 0
    gate: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    last_fast_step: int | None = None
    last_full_step: int | None = None
    last_checkpoint_step: int | None = None
    decay_began: bool = False
    ended: str = ""  # why the run has ended early, once it has
    train_loss: float | None = None  # of the last row of metrics
    # Measured once where something is given in hours; see `Trainer._resolve_plan`.
    seconds_per_step: float | None = None
    alarms: list[dict[str, Any]] = field(default_factory=list)
    # Since the last row of metrics; zero after each.
    row_seconds: float = 0.0
    row_steps: int = 0
    row_tokens: int = 0

    def to_json(self) -> dict[str, Any]:
        """For progress.json in a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        """From progress.json."""
        return cls(**{**data, "plan": Plan(**data["plan"])})

"""What happens when a loss or gradient is not finite, or memory runs out: the policy of the plan, as plain numbers.

Training room, free of torch. The step itself leaves no trace of a bad update; here the host, which sees the counts
every `log_every` steps, halves the noise where the run adds any to its gradients and else lowers the learning rate by a
fifth, goes back to the last good checkpoint after the third within 1,000 steps, and stops after the fifth. The counts
live outside the checkpoint (policy.json), so that a rollback does not forget them, nor how many slots fit into memory.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, final

WINDOW_STEPS = 1000
ROLLBACK_AT = 3
STOP_AT = 5
LOWERED = 0.8
HALVED = 0.5


@final
@dataclass
class Policy:
    """Counts of non-finite steps and the factors on learning rate and noise that they led to; `pieces` and `grids`: the
    most slots of a step and grids of a validation that fit into memory together, None where it never ran out."""

    lr_factor: float = 1.0
    nonfinite: int = 0
    recent: list[int] = field(default_factory=list)
    noise_factor: float = 1.0
    pieces: int | None = None
    grids: int | None = None

    def nonfinite_step(self, step: int, count: int, has_noise: bool = False) -> str:
        """Takes `count` bad steps at about `step` in; says what to do: "lower", "rollback" or "stop"."""
        self.nonfinite += count
        self.recent = [old for old in self.recent if step - old < WINDOW_STEPS] + [step] * count
        if has_noise:
            self.noise_factor *= HALVED**count
        else:
            self.lr_factor *= LOWERED**count
        if self.nonfinite >= STOP_AT:
            return "stop"
        return "rollback" if len(self.recent) >= ROLLBACK_AT else "lower"

    @property
    def factors(self) -> dict[str, float]:
        """What is left of the learning rate and of the noise."""
        return {"lr_factor": self.lr_factor, "noise_factor": self.noise_factor}

    def to_json(self) -> dict[str, Any]:
        """For policy.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Policy:
        """From policy.json; what is missing or of another type counts as fresh."""
        fresh = cls()
        recent, pieces, grids = data.get("recent"), data.get("pieces"), data.get("grids")
        return cls(
            float(data.get("lr_factor", fresh.lr_factor)),
            int(data.get("nonfinite", 0)),
            [int(step) for step in recent] if isinstance(recent, list) else [],
            float(data.get("noise_factor", fresh.noise_factor)),
            pieces if isinstance(pieces, int) and pieces >= 1 else None,
            grids if isinstance(grids, int) and grids >= 1 else None,
        )

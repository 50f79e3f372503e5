"""What happens when a loss or gradient is not finite, or the run is told so: the policy of the plan, as plain numbers.

Training room, free of torch. The step itself leaves no trace of a bad update; here the host, which sees the counts
every `log_every` steps, lowers the learning rate by a fifth, goes back to the last good checkpoint after the third
within 1,000 steps, and stops after the fifth. The counts live outside the checkpoint (policy.json), so that a
rollback does not forget them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, final

WINDOW_STEPS = 1000
ROLLBACK_AT = 3
STOP_AT = 5
LOWERED = 0.8


@final
@dataclass
class Policy:
    """Counts of non-finite steps and the factor on the learning rate that they led to."""

    lr_factor: float = 1.0
    nonfinite: int = 0
    recent: list[int] = field(default_factory=list)

    def nonfinite_step(self, step: int, count: int) -> str:
        """Takes `count` bad steps at about `step` in; says what to do: "lower", "rollback" or "stop"."""
        self.nonfinite += count
        self.recent = [old for old in self.recent if step - old < WINDOW_STEPS] + [step] * count
        self.lr_factor *= LOWERED**count
        if self.nonfinite >= STOP_AT:
            return "stop"
        return "rollback" if len(self.recent) >= ROLLBACK_AT else "lower"

    def to_json(self) -> dict[str, Any]:
        """For policy.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Policy:
        """From policy.json; what is missing or of another type counts as fresh."""
        fresh = cls()
        recent = data.get("recent")
        return cls(
            float(data.get("lr_factor", fresh.lr_factor)),
            int(data.get("nonfinite", 0)),
            [int(step) for step in recent] if isinstance(recent, list) else [],
        )

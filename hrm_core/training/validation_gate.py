"""When to validate, when to skip it, and when a run has stopped improving.

Training room; pure, free of torch. Cadences and the results of validations -> due, run or skip, new best, early stop.

The fast set is cheap and runs whenever due. A due full validation runs only if the fast set's loss or score has beaten
its best since the last full one; a skipped one counts one towards patience, and so does one that does not improve. The
first due one, any while weights are averaged at the end (SWA), the last step's, and one that would end the run are
never skipped, so the decision to stop always rests on a full validation.

Counting alone cannot tell a plateau: the k-th of k validations that only jitter is a new best once in k times, so of
the plateaus that begin at 0.3 of a run four in five would not see four in a row without one before the decay at 0.8.
So the end is decided on a trend: over the last `patience` due full validations, neither a rise of the fast set's score
nor a fall of its loss is steeper than `CERTAIN` standard errors of its least-squares line. The count decides only where
there are too few fast results.

Not here: the validations themselves (`hrm_core.evaluation`), spans given as time (the trainer says when those strike).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, final

CERTAIN = 4.5
FEWEST_RESULTS = 8
DECAY_SHARE = 0.2

Decay = Literal["none", "ahead", "under_way"]


@final
@dataclass(frozen=True)
class Due:
    """What is due at a step."""

    fast: bool
    full: bool


@final
@dataclass(frozen=True)
class EarlyStop:
    """`stop_now`, or `begin_decay`: the learning rate falls to its end over `steps` steps, then the run ends."""

    action: Literal["stop_now", "begin_decay"]
    steps: int
    reason: str


@final
@dataclass(frozen=True)
class FullOutcome:
    """What a full validation meant: whether it is the best so far, how many due ones (skipped or not) have now gone by
    without a new best, and whether to end the run."""

    best: bool
    waited: int
    early_stop: EarlyStop | None


@final
@dataclass
class GateState:
    """All that the gate remembers; plain numbers and lists, for the checkpoint.

    fast: [step, score, loss or None] of the fast validations that a decision can still need; due_steps: the last
    patience + 1 steps at which a full validation was due.
    """

    fast: list[list[float | None]] = field(default_factory=list)
    due_steps: list[int] = field(default_factory=list)
    best_fast_loss: float | None = None
    best_fast_score: float | None = None
    fast_beaten: bool = False
    num_full: int = 0
    waited: int = 0
    best_score: float | None = None
    best_loss: float | None = None
    ending: bool = False


def due(step: int, fast_every: int, full_every: int, max_steps: int) -> Due:
    """What is due once `step` steps have been made: multiples of the cadences, and both at the last step."""
    last = step == max_steps
    return Due(fast=last or step % fast_every == 0, full=last or step % full_every == 0)


def trend(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the least-squares line through (x, y), in its standard errors; infinite along an exact slope, 0 along
    an exact level. At least three points with different x."""
    num = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / num, sum(y for _, y in points) / num
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    residual = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    error = math.sqrt(residual / (num - 2) / spread)
    rise = abs(slope) * math.sqrt(spread)
    if rise <= 1e-12 * max(abs(y) for _, y in points):
        return 0.0
    return math.copysign(math.inf, slope) if error <= 1e-12 * abs(slope) else slope / error


@final
class ValidationGate:
    """The state machine. `fast` after each fast validation; where a full one is due `wants_full`, then `full` or
    `skipped`. A loss that is None or not finite never counts as better."""

    def __init__(self, patience: int, early_stop: bool, state: Mapping[str, Any] | None = None) -> None:
        assert patience >= 1
        self.patience = patience
        self.early_stop = early_stop
        self.state = GateState(**state) if state is not None else GateState()

    def state_dict(self) -> dict[str, Any]:
        """Give it back as `state` to go on from here."""
        return asdict(self.state)

    def fast(self, step: int, score: float, loss: float | None) -> None:
        """Take note of a fast validation after `step` steps."""
        state, loss = self.state, _finite(loss)
        if state.best_fast_score is None or score > state.best_fast_score:
            state.best_fast_score = score
            state.fast_beaten = True
        if loss is not None and (state.best_fast_loss is None or loss < state.best_fast_loss):
            state.best_fast_loss = loss
            state.fast_beaten = True
        state.fast.append([step, score, loss])

    def wants_full(self, step: int, *, always: bool) -> bool:
        """Whether the full validation due after `step` steps runs; call once for each that is due. `always`: the last
        step, or weights are being averaged (SWA)."""
        state = self.state
        state.due_steps = [*state.due_steps, step][-(self.patience + 1) :]
        state.fast = [result for result in state.fast if (result[0] or 0) >= state.due_steps[0]]
        would_end = self.early_stop and not state.ending and self._has_ended(state.waited + 1)
        return always or state.num_full == 0 or state.fast_beaten or would_end

    def skipped(self) -> int:
        """The due full validation was skipped; returns how many have now gone by without a new best."""
        self.state.waited += 1
        return self.state.waited

    def full(self, step: int, max_steps: int, score: float, loss: float | None, decay: Decay) -> FullOutcome:
        """Take note of the full validation after `step` steps; `decay`: where the schedule's decay lies now."""
        state, loss = self.state, _finite(loss)
        best = state.best_score is None or score > state.best_score
        if score == state.best_score and loss is not None:
            best = state.best_loss is None or loss < state.best_loss
        if best:
            state.best_score, state.best_loss = score, loss
        state.num_full += 1
        state.fast_beaten = False
        state.waited = 0 if best else state.waited + 1
        return FullOutcome(best, state.waited, self._decide(step, max_steps, decay))

    def _has_ended(self, waited: int) -> bool:
        """No improvement over the last `patience` due full validations."""
        state = self.state
        if len(state.due_steps) <= self.patience:
            return False
        scores = [(x, score) for x, score, _ in state.fast if x is not None and score is not None]
        losses = [(x, loss) for x, _, loss in state.fast if x is not None and loss is not None]
        if len(scores) < FEWEST_RESULTS:
            return waited >= self.patience
        score_trend = trend(scores)
        loss_trend = trend(losses) if len(losses) >= FEWEST_RESULTS else 0.0
        return score_trend < CERTAIN and (loss_trend > -CERTAIN or score_trend <= -CERTAIN)

    def _decide(self, step: int, max_steps: int, decay: Decay) -> EarlyStop | None:
        state = self.state
        if not self.early_stop or state.ending or step >= max_steps or decay == "under_way":
            return None
        if not self._has_ended(state.waited):
            return None
        state.ending = True
        reason = f"no improvement beyond jitter since step {state.due_steps[0]}, over {self.patience} full validations"
        if decay == "none":
            return EarlyStop("stop_now", 0, reason)
        return EarlyStop("begin_decay", min(max(1, round(DECAY_SHARE * step)), max_steps - step), reason)


def _finite(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) else None

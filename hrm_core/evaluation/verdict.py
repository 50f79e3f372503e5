"""Is an experiment better than its control? The verdict, in words that claim no more than the runs can carry.

Evaluation room: the final scores of the runs of each arm -> a `Verdict` for each arm. The unit is the run; a score is
val `exact` of the last step's evaluation weights, never the best of a run. `better` and `worse` need three seeds on
both sides and an interval without 0; everything else is `cannot tell`, with the difference that could have been seen.
The plan's own rule, half a point on the best, is reported beside it and decides nothing. Statistics: see
`verdict_statistics.py`; reading runs: `comparison_runs.py`. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from hrm_core.evaluation.verdict_statistics import (
    dunnett,
    exact_mcnemar,
    expected_best_of,
    least_difference,
    welch,
)

FEWEST_SEEDS = 3
PLAN_GAIN = 0.005
"""The plan's "+0.5 %", as a share."""

Call = Literal["better", "worse", "cannot tell"]


@final
@dataclass(frozen=True)
class Verdict:
    """What can be said of one arm against the control. Scores are shares; `needed` is the least difference that would
    have been seen, None where the arms cannot be compared at all; `low` and `high` are None without a test.
    """

    arm: str
    call: Call
    difference: float | None
    low: float | None
    high: float | None
    needed: float | None
    test: Literal["Welch", "Dunnett", "none"]
    seeds: int
    control_seeds: int
    num_tasks: int
    num_arms: int
    reason: str = ""

    @property
    def text(self) -> str:
        """The verdict in words."""
        if self.reason:
            return f"cannot tell: {self.reason}"
        assert self.difference is not None and self.needed is not None
        came = f"the difference is {_points(self.difference)}"
        needs = f"needs at least {100 * self.needed:.1f} points"
        if self.call == "cannot tell":
            if min(self.seeds, self.control_seeds) == 1:
                return f"cannot tell (one seed): with {self.num_tasks} tasks {needs} and three seeds; {came}"
            seeds = f"with {self.num_tasks} tasks and {self.seeds} seeds"
            more = " and three seeds on both sides" if self.test == "none" else ""
            return f"cannot tell {seeds}: {needs}{more}; {came}{self._interval()}"
        return (
            f"{self.call}: {_points(self.difference)}{self._interval()}, "
            f"{self.seeds} seeds against {self.control_seeds}, {self.num_tasks} tasks"
        )

    def _interval(self) -> str:
        if self.low is None or self.high is None:
            return ""
        over = f" over {self.num_arms} arms" if self.test == "Dunnett" else ""
        return f" (95 % interval {100 * self.low:+.1f} to {100 * self.high:+.1f}, {self.test}{over})"


def _points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f} points"  # + 0.0: a minus before zero would only puzzle


def judge(
    control: Sequence[float],
    arms: Mapping[str, Sequence[float]],
    num_tasks: int,
    excluded: Mapping[str, str] | None = None,
) -> dict[str, Verdict]:
    """A verdict for each arm. `excluded`: arms that cannot be compared, and why; they do not count as tested.

    Arms with fewer than three seeds are not tested, and so do not widen the intervals of the others.
    """
    reasons = dict(excluded or {})
    tested = [
        name for name, scores in arms.items() if name not in reasons and min(len(scores), len(control)) >= FEWEST_SEEDS
    ]
    base = np.array(control, dtype=np.float64)
    found: dict[str, Verdict] = {}
    if tested:
        groups = [np.array(arms[name], dtype=np.float64) for name in tested]
        several = len(tested) > 1
        difference, half = dunnett(base, groups, num_tasks) if several else welch(base, groups[0], num_tasks)
        for name, middle, width in zip(tested, np.atleast_1d(difference), np.atleast_1d(half), strict=True):
            found[name] = _tested(name, float(middle), float(width), len(arms[name]), len(base), num_tasks, len(tested))
    return {
        name: found[name] if name in found else _untested(name, control, scores, num_tasks, reasons.get(name, ""))
        for name, scores in arms.items()
    }


def _tested(name: str, middle: float, width: float, seeds: int, control: int, num_tasks: int, num_arms: int) -> Verdict:
    low, high = middle - width, middle + width
    call: Call = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
    test: Literal["Welch", "Dunnett"] = "Dunnett" if num_arms > 1 else "Welch"
    return Verdict(name, call, middle, low, high, width, test, seeds, control, num_tasks, num_arms)


def _untested(name: str, control: Sequence[float], scores: Sequence[float], num_tasks: int, reason: str) -> Verdict:
    if not reason and not (control and scores):
        reason = "no finished run of the control" if not control else "no finished run"
    difference = None if reason else float(np.mean(scores) - np.mean(control))
    needed = None if reason else least_difference([control, scores], num_tasks)
    return Verdict(
        name, "cannot tell", difference, None, None, needed, "none", len(scores), len(control), num_tasks, 0, reason
    )


@final
@dataclass(frozen=True)
class PlanRule:
    """The plan's rule on the best validations: means over the runs of an arm. Shares."""

    best: float
    control_best: float
    validations: int
    picking_gain: float

    @property
    def met(self) -> bool:
        """Whether the best is at least half a point above the control's."""
        return self.best - self.control_best >= PLAN_GAIN - 1e-12

    @property
    def text(self) -> str:
        """The rule in words, with what picking the best of several validations gives for nothing."""
        return (
            f"the plan's own rule (+0.5 points on the best): {'met' if self.met else 'not met'}, best "
            f"{100 * self.best:.1f} % against {100 * self.control_best:.1f} %; picking the best of "
            f"{self.validations} validations alone gives {100 * self.picking_gain:.1f} points"
        )


def plan_rule(best: Sequence[float], control_best: Sequence[float], validations: int, noise: float) -> PlanRule | None:
    """The plan's rule from each run's best score; None without runs.

    `noise` is the standard deviation of one validation of a run around its own course. The mean over runs is compared
    (with one seed it is the plan's rule to the letter): the highest of nine runs is above the highest of three anyway.
    """
    if not best or not control_best:
        return None
    gain = expected_best_of(validations) * noise
    return PlanRule(float(np.mean(best)), float(np.mean(control_best)), validations, gain)


@final
@dataclass(frozen=True)
class PairedTests:
    """What two checkpoints solve of the same tests, and McNemar's exact p value: of these two, not of their recipes."""

    both: tuple[str, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    neither: int
    p_value: float

    TITLE = "these two checkpoints"

    @property
    def num_tests(self) -> int:
        """Tests that both have."""
        return len(self.both) + len(self.gained) + len(self.lost) + self.neither


def paired_tests(control: Mapping[str, bool], other: Mapping[str, bool]) -> PairedTests:
    """Test -> solved, of two checkpoints -> the paired table over the tests that both have."""
    common = sorted(control.keys() & other.keys())
    both = tuple(name for name in common if control[name] and other[name])
    gained = tuple(name for name in common if other[name] and not control[name])
    lost = tuple(name for name in common if control[name] and not other[name])
    neither = len(common) - len(both) - len(gained) - len(lost)
    return PairedTests(both, gained, lost, neither, exact_mcnemar(len(gained), len(lost)))

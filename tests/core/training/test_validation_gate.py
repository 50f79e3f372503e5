"""The gate beside what its rules say by hand, and beside 300 simulated plateaus and 300 simulated steady climbs."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hrm_core.training.validation_gate import Decay, Due, FullOutcome, ValidationGate, due, trend

MAX_STEPS = 1000
FAST_EVERY, FULL_EVERY = 20, 100  # the default shares, 0.02 and 0.1

Curve = Callable[[float], tuple[float, float]]


def play(curve: Curve, seed: int, noise: float, decay_share: float = 0.2, patience: int = 4) -> int | None:
    """The step at which a run with this noiseless (score, loss) curve is stopped early; None if it is not.

    Every validation jitters by a part that both sets share and by one of its own; scores are whole pairs out of 104
    (fast) or 416 (full), losses jitter in proportion.
    """
    draw = random.Random(seed)
    gate = ValidationGate(patience, True)
    for step in range(1, MAX_STEPS + 1):
        now = due(step, FAST_EVERY, FULL_EVERY, MAX_STEPS)
        score, loss = curve(step / MAX_STEPS)
        shared = draw.gauss(0, noise)

        def jittered(pairs: int, own: float, score: float = score, loss: float = loss, shared: float = shared) -> Any:
            value = min(max(score + 0.5 * shared + own * draw.gauss(0, noise), 0.0), 1.0)
            return round(value * pairs) / pairs, loss * (1 + shared + own * draw.gauss(0, noise))

        if now.fast:
            gate.fast(step, *jittered(104, 1.0))
        if now.full and gate.wants_full(step, always=step == MAX_STEPS):
            decay: Decay = (
                "none" if decay_share == 0 else "ahead" if step < MAX_STEPS * (1 - decay_share) else "under_way"
            )
            if gate.full(step, MAX_STEPS, *jittered(416, 0.5), decay).early_stop is not None:
                return step
        elif now.full:
            gate.skipped()
    return None


def plateau(seed: int) -> Curve:
    """A climb that ends between 0.1 and 0.3 of the run, at a score from 0 to 0.4; in some runs the loss rises after."""
    draw = random.Random(1000 + seed)
    end, height = draw.uniform(0.1, 0.3), draw.choice([0.0, draw.uniform(0.02, 0.4)])
    overfit = draw.choice([0.0, 0.0, 0.5])

    def curve(share: float) -> tuple[float, float]:
        climbed = min(share / end, 1.0)
        return height * climbed, 1.0 + 1.5 * math.exp(-2.5 * climbed) + overfit * max(0.0, share - end)

    return curve


def test_300_plateaus_all_stop_early() -> None:
    stops = [play(plateau(seed), seed, noise=0.01 * (1 + seed % 3)) for seed in range(300)]
    assert None not in stops
    assert max(stop for stop in stops if stop is not None) <= 700  # the decay of an unbroken run begins at 800


def test_300_steady_climbs_never_stop() -> None:
    def steady(share: float) -> tuple[float, float]:
        return 0.25 * share, 2.0 * math.exp(-0.8 * share)

    def loss_only(share: float) -> tuple[float, float]:
        return 0.0, 2.0 * math.exp(-0.8 * share)

    def score_while_overfitting(share: float) -> tuple[float, float]:
        return 0.4 * share, 1.0 + 0.5 * share

    for number, curve in enumerate((steady, loss_only, score_while_overfitting)):
        stops = [play(curve, 100 * number + seed, noise=0.01, decay_share=0.0) for seed in range(100)]
        assert stops == [None] * 100


def test_counting_alone_would_miss_plateaus() -> None:
    """Why there is a trend: most plateaus of pure jitter do not have four validations in a row without a new best."""
    draw = random.Random(5)
    missed = 0
    for _ in range(1000):
        best, waited, stopped = -math.inf, 0, False
        for value in [draw.gauss(0, 1) for _ in range(5)]:  # due at 0.3 of the run, ..., 0.7
            waited = 0 if value > best else waited + 1
            best = max(best, value)
            stopped |= waited >= 4
        missed += not stopped
    assert missed > 700


def test_due_at_multiples_and_at_the_last_step() -> None:
    assert due(40, 20, 100, 1010) == Due(fast=True, full=False)
    assert due(100, 20, 100, 1010) == Due(fast=True, full=True)
    assert due(101, 20, 100, 1010) == Due(fast=False, full=False)
    assert due(1010, 20, 100, 1010) == Due(fast=True, full=True)


def test_skips_unless_the_fast_set_has_beaten_its_best() -> None:
    gate = ValidationGate(patience=4, early_stop=True)
    gate.fast(20, 0.10, 2.0)
    assert gate.wants_full(100, always=False)  # the first due one always runs
    gate.full(100, 1000, 0.1, 2.0, "ahead")
    gate.fast(120, 0.10, 2.0)  # ties beat nothing
    assert not gate.wants_full(200, always=False)
    assert gate.skipped() == 1
    assert gate.wants_full(250, always=True)  # SWA, or the last step
    gate.fast(220, 0.05, 1.9)  # the loss alone is enough
    assert gate.wants_full(300, always=False)
    gate.full(300, 1000, 0.1, 1.9, "ahead")
    gate.fast(320, 0.11, 9.0)  # and so is the score
    assert gate.wants_full(400, always=False)
    gate.full(400, 1000, 0.1, math.nan, "ahead")
    gate.fast(420, 0.11, math.nan)
    gate.fast(440, 0.11, None)
    assert not gate.wants_full(500, always=False)


def test_first_due_one_runs_even_without_fast_validations() -> None:
    assert ValidationGate(4, True).wants_full(100, always=False)


@pytest.mark.parametrize(
    ("results", "best"),
    [
        ([(0.1, 2.0), (0.2, 3.0)], [True, True]),  # the score decides
        ([(0.1, 2.0), (0.1, 1.9), (0.1, 1.9)], [True, True, False]),  # ties go to the lower loss
        ([(0.0, 2.0), (0.0, math.nan), (0.0, None), (0.0, 1.0)], [True, False, False, True]),
        ([(0.0, math.nan), (0.0, 5.0)], [True, True]),
        ([(0.2, 2.0), (0.1, 1.0)], [True, False]),
    ],
)
def test_best_is_the_score_then_the_lower_loss(results: list[tuple[float, float | None]], best: list[bool]) -> None:
    gate = ValidationGate(patience=99, early_stop=True)
    outcomes = [gate.full(100 * step, 9000, score, loss, "ahead") for step, (score, loss) in enumerate(results)]
    assert [outcome.best for outcome in outcomes] == best
    waited = [0]
    for is_best in best[1:]:
        waited.append(0 if is_best else waited[-1] + 1)
    assert [outcome.waited for outcome in outcomes] == waited


def flat_run(decay: Decay, early_stop: bool = True, fast: bool = True) -> list[FullOutcome | None]:
    """Nothing ever changes: what happens at each due full validation, None where it is skipped."""
    gate = ValidationGate(4, early_stop)
    seen: list[FullOutcome | None] = []
    for step in range(20, 1001, 20):
        if fast:
            gate.fast(step, 0.1, 2.0)
        if step % 100 == 0:
            if gate.wants_full(step, always=step == 1000):
                seen.append(gate.full(step, 1000, 0.1, 2.0, decay))
            else:
                gate.skipped()
                seen.append(None)
    return seen


@pytest.mark.parametrize("fast", [True, False])
def test_the_end_rests_on_a_full_validation(fast: bool) -> None:
    seen = flat_run("ahead", fast=fast)
    assert seen[0] is not None and seen[1:4] == [None] * 3  # skipped: the fast set has beaten nothing
    assert seen[4] is not None and seen[4].waited == 4  # but the one that ends it is run
    stop = seen[4].early_stop
    assert stop is not None and (stop.action, stop.steps) == ("begin_decay", 100)  # 20 % of 500
    assert "step 100" in stop.reason
    assert [outcome for outcome in seen[5:9] if outcome] == []  # said once; skipping goes on
    assert seen[9] is not None and seen[9].early_stop is None  # the last step is always validated


def test_without_a_decay_the_run_ends_and_one_under_way_finishes() -> None:
    stop = flat_run("none")[4]
    assert stop is not None and stop.early_stop is not None and stop.early_stop.action == "stop_now"
    assert all(outcome is None or outcome.early_stop is None for outcome in flat_run("under_way"))
    assert all(outcome is None or outcome.early_stop is None for outcome in flat_run("ahead", early_stop=False))


def test_an_early_decay_ends_by_the_last_step() -> None:
    gate = ValidationGate(1, True)
    for step in (800, 900):
        gate.wants_full(step, always=True)
        outcome = gate.full(step, 1000, 0.1, 2.0, "ahead")
    assert outcome.early_stop is not None and outcome.early_stop.steps == 100  # 20 % would be 180


def test_state_goes_through_json_and_goes_on_alike() -> None:
    draw = random.Random(3)
    results = [(draw.random(), draw.random()) for _ in range(200)]

    def run(gates: int) -> list[Any]:
        gate, seen = ValidationGate(4, True), []
        for number, (score, loss) in enumerate(results):
            if gates > 1 and number % 7 == 0:
                gate = ValidationGate(4, True, json.loads(json.dumps(gate.state_dict())))
            gate.fast(number, score, loss)
            if number % 5 == 0:
                wanted = gate.wants_full(number, always=False)
                seen.append(gate.full(number, 999, score, loss, "ahead") if wanted else gate.skipped())
        return seen

    assert run(1) == run(2)


def test_memory_of_fast_results_is_bounded() -> None:
    gate = ValidationGate(4, True)
    for step in range(20, 100_001, 20):
        gate.fast(step, 0.1, 1.0)
        if step % 100 == 0:
            gate.wants_full(step, always=True)
            gate.full(step, 200_000, 0.1, 1.0, "under_way")
    assert len(gate.state.fast) <= 21 and len(gate.state.due_steps) == 5


def test_trend_is_the_slope_in_standard_errors() -> None:
    draw = random.Random(1)
    points = [(float(x), 0.3 * x + draw.gauss(0, 1)) for x in range(15)]
    x, y = np.array(points).T
    coefficients, covariance = np.polyfit(x, y, 1, cov=True)
    assert trend(points) == pytest.approx(coefficients[0] / math.sqrt(covariance[0, 0]))
    assert trend([(x, 0.1) for x in range(10)]) == 0.0
    assert trend([(x, 0.1 * x) for x in range(10)]) == math.inf
    assert trend([(x, -0.1 * x) for x in range(10)]) == -math.inf

"""When things are due, against shares and hours worked out by hand; what non-finite steps lead to."""

from __future__ import annotations

from typing import Any

import pytest

from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.training.plan import MEASURED_STEPS, NEVER, make_plan
from hrm_core.training.policy import Policy
from hrm_core.training.progress import Progress


def recipe(*overrides: str) -> Recipe:
    return build_recipe("EXP-00", overrides).recipe


def test_shares_of_the_plan_day_run() -> None:
    plan = make_plan(recipe())
    assert (plan.max_steps, plan.warmup, plan.decay) == (100_000, 2_000, 20_000)
    assert (plan.checkpoint_every, plan.fast_validation_every, plan.full_validation_every) == (2_000, 2_000, 10_000)
    assert not plan.provisional
    assert plan.fast_due(4_000)
    assert not plan.full_due(4_000)
    assert plan.full_due(20_000)
    assert plan.checkpoint_due(100_000)


def test_shares_keep_their_shape_in_a_short_run() -> None:
    plan = make_plan(recipe("preset=cpu"))
    assert (plan.max_steps, plan.warmup, plan.decay, plan.full_validation_every) == (1_000, 20, 200, 100)


def test_time_waits_for_the_measured_speed() -> None:
    chosen = recipe("training.max_steps=20min", "training.checkpoint_every=5min")
    before = make_plan(chosen)
    assert before.provisional
    assert before.max_steps == NEVER
    assert before.decay == 0
    assert not before.fast_due(MEASURED_STEPS)
    after = make_plan(chosen, seconds_per_step=0.5)
    assert not after.provisional
    assert after.max_steps == 2_400
    assert after.checkpoint_every == 600
    assert after.decay == 480
    assert after.schedule(chosen).factor(2_399) == pytest.approx(1 / 480)


def test_steps_are_steps() -> None:
    plan = make_plan(recipe("training.max_steps=500", "schedule.warmup=7", "training.full_validation_every=33"))
    assert plan.warmup == 7
    assert plan.full_validation_every == 33


def test_nonfinite_steps_lower_then_roll_back_then_stop() -> None:
    policy = Policy()
    assert [policy.nonfinite_step(step, 1) for step in (10, 500, 900)] == ["lower", "lower", "rollback"]
    assert policy.lr_factor == pytest.approx(0.8**3)
    policy.recent.clear()
    assert policy.nonfinite_step(3_000, 1) == "lower"
    assert policy.nonfinite_step(9_000, 1) == "stop"


def test_three_within_a_thousand_steps_not_over_more() -> None:
    policy = Policy()
    assert [policy.nonfinite_step(step, 1) for step in (0, 1_500, 3_000)] == ["lower"] * 3


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"recent": "x", "lr_factor": 0.5},
        {"nonfinite": 2, "recent": [1, 2]},
        {"pieces": "many", "noise_factor": 0.5},
        {"pieces": 0},
    ],
)
def test_policy_survives_what_a_file_may_hold(data: dict[str, Any]) -> None:
    policy = Policy.from_json(data)
    assert Policy.from_json(policy.to_json()) == policy


def test_progress_comes_back_as_it_was() -> None:
    progress = Progress(make_plan(recipe()), step=7, best={"metric": "exact", "value": 0.1, "step": 5})
    assert Progress.from_json(progress.to_json()) == progress

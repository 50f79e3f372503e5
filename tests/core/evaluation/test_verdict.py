"""Verdicts against simulated null families, published tables, scipy's own tests, and the words they are told in."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hrm_core.evaluation.verdict import PairedTests, judge, paired_tests, plan_rule
from hrm_core.evaluation.verdict_statistics import (
    dunnett,
    dunnett_critical,
    exact_mcnemar,
    expected_best_of,
    floor_variance,
    null_share,
    welch,
)

Scores = NDArray[np.float64]
ARMS = 10


def null_runs(draw: np.random.Generator, runs: int, share: float, spread: float, tasks: int, families: int) -> Scores:
    """(families, runs) final scores: each run has a rate of its own around `share`, and solves tasks at that rate."""
    rates = np.clip(share + spread * draw.standard_normal((families, runs)), 0.0, 1.0)
    return draw.binomial(tasks, rates) / tasks


def falsely_better(share: float, spread: float, tasks: int, controls: int, families: int = 2000) -> float:
    """Part of null families of ten arms in which at least one arm is called better."""
    draw = np.random.default_rng([tasks, controls, round(1e4 * spread), round(1e4 * share)])
    runs = partial(null_runs, draw, share=share, spread=spread, tasks=tasks, families=families)
    difference, half = dunnett(runs(controls), [runs(3) for _ in range(ARMS)], tasks)
    return float((difference > half).any(axis=-1).mean())


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.02])
@pytest.mark.parametrize("tasks", [60, 400])
def test_null_families_are_called_better_at_most_five_percent_of_the_time(spread: float, tasks: int) -> None:
    for share in (0.0, 0.5 / tasks, 1 / tasks, 2 / tasks, 0.1, 0.3):
        for controls in (3, 9):
            assert falsely_better(share, spread, tasks, controls) <= 0.05, (share, controls)


@pytest.mark.slow
def test_null_families_over_a_wide_grid() -> None:
    for tasks in (20, 60, 400, 2000):
        for spread in (0.0, 0.005, 0.01, 0.02, 0.03):
            for share in (0.0, 0.5 / tasks, 1 / tasks, 0.01, 0.02, 0.03, 0.05, 0.1, 0.5, 0.97, 1.0):
                for controls in (3, 6, 9, 12):
                    assert falsely_better(share, spread, tasks, controls, 4000) <= 0.05, (tasks, spread, share)


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.02])
def test_single_null_arms_are_called_better_rarely(spread: float) -> None:
    draw = np.random.default_rng(5)
    for share in (0.0, 1 / 400, 0.1):
        for controls in (3, 9):
            runs = partial(null_runs, draw, share=share, spread=spread, tasks=400, families=4000)
            difference, half = welch(runs(controls), runs(3), 400)
            assert (difference > half).mean() <= 0.05


def test_a_real_difference_is_seen() -> None:
    draw = np.random.default_rng(1)
    runs = partial(null_runs, draw, spread=0.01, tasks=400, families=500)
    arms = [runs(3, share=0.2 if place == 0 else 0.1) for place in range(ARMS)]
    difference, half = dunnett(runs(9, share=0.1), arms, 400)
    assert (difference > half)[:, 0].mean() > 0.99


@pytest.mark.parametrize(
    ("control", "sizes", "published"),
    [(2, (2,) * 4, 3.48), (3, (3,) * 4, 2.89), (2, (2,) * 9, 3.24), (11, (11,), 2.09)],
)
def test_critical_values_are_those_of_dunnetts_table(control: int, sizes: tuple[int, ...], published: float) -> None:
    assert dunnett_critical(control, sizes) == pytest.approx(published, abs=0.011)


def test_one_arm_alone_has_students_point() -> None:
    assert dunnett_critical(9, (3,)) == pytest.approx(stats.t.ppf(0.975, 10), abs=1e-4)


def test_unequal_sizes_agree_with_scipys_sampling() -> None:
    draw = np.random.default_rng(2)
    control, arms = draw.normal(0.5, 0.05, 9), [draw.normal(0.5, 0.05, size) for size in (3, 4, 5)]
    critical = dunnett_critical(9, (3, 4, 5))
    theirs = stats.dunnett(*arms, control=control, rng=np.random.default_rng(0))
    interval = theirs.confidence_interval(0.95)
    difference, half = dunnett(control, arms, num_tasks=10**6)
    assert np.allclose((interval.high - interval.low) / 2, half, rtol=0.01)
    assert np.allclose(interval.low, difference - half, atol=1e-3)
    assert critical > stats.t.ppf(0.975, 17)


def test_welch_agrees_with_scipy_where_the_floor_is_far() -> None:
    draw = np.random.default_rng(3)
    control, arm = draw.normal(0.5, 0.1, 5), draw.normal(0.6, 0.02, 4)
    difference, half = welch(control, arm, num_tasks=10**6)
    theirs = stats.ttest_ind(arm, control, equal_var=False).confidence_interval(0.95)
    assert (difference - half, difference + half) == pytest.approx((theirs.low, theirs.high))


def test_runs_that_are_all_zero_are_not_certain() -> None:
    assert float(floor_variance(np.array(0.0), 60)) == pytest.approx(1 / 60 * (59 / 60) / 60)
    zero = judge([0.0] * 9, {"a": [0.0] * 3, "b": [1 / 60] * 3}, 60)
    assert [zero[name].call for name in "ab"] == ["cannot tell", "cannot tell"]
    assert zero["b"].needed is not None and zero["b"].needed > 1 / 60


def test_three_seeds_on_both_sides_or_nothing() -> None:
    scores = [0.10, 0.11, 0.12]
    far = [0.50, 0.51, 0.52]
    assert judge(scores, {"arm": far}, 400)["arm"].call == "better"
    assert judge(far, {"arm": scores}, 400)["arm"].call == "worse"
    assert judge(scores, {"arm": far[:2]}, 400)["arm"].call == "cannot tell"
    assert judge(scores[:2], {"arm": far}, 400)["arm"].call == "cannot tell"
    both = judge(scores, {"arm": far, "other": scores}, 400)
    assert both["arm"].test == "Dunnett" and both["arm"].num_arms == 2
    alone = judge(scores, {"arm": far, "one": [0.3]}, 400)
    assert alone["arm"].test == "Welch" and alone["one"].test == "none"


def test_words_of_a_verdict() -> None:
    control = [0.10, 0.11, 0.12]
    told = judge(control, {"near": [0.11, 0.12, 0.10], "one": [0.5], "two": [0.2, 0.21]}, 60)
    assert told["near"].text.startswith("cannot tell with 60 tasks and 3 seeds: needs at least ")
    assert "the difference is +0.0 points (95 % interval -" in told["near"].text
    assert told["one"].text.startswith("cannot tell (one seed): with 60 tasks needs at least ")
    assert "+39.0 points" in told["one"].text
    assert "three seeds on both sides" in told["two"].text
    better = judge(control, {"far": [0.5, 0.51, 0.52]}, 60)["far"].text
    assert better.startswith("better: +40.0 points (95 % interval +") and better.endswith(
        "Welch), 3 seeds against 3, 60 tasks"
    )
    other = judge(control, {"other": [0.5] * 3}, 60, {"other": "it was scored on other tests"})["other"]
    assert other.text == "cannot tell: it was scored on other tests" and other.difference is None
    assert judge([], {"arm": [0.1]}, 60)["arm"].text == "cannot tell: no finished run of the control"


def test_the_plans_rule_and_what_picking_gives() -> None:
    assert expected_best_of(10) == pytest.approx(1.5388, abs=1e-3)
    rule = plan_rule([0.12], [0.115], 10, 0.0065)
    assert rule is not None and rule.met
    assert rule.picking_gain == pytest.approx(0.01, abs=1e-4)
    assert rule.text.endswith("picking the best of 10 validations alone gives 1.0 points")
    missed = plan_rule([0.12], [0.116], 10, 0.0)
    assert missed is not None and not missed.met and "not met" in missed.text
    assert plan_rule([], [0.1], 10, 0.0) is None


def test_paired_table_of_two_checkpoints() -> None:
    control = {"a:0": True, "b:0": True, "c:0": False, "d:0": False, "only": True}
    other = {"a:0": True, "b:0": False, "c:0": True, "d:0": False}
    table = paired_tests(control, other)
    assert (table.both, table.gained, table.lost, table.neither) == (("a:0",), ("c:0",), ("b:0",), 1)
    assert PairedTests.TITLE == "these two checkpoints"
    assert exact_mcnemar(8, 1) == pytest.approx(2 * (1 + 9) / 2**9)
    assert exact_mcnemar(0, 0) == 1.0


def test_real_seeds_against_themselves() -> None:
    share, choices = null_share([0.10, 0.11, 0.12, 0.10, 0.11, 0.13, 0.09], 3, 69)
    assert (share, choices) == (0.0, 35)
    split, _ = null_share([0.1, 0.1, 0.1, 0.9, 0.9, 0.9], 3, 69)
    assert split == pytest.approx(2 / 20)

"""The arithmetic of the curriculum's stages against sums made by hand."""

from __future__ import annotations

import pytest

from hrm_core.recipe.estimate import flops_per_segment
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.stages import flops_over_largest, mean_seconds, seconds_of_run, stage_sides, step_flops


def test_sides() -> None:
    assert stage_sides((0.6, 0.8, 1.0), 30) == (18, 24, 30)
    assert stage_sides((0.1, 0.6, 1.0), 7) == (3, 4, 7)


def test_a_step_costs_the_sum_of_its_slots() -> None:
    recipe = build_recipe("EXP-00", ["training.batch=4", "training.accumulation=1"]).recipe
    each = {side: flops_per_segment(recipe, side * side + recipe.identity.prefix_tokens) for side in (10, 30)}
    assert step_flops(recipe, {10: 300, 30: 100}) == 3 * each[10] + each[30]
    assert flops_over_largest(recipe, (1.0,), ()) == 1.0


def test_seconds_of_stages() -> None:
    """100 steps: 20 of a second, 30 of two, 50 of four; with ends in steps, shares and time alike."""
    for ends in ((20, 50), (0.2, 0.5), ("20s", "80s"), (20, "80s")):
        assert seconds_of_run(100, ends, (1.0, 2.0, 4.0)) == pytest.approx(20 + 60 + 200)
    assert seconds_of_run(10, (20, 50), (1.0, 2.0, 4.0)) == 10.0


@pytest.mark.parametrize("ends", [(0.29, 0.58), (20, 50), ("20s", "80s"), ("2h", 0.9)])
def test_the_mean_step_makes_the_run_as_long_as_asked(ends: tuple[int | float | str, ...]) -> None:
    seconds = (1.0, 2.0, 4.0)
    mean = mean_seconds(280.0, ends, seconds)
    assert 1.0 <= mean <= 4.0
    assert seconds_of_run(280.0 / mean, ends, seconds) == pytest.approx(280.0)

"""Arithmetic of cost against published figures: parameters, GFLOP a segment of HRM and TRM, tokens of ARC-AGI-1."""

from __future__ import annotations

import pytest

from hrm_core.recipe.estimate import estimate, flops_per_segment, mean_tokens
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.lay import build_recipe


def test_parameters() -> None:
    assert estimate(build_recipe("EXP-00").recipe, "cpu").trunk_parameters == 6_815_744
    assert estimate(build_recipe("hrm-official").recipe, "h100").trunk_parameters == 27_262_976
    assert estimate(build_recipe("trm").recipe, "h100").trunk_parameters == 27_262_976 // 4
    assert estimate(build_recipe("plateau-71").recipe, "cpu").row_parameters == 0


@pytest.mark.parametrize(
    ("name", "overrides", "gflop"),
    [
        ("EXP-00", [], 95),
        ("EXP-00", ["halting.kind=q_learning"], 151),
        ("hrm-official", [], 499),
        ("trm", [], 398),
    ],
)
def test_flops_of_a_segment_at_901_tokens(name: str, overrides: list[str], gflop: int) -> None:
    recipe = build_recipe(name, overrides).recipe
    tokens = 916 if name == "trm" else 901
    assert flops_per_segment(recipe, tokens) / 1e9 == pytest.approx(gflop, rel=0.01)


def test_tokens_of_a_training_pair() -> None:
    assert mean_tokens(build_recipe("EXP-00").recipe) == pytest.approx(341, abs=0.5)
    assert mean_tokens(build_recipe("EXP-00", ["data.train_canvas=pair"]).recipe) == pytest.approx(265, abs=1)
    assert mean_tokens(build_recipe("EXP-00p").recipe) == 900
    assert mean_tokens(build_recipe("demo").recipe) == 49


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_can_be_estimated(name: str) -> None:
    found = estimate(build_recipe(name, allow_unbuilt=True).recipe, "laptop")
    assert found.flops_per_segment > 0
    assert found.memory_gib > 0


def test_a_run_given_in_time_has_no_steps_to_count() -> None:
    found = estimate(build_recipe("EXP-00", ["training.max_steps=20min"]).recipe, "laptop")
    assert found.steps is None
    assert found.hours is None

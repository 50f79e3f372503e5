"""Laying a recipe against its rules: the order of the layers, who set what, presets, the plan's absolute numbers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hrm_core.errors import UserError
from hrm_core.recipe.difference import difference
from hrm_core.recipe.digest import recipe_hash
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.keys import flatten
from hrm_core.recipe.lay import build_recipe, override_recipe


def test_layers_in_order() -> None:
    laid = build_recipe("EXP-00p", ["preset=cpu", "training.batch=16"])
    assert laid.recipe.training.batch == 16
    assert laid.recipe.training.accumulation == 1
    assert laid.recipe.schedule.kind == "constant"
    assert laid.sources["training.batch"] == "override"
    assert laid.sources["training.accumulation"] == "preset cpu"
    assert laid.sources["schedule.kind"] == "EXP-00p"
    assert laid.sources["optimizer.betas"] == "EXP-00"
    assert laid.sources["preset"] == "override"


def test_an_override_outranks_the_experiment() -> None:
    laid = build_recipe("EXP-00p", ["averaging.kind=ema"])
    assert laid.recipe.averaging.kind == "ema"
    assert laid.sources["averaging.kind"] == "override"


def test_every_key_has_a_source() -> None:
    for name in EXPERIMENTS:
        laid = build_recipe(name, allow_unbuilt=True)
        assert set(laid.sources) == set(flatten(laid.recipe))


def test_the_order_of_overrides_does_not_matter_but_the_last_of_a_key_wins() -> None:
    first = build_recipe("EXP-00", ["training.batch=8", "preset=cpu"]).recipe
    second = build_recipe("EXP-00", ["preset=cpu", "training.batch=9", "training.batch=8"]).recipe
    assert first == second


def test_fits7_implies_its_canvas_and_can_be_undone() -> None:
    laid = build_recipe("EXP-00", ["preset=cpu"])
    assert laid.recipe.data.canvases == (7,)
    assert laid.sources["data.canvases"] == "preset cpu"
    assert build_recipe("EXP-00", ["preset=cpu", "data.subset=all"]).recipe.data.canvases == (10, 14, 18, 24, 30)
    assert build_recipe("EXP-00", ["data.subset=fits7"]).sources["data.canvases"] == "override"


def test_the_plans_baseline_takes_the_largest_canvas_that_the_user_chose() -> None:
    assert build_recipe("EXP-00p").recipe.data.canvases == (30,)
    assert build_recipe("EXP-00p", ["preset=cpu"]).recipe.data.canvases == (7,)
    assert build_recipe("EXP-00p", ["preset=cpu", "data.subset=all"]).recipe.data.canvases == (30,)
    assert build_recipe("EXP-00p", ["data.canvases=10,20"]).recipe.data.canvases == (10, 20)


def test_absolute_gives_the_plans_own_numbers() -> None:
    laid = build_recipe("EXP-02", ["schedule=absolute", "training.max_steps=200000"], allow_unbuilt=True)
    recipe, swa = laid.recipe, laid.recipe.techniques.swa_tail
    assert recipe.schedule.mode == "absolute"
    assert recipe.training.fast_validation_every == recipe.training.checkpoint_every == 2_000
    assert recipe.training.full_validation_every == 10_000
    assert swa is not None
    assert (swa.start, swa.period) == (50_000, 4_000)
    assert "schedule=absolute" in laid.sources["training.full_validation_every"]
    stages = build_recipe("EXP-07", ["schedule=absolute"], allow_unbuilt=True).recipe.techniques.curriculum
    assert stages is not None
    assert stages.ends == (29_000, 58_000)


def test_absolute_on_a_short_run_is_refused_with_a_remedy() -> None:
    with pytest.raises(UserError, match=r"schedule\.decay \(20000 steps\).*max_steps=1000"):
        build_recipe("EXP-00", ["preset=cpu", "schedule=absolute"])


SIZES = [(name, preset) for name, found in EXPERIMENTS.items() if len(found.presets) > 1 for preset in found.presets]


@pytest.mark.parametrize(("name", "preset"), SIZES)
def test_presets_are_alike_for_every_arm(name: str, preset: str) -> None:
    """What a preset sets is the same in the control and in the arm, but for what the experiment is about."""
    arm = build_recipe(name, [f"preset={preset}"], allow_unbuilt=True)
    control = build_recipe("EXP-00", [f"preset={preset}"]).recipe
    for key in difference(control, arm.recipe):
        assert arm.sources[key] == name, key


@pytest.mark.parametrize("name", ["demo", "plateau-71", "hrm-official", "trm"])
def test_experiments_with_a_size_refuse_presets(name: str) -> None:
    with pytest.raises(UserError, match="preset=laptop does not go with"):
        build_recipe(name, ["preset=laptop"])


@pytest.mark.parametrize("text", ["", "=3", "training.batch", "batch:3"])
def test_what_is_no_override(text: str) -> None:
    with pytest.raises(UserError, match="is no override"):
        build_recipe("EXP-00", [text])


def test_unknown_names() -> None:
    with pytest.raises(UserError, match="did you mean EXP-04"):
        build_recipe("EXP-4")
    with pytest.raises(UserError, match="did you mean EXP-00p"):
        build_recipe("exp-00P")
    with pytest.raises(UserError, match="did you mean laptop"):
        build_recipe("EXP-00", ["preset=labtop"])
    with pytest.raises(UserError, match="there are plan, laptop, h100, cpu, demo"):
        build_recipe("EXP-00", ["preset=x"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("optimizer.clip=none", None),
        ("optimizer.clip=2", 2.0),
        ("optimizer.clip=1e-1", 0.1),
        ("data.canvases=[7]", (7,)),
        ("data.canvases=10, 14", (10, 14)),
        ("rows.betas=(0.8,0.9)", (0.8, 0.9)),
        ("training.checkpoint_every=500", 500),
        ("training.checkpoint_every=0.5", 0.5),
        ("training.checkpoint_every=20min", "20min"),
        ('training.checkpoint_every="20min"', "20min"),
        ("data.source=some/folder", "some/folder"),
        ("data.source=7", "7"),
        ("training.early_stop=False", False),
        ("identity.kind=none", "none"),
        ("training.threads=null", None),
    ],
)
def test_values_as_people_type_them(text: str, value: object) -> None:
    flat = flatten(build_recipe("EXP-00", [text]).recipe)
    found = flat[text.split("=")[0]]
    assert found == value
    assert type(found) is type(value)


def test_an_existing_recipe_can_be_overridden_but_not_its_beginning() -> None:
    recipe = build_recipe("EXP-00", ["preset=cpu"]).recipe
    assert override_recipe(recipe, ["training.max_steps=2000"]).training.max_steps == 2000
    for text in ("preset=plan", "experiment=demo"):
        with pytest.raises(UserError):
            override_recipe(recipe, [text])


def test_hashes_are_stable_and_tell_recipes_apart() -> None:
    hashes = {recipe_hash(build_recipe(name, allow_unbuilt=True).recipe) for name in EXPERIMENTS}
    assert len(hashes) == len(EXPERIMENTS)
    recipe = build_recipe("EXP-00").recipe
    other = build_recipe("EXP-00", ["training.seed=2"]).recipe
    assert recipe_hash(recipe) == recipe_hash(build_recipe("EXP-00", ["training.seed=1"]).recipe)
    assert recipe_hash(recipe) != recipe_hash(other)
    assert recipe_hash(recipe, without=["training.seed"]) == recipe_hash(other, without=["training.seed"])


def test_the_hash_is_the_same_in_another_process() -> None:
    code = "from hrm_core.recipe.digest import recipe_hash; from hrm_core.recipe.lay import build_recipe; "
    code += "print(recipe_hash(build_recipe('demo').recipe))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == recipe_hash(build_recipe("demo").recipe)


def test_difference_names_what_differs_and_nothing_else() -> None:
    one = build_recipe("EXP-00").recipe
    two = build_recipe("EXP-00", ["training.seed=2", "optimizer.clip=none"]).recipe
    assert difference(one, two) == {"optimizer.clip": (1.0, None), "training.seed": (1, 2)}
    assert difference(one, one) == {}

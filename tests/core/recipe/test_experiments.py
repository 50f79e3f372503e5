"""Every named experiment against the plan: it builds or is refused by name, and carries the numbers it is known for."""

from __future__ import annotations

import pytest

from hrm_core.errors import UserError
from hrm_core.recipe.difference import difference
from hrm_core.recipe.estimate import flops_per_segment
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.keys import flatten
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.unbuilt import unbuilt

ARMS = ["01b", "01c", "02c", "03b", "04b", "05b", "06b", "07b", "07c", "09b", "10b", "10c", "10d"]
NAMES = [
    "EXP-00",
    "EXP-00p",
    *sorted([f"EXP-{number:02d}" for number in range(1, 11)] + [f"EXP-{arm}" for arm in ARMS]),
]
NAMES += ["strong", "demo", "plateau-71", "hrm-official", "trm"]


def test_the_table_is_complete() -> None:
    assert list(EXPERIMENTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_builds_or_is_refused_by_name(name: str) -> None:
    recipe = build_recipe(name, allow_unbuilt=True).recipe
    assert recipe.experiment == name
    missing = unbuilt(flatten(recipe))
    if not missing:
        assert build_recipe(name).recipe == recipe
        return
    with pytest.raises(UserError, match=f"{name} needs {next(iter(missing))}, which is not built yet"):
        build_recipe(name)


@pytest.mark.parametrize("name", NAMES)
def test_words_are_there(name: str) -> None:
    experiment = EXPERIMENTS[name]
    for text in (experiment.title, experiment.hypothesis, experiment.setup, experiment.watch_for):
        assert text.strip()


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("EXP-") and not name.startswith("EXP-00")])
def test_an_experiment_of_the_plan_differs_in_few_groups(name: str) -> None:
    control = build_recipe("EXP-00").recipe
    groups = {key.split(".")[0] for key in difference(control, build_recipe(name, allow_unbuilt=True).recipe)}
    assert len(groups - {"experiment"}) <= 3


def test_numbers_of_the_plan() -> None:
    built = {name: build_recipe(name, allow_unbuilt=True).recipe.techniques for name in NAMES}
    assert built["EXP-03"].drop_path is not None
    assert built["EXP-03"].drop_path.probability == 0.2
    noise = built["EXP-04"].gradient_noise
    assert noise is not None
    assert (noise.start, noise.end, noise.until) == (1e-3, 1e-5, 1.0)
    entropy = built["EXP-05"].halting_entropy
    assert entropy is not None
    assert (entropy.weight, entropy.after) == (1e-3, 4)
    assert built["EXP-06"].object_graph is not None
    assert built["EXP-06"].object_graph.share == 0.2
    replay = built["EXP-09"].replay
    assert replay is not None
    assert (replay.capacity, replay.share, replay.cap) == (10_000, 0.2, 0.25)
    lion = built["EXP-10"].lion_swap
    assert lion is not None
    assert (lion.start, lion.betas, lion.weight_decay) == (0.4, (0.95, 0.98), 0.01)


@pytest.mark.parametrize("preset", ["plan", "laptop", "cpu"])
def test_the_curriculum_and_its_control_are_planned_for_the_same_compute(preset: str) -> None:
    """Token-FLOPs of every stage, added up by hand, against those of EXP-07c's steps: equal to half a step."""
    staged = build_recipe("EXP-07", [f"preset={preset}"]).recipe
    control = build_recipe("EXP-07c", [f"preset={preset}"]).recipe
    largest = max(staged.data.canvases)
    assert control.data.canvases == (largest,)
    assert control.techniques.curriculum is None
    steps, prefix = staged.training.max_steps, staged.identity.prefix_tokens
    assert isinstance(steps, int)
    each = [flops_per_segment(staged, round(scale * largest) ** 2 + prefix) for scale in (0.6, 0.8, 1.0)]
    planned = steps * (0.29 * each[0] + 0.29 * each[1] + 0.42 * each[2])
    assert isinstance(control.training.max_steps, int)
    assert control.training.max_steps < steps
    assert abs(control.training.max_steps * each[2] - planned) <= each[2] / 2


def test_a_length_in_hours_or_of_ones_own_is_left() -> None:
    assert build_recipe("EXP-07c", ["training.max_steps=6h"]).recipe.training.max_steps == "6h"
    assert build_recipe("EXP-07c", ["training.max_steps=700"]).recipe.training.max_steps == 700
    with pytest.raises(UserError, match="training"):
        build_recipe("EXP-07c", ["training.batch=0"])


def test_the_published_recipes() -> None:
    hrm, trm = build_recipe("hrm-official").recipe, build_recipe("trm").recipe
    for recipe in (hrm, trm):
        assert recipe.training.batch == 768
        assert recipe.optimizer.kind == "adam_atan2"
        assert recipe.optimizer.lr == 1e-4
        assert recipe.optimizer.clip is None
        assert recipe.data.train_on_val_tests
        assert recipe.data.validate_on == "eval"
        assert recipe.identity.kind == "per_augmentation"
    assert (hrm.model.hidden, hrm.model.heads, hrm.halting.kind) == (512, 8, "q_learning")
    assert (trm.model.share_levels, trm.model.gradient, trm.identity.prefix_tokens) == (True, "last_recursion", 16)


def test_the_demonstration_fits_its_preset() -> None:
    recipe = build_recipe("demo").recipe
    assert recipe.preset == "demo"
    assert (recipe.model.hidden, recipe.model.heads, recipe.optimizer.kind) == (128, 2, "muon")
    assert recipe.identity.place == "both"
    assert recipe.averaging.decay == 0.99


def test_the_original_mistake_is_all_there() -> None:
    recipe = build_recipe("plateau-71").recipe
    assert recipe.identity.kind == "none"
    assert not recipe.model.inject_input
    assert recipe.loss.include_pad
    assert recipe.data.canvases == (30,)
    assert (recipe.data.validate_on, recipe.data.validate_limit) == ("eval", 84)
    assert recipe.evaluation.score == "padded_accuracy"


@pytest.mark.parametrize("name", ["EXP-00p", "EXP-07"])
def test_an_experiment_that_takes_the_largest_canvas_refuses_none_by_name(name: str) -> None:
    with pytest.raises(UserError, match=r"data\.canvases"):
        build_recipe(name, ["data.canvases="])

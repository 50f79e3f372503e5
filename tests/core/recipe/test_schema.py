"""The schema against what a user may type: wrong keys, types, bounds and combinations are refused, each by name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hrm_core.errors import UserError
from hrm_core.recipe.keys import flatten, leaves, unflatten
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe


def refused(*overrides: str, experiment: str = "EXP-00") -> str:
    """The sentence with which overrides are refused."""
    with pytest.raises(UserError) as caught:
        build_recipe(experiment, overrides)
    assert caught.value.exit_code == 2
    assert len(caught.value.message.splitlines()) <= 2
    return caught.value.message


def test_the_default_recipe_is_the_control() -> None:
    recipe = Recipe()
    assert build_recipe("EXP-00").recipe == recipe
    assert recipe.training.batch * recipe.training.accumulation == 320
    assert recipe.data.canvases == (10, 14, 18, 24, 30)
    assert (recipe.optimizer.lr, recipe.optimizer.betas) == (3e-4, (0.9, 0.95))


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Recipe().training.batch = 3  # type: ignore[misc]


def test_strict_types() -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({"training": {"batch": "64"}})
    with pytest.raises(ValidationError):
        Recipe.model_validate({"training": {"batch": 64.0}})
    with pytest.raises(ValidationError):
        Recipe.model_validate({"training": {"deterministic": 1}})


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("training.bach=3", "training.batch"),
        ("batch=3", "training.batch"),
        ("input.canonicalise_colors=true", "input.canonicalize_colors"),
        ("model.hiden=64", "model.hidden"),
        ("techniques.swatail.start=0.5", "techniques.swa_tail.start"),
        ("augment.color_probabilty=0", "augment.color_probability"),
    ],
)
def test_an_unknown_key_names_the_nearest(override: str, nearest: str) -> None:
    sentence = refused(override)
    assert override.split("=")[0] in sentence
    assert sentence.endswith(f"did you mean {nearest}")


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("training.batch=0", "at least 1"),
        ("training.batch=16385", "at most 16384"),
        ("training.batch=many", "whole number"),
        ("training.batch=6.5", "whole number"),
        ("training.deterministic=yes", "true or false"),
        ("optimizer.lr=0", "above 0"),
        ("optimizer.lr=nan", "finite"),
        ("optimizer.kind=adam", "adamw, adam_atan2, lion, muon"),
        ("averaging.decay=1.0", "below 1"),
        ("rows.betas=0.9", "complete"),
        ("rows.betas=0.9,1.0", "below 1"),
        ("data.canvases=14,10", "grow"),
        ("data.canvases=31", "3 to 30"),
        ("data.validate_limit=0", "at least 1"),
        ("training.checkpoint_every=0", "no length"),
        ("training.checkpoint_every=1.5", "at most 1.0"),
        ("training.checkpoint_every=often", "no span"),
        ("training.max_steps=0.5", "whole number"),
        ("training.max_steps=later", "no time"),
        ("training.time_budget=30", "no time"),
    ],
)
def test_a_wrong_value_names_key_value_and_reason(override: str, reason: str) -> None:
    sentence = refused(override)
    assert sentence.startswith(override.split("=")[0])
    assert reason in sentence


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["model.heads=3"], ["model.hidden=256", "model.heads=3"]),
        (["model.heads=2"], ["width 128", "model.heads=4 or 8"]),
        (["model.hidden=80", "model.heads=1"], ["multiple of 32"]),
        (["model.share_levels=true", "model.h_layers=2"], ["model.h_layers=4"]),
        (["identity.kind=none", "identity.place=both"], ["identity.place=prefix"]),
        (["halting.kind=q_learning", "halting.max_segments=1"], ["2 or more"]),
        (["optimizer.muon_lr=1e-3"], ["optimizer.kind=muon"]),
        (["optimizer.kind=lion", "techniques.lion_swap=on"], ["optimizer.kind=adamw", "techniques.lion_swap=none"]),
        (["schedule.restarts=2"], ["schedule.restarts=2", "schedule.kind=cosine"]),
        (["data.subset=fits7", "data.canvases=10"], ["data.canvases=7", "leave canvases out"]),
        (["data.train_on_val_tests=true"], ["data.validate_on=eval"]),
        (["schedule.warmup=0.9", "schedule.decay=0.5"], ["schedule.warmup", "schedule.decay", "max_steps"]),
        (["training.deterministic=true", "training.max_steps=20min"], ["training.max_steps", "20min"]),
        (["training.deterministic=true", "training.checkpoint_every=1h"], ["training.checkpoint_every", "1h"]),
    ],
)
def test_settings_that_do_not_go_together(overrides: list[str], names: list[str]) -> None:
    sentence = refused(*overrides)
    for name in names:
        assert name in sentence


def test_deterministic_allows_the_time_budget() -> None:
    recipe = build_recipe("EXP-00", ["training.deterministic=true", "training.time_budget=20min"]).recipe
    assert recipe.training.time_budget == "20min"


def test_what_is_not_built_is_refused_by_name(without_rule_head: None) -> None:
    for override in ("techniques.rule_head=on", "techniques.rule_head.weight=0.2"):
        sentence = refused(override)
        assert "techniques.rule_head" in sentence
        assert "not built yet (EXP-08)" in sentence
    assert "EXP-08 needs techniques.rule_head, which is not built yet" in refused(experiment="EXP-08")
    assert build_recipe("EXP-08", allow_unbuilt=True).recipe.techniques.rule_head is not None


def test_everything_is_built() -> None:
    assert [key for key, leaf in leaves().items() if leaf.extra("later") or leaf.extra("later_values")] == []


def test_every_setting_is_described_with_bounds_or_choices() -> None:
    for key, leaf in leaves().items():
        assert leaf.field.description, key
        bounded = any(type(part).__name__ in ("Ge", "Gt", "Le", "Lt") for part in leaf.field.metadata)
        free_number = leaf.types & {int, float} and not (bool in leaf.types or leaf.choices or str in leaf.types)
        assert bounded or not free_number, f"{key} has no bounds"


def test_flat_and_back() -> None:
    recipe = build_recipe("EXP-07", ["techniques.replay=on", "techniques.rule_head=on"], allow_unbuilt=True).recipe
    assert Recipe.model_validate(unflatten(flatten(recipe))) == recipe

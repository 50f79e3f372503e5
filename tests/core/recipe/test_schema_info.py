"""The description of the settings against the schema: every key once, with words for its type, choices and state."""

from __future__ import annotations

from hrm_core.recipe.keys import flatten, leaves
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.schema_info import settings
from hrm_core.recipe.values import show_value


def test_every_setting_is_described_once() -> None:
    infos = settings()
    assert [info.key for info in infos] == list(leaves())
    assert set(flatten(Recipe())) <= {info.key for info in infos}
    assert all(info.type_text and info.description for info in infos)


def test_defaults_are_those_of_the_control() -> None:
    flat = flatten(Recipe())
    for info in settings():
        if info.key in flat:
            assert info.default == flat[info.key], info.key


def test_what_is_built_can_be_set_to_each_of_its_choices() -> None:
    """A form that offers these choices offers none that is refused, but for one that needs a second setting."""
    for info in settings():
        if info.built and info.key not in ("experiment", "preset"):
            second = {
                "data.train_on_val_tests": ["data.validate_on=eval"],
                "techniques.curriculum": ["data.canvases=30"],
                "techniques.curriculum.kind": ["data.canvases=30"],
                "input.canonicalize_colors": ["augment.color_probability=0"],
                "input.residual_permutation": ["input.canonicalize_colors=true", "augment.color_probability=0"],
            }.get(info.key, [])
            for choice in info.choices:
                made = build_recipe("EXP-00", [f"{info.key}={choice}", *second])
                flat, key = flatten(made.recipe), info.key
                if key in flat:
                    assert show_value(flat[key]) == show_value(choice), key
                else:  # a technique that is on is its settings
                    assert show_value(choice) in ("on", "true"), key
                    key = next(one for one in flat if one.startswith(f"{key}."))
                assert made.sources[key] == "override"


def test_the_techniques_say_whether_they_are_built(without_rule_head: None) -> None:
    infos = {info.key: info for info in settings()}
    assert not infos["techniques.rule_head"].built
    assert not infos["techniques.rule_head.weight"].built
    assert infos["training.batch"].built and infos["techniques.curriculum.ends"].built
    assert infos["optimizer.kind"].choices == ("adamw", "adam_atan2", "lion", "muon")
    assert infos["training.checkpoint_every"].type_text == "steps, share of the run or time"

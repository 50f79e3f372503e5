"""TOML out and in against the recipe itself: equal for any recipe; what is wrong is named, never half-read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm_core.errors import UserError
from hrm_core.recipe.digest import recipe_hash
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import from_toml, read_recipe, to_toml

SPANS = st.one_of(
    st.integers(1, 10**6),
    st.floats(1e-6, 1.0, allow_subnormal=False),
    st.integers(1, 48).map(lambda hours: f"{hours}h"),
)
TEXTS = st.text(max_size=20).filter(lambda text: text != "none")

TREES = st.fixed_dictionaries(
    {},
    optional={
        "data": st.fixed_dictionaries(
            {
                "source": TEXTS,
                "canvases": st.lists(st.integers(3, 30), min_size=1, max_size=8, unique=True).map(sorted),
            },
            optional={
                "validate_limit": st.none() | st.integers(1, 1000),
                "train_canvas": st.sampled_from(["task", "pair"]),
            },
        ),
        "augment": st.fixed_dictionaries({"translate": st.floats(0, 1), "dihedral": st.booleans()}),
        "optimizer": st.fixed_dictionaries(
            {"lr": st.floats(1e-12, 1.0), "clip": st.none() | st.floats(1e-9, 1e9), "kind": st.just("muon")},
            optional={"muon_lr": st.none() | st.floats(1e-12, 1.0)},
        ),
        "training": st.fixed_dictionaries(
            {"seed": st.integers(0, 2**31 - 1), "checkpoint_every": SPANS, "full_validation_every": SPANS},
            optional={
                "threads": st.none() | st.integers(1, 64),
                "max_steps": st.integers(10, 10**8) | st.just("20min"),
            },
        ),
        "evaluation": st.fixed_dictionaries({"views": st.integers(1, 2000)}),
        "memory": st.fixed_dictionaries({"limit_gib": st.none() | st.floats(0.1, 4096)}),
    },
)


@settings(deadline=None)
@given(TREES)
def test_any_recipe_survives(tree: dict[str, Any]) -> None:
    recipe = Recipe.model_validate(tree)
    text = to_toml(recipe)
    assert from_toml(text) == recipe
    assert to_toml(from_toml(text)) == text
    assert recipe_hash(from_toml(text)) == recipe_hash(recipe)


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_survives_as_toml(name: str) -> None:
    recipe = build_recipe(name, allow_unbuilt=True).recipe
    tree = tomllib.loads(to_toml(recipe))
    assert tree["experiment"] == name
    if build_is_possible(name):
        assert from_toml(to_toml(recipe)) == recipe


def build_is_possible(name: str) -> bool:
    try:
        build_recipe(name)
    except UserError:
        return False
    return True


def test_what_is_left_out_is_the_control() -> None:
    assert from_toml("[training]\n") == Recipe()
    assert from_toml("[training]\nbatch = 8\n").training.batch == 8


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[training]\nbach = 8", "training.bach is no setting; did you mean training.batch"),
        ("[trainig]\nbatch = 8", "trainig is no setting"),
        ("training = 3", "training is no setting"),
        ("[training]\nbatch = '8'", "training.batch=8 is not a whole number"),
        ("[training]\nbatch = 0", "out of bounds"),
        ("[training\nbatch = 0", "no TOML"),
        ("[training]\nbatch = 1\nbatch = 2", "no TOML"),
        ("[model]\nheads = 3", "no multiple"),
        ("[training]\nthreads = 'none'\nseed = 'none'", "training.seed"),
    ],
)
def test_what_is_wrong_is_named(text: str, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        from_toml(text)
    assert reason in caught.value.message


def test_what_is_not_built_is_named(without_rule_head: None) -> None:
    with pytest.raises(UserError, match="not built yet"):
        from_toml("[techniques.rule_head]\nweight = 0.2")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    try:
        from_toml(text)
    except UserError as refused:
        assert refused.message


def test_every_flip_and_every_cut_of_a_written_recipe_is_noticed_or_harmless() -> None:
    recipe = build_recipe("demo", ["training.max_steps=40"]).recipe
    written = to_toml(recipe).encode()
    refused = 0
    bits = [*range(8 * 90), *range(8 * 90, 8 * len(written), 41)]
    cuts = [written[:end] for end in (*range(100), *range(100, len(written), 17))]
    for place, damaged in enumerate([*(flipped(written, bit) for bit in bits), *cuts]):
        try:
            found = from_toml(damaged.decode("utf-8"))
        except (UserError, UnicodeDecodeError):
            refused += 1
        else:
            assert found == recipe, place
    assert refused > 0.8 * (len(bits) + len(cuts))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_recipe_changed_by_hand_says_what_to_do() -> None:
    text = to_toml(build_recipe("demo").recipe).replace("max_steps = ", "max_steps = 1")
    with pytest.raises(UserError, match="not what was written") as caught:
        from_toml(text)
    assert "take that line out" in caught.value.message
    assert from_toml(text.partition("\n")[2]).experiment == "demo"


def test_a_file_of_a_recipe_is_named_where_it_is_none(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    for content, reason in ((None, "missing"), (b"\xff", "no UTF-8"), (b"", "empty"), (b"x = 1", "x is no setting")):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=reason) as caught:
            read_recipe(path)
        assert caught.value.message.startswith(str(path))
        assert len(caught.value.message.splitlines()) <= 2
    path.write_text(to_toml(Recipe()))
    assert read_recipe(path) == Recipe()


@pytest.mark.parametrize(
    "text",
    [
        "[training]\nbatch = 0x" + "f" * 5000,
        "[training]\nbatch = [0x" + "f" * 5000 + "]",
        "[optimizer]\nlr = " + "9" * 5000,
        "x = " + "[" * 5000,
        '[data]\nsubset = "' + "\\u001b[2J\\n" * 3000 + '"',
        '"\\u001b]0;x\\u0007\\n' + "k" * 3000 + '" = 1',
    ],
)
def test_what_is_beyond_reason_is_a_sentence(text: str) -> None:
    with pytest.raises(UserError) as caught:
        from_toml(text)
    lines = caught.value.message.split("\n")
    assert len(lines) <= 2
    assert all(len(line) < 600 and line.isprintable() for line in lines)

"""Recipes, saved experiments and overrides from any text: a value that comes back, or one sentence about it."""

from __future__ import annotations

from typing import Any

import pytest
import tomli_w
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hrm_core.errors import UserError
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.keys import leaves
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.my_experiments import MyExperiment, experiment_of, parse_mine
from hrm_core.recipe.toml_io import from_toml, to_toml
from hrm_core.runs.text import clean

LAW = settings(deadline=None, max_examples=25, derandomize=True)
KEYS = sorted(leaves())
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.dates(),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=8), part, max_size=3),
    max_leaves=6,
)
WORDS = st.text(max_size=40) | st.sampled_from(["none", "on", "nan", "1e999", "-1", "6h", "9" * 5000, "[7]", "\x1b[2J"])


def tidy(message: str) -> bool:
    lines = message.split("\n")
    return 1 <= len(lines) <= 2 and all(clean(line) == line and len(line) < 1000 for line in lines)


def written(tree: dict[str, Any]) -> str:
    """TOML of what the writer takes; lone surrogates have no text."""
    try:
        text = tomli_w.dumps(tree)
        text.encode("utf-8")
    except (UnicodeEncodeError, TypeError):
        return "x = 1"
    return text


@LAW
@given(st.sampled_from(KEYS), VALUES)
@example("training.batch", 10**5000)
@example("data.source", "\x1b]0;x\x07\n\n\n")
@example("training.checkpoint_every", float("nan"))
def test_any_value_of_any_key_is_taken_or_named(key: str, value: Any) -> None:
    tree: Any = value
    for name in reversed(key.split(".")):
        tree = {name: tree}
    try:
        text = written(tree)
    except ValueError:  # a whole number that cannot even be written
        text = f"[{key.rpartition('.')[0]}]\n{key.rpartition('.')[2]} = 0x{'f' * 5000}"
    try:
        recipe = from_toml(text)
    except UserError as refused:
        assert tidy(refused.message), refused.message
        assert any(part in refused.message for part in (key, key.rpartition(".")[0], "no setting", "no TOML", "empty"))
    else:
        assert from_toml(to_toml(recipe)) == recipe


@LAW
@given(st.sampled_from(KEYS) | st.text(max_size=30), WORDS)
@example("training.batch", "9" * 5000)
@example("preset", "\x1b[2J")
@example("experiment", "x")
@example("a\nb", "c\nd")
@example("\ud800", "1")
def test_any_override_is_taken_or_named(key: str, value: str) -> None:
    try:
        recipe = build_recipe("EXP-00", ["preset=cpu", f"{key}={value}"]).recipe
    except UserError as refused:
        assert tidy(refused.message), refused.message
    else:
        assert from_toml(to_toml(recipe)) == recipe


@LAW
@given(st.text(max_size=60))
@example("\x1b[2J")
@example("x" * 10_000)
def test_any_name_of_an_experiment_is_found_or_named(name: str) -> None:
    try:
        assert build_recipe(name).recipe.experiment == name
    except UserError as refused:
        assert tidy(refused.message), refused.message


@LAW
@given(
    st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(["base", "preset", "title", "overrides", "x\n"]),
        st.text(max_size=30) | st.lists(st.text(max_size=30), max_size=3) | st.integers(),
        max_size=4,
    )
)
@example({"base": "EXP-00", "preset": "cpu", "overrides": ["\x1b[2J" * 100]})
@example({"base": "x" * 50_000})
def test_any_saved_experiment_is_taken_or_named(content: bytes | dict[str, Any]) -> None:
    data = content if isinstance(content, bytes) else written(content).encode("utf-8")
    try:
        mine = parse_mine("mine", data)
        assert isinstance(mine, MyExperiment)
        experiment_of(mine, EXPERIMENTS)
    except UserError as refused:
        assert tidy(refused.message), refused.message
        assert refused.message.startswith("mine")


@pytest.mark.parametrize("key", [key for key in KEYS if int in leaves()[key].types])
def test_no_whole_number_is_taken_that_cannot_be_written(key: str) -> None:
    group, _, name = key.rpartition(".")
    with pytest.raises(UserError) as refused:
        from_toml(f"[{group}]\n{name} = 0x{'f' * 5000}")
    assert tidy(refused.value.message)


def test_a_time_beyond_reason_is_a_short_sentence() -> None:
    for value in ("20mi" + "[" * 20_000, "9" * 3000 + "h", "\x1b[2Jh"):
        with pytest.raises(UserError, match=r"training\.max_steps") as refused:
            build_recipe("EXP-00", [f"training.max_steps={value}"])
        assert tidy(refused.value.message)


@pytest.mark.parametrize("key", ["training.batch", "optimizer.lr", "training.max_steps", "model.hidden"])
def test_numbers_beyond_every_type_are_named(key: str) -> None:
    for value in ("9" * 5000, "1e400", "-" + "9" * 30, "nan"):
        with pytest.raises(UserError) as refused:
            build_recipe("EXP-00", [f"{key}={value}"])
        assert key in refused.value.message and tidy(refused.value.message)

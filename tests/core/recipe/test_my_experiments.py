"""The user's own experiments: laid as their base with their overrides typed, listed by the command, damage said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_trainer import QUIET, TINY_MODEL

from hrm_core.cli.recipe_commands import experiments
from hrm_core.errors import UserError
from hrm_core.recipe.experiments import EXPERIMENTS, find_experiment, saved_experiments
from hrm_core.recipe.keys import flatten
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.my_experiments import MyExperiment, experiments_dir, merged_overrides, write_mine
from hrm_core.training.session import start_run

MINE = MyExperiment("mine", "EXP-03", "cpu", ("training.batch=8", "techniques.drop_path.probability=0.3"), "A title")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def apart_from_name(name: str, overrides: tuple[str, ...] = ()) -> dict[str, object]:
    return {key: value for key, value in flatten(build_recipe(name, overrides).recipe).items() if key != "experiment"}


@pytest.mark.parametrize("typed", [(), ("training.batch=4",), ("preset=demo", "techniques.drop_path=none")])
def test_it_is_its_base_with_its_overrides(typed: tuple[str, ...]) -> None:
    write_mine(MINE, EXPERIMENTS)
    alike = merged_overrides(("preset=cpu", *MINE.overrides), typed)
    assert apart_from_name("mine", typed) == apart_from_name("EXP-03", alike)


def test_the_sources_name_it() -> None:
    write_mine(MINE, EXPERIMENTS)
    resolved = build_recipe("mine", ("training.seed=2",))
    assert (resolved.recipe.experiment, resolved.recipe.preset) == ("mine", "cpu")
    assert resolved.sources["training.batch"] == resolved.sources["techniques.drop_path.probability"] == "mine"
    assert resolved.sources["training.seed"] == "override" and resolved.sources["model.hidden"] == "preset cpu"


def test_the_base_sees_what_is_laid_over_it() -> None:
    """fits7 brings its canvas of 7, which EXP-00p takes for all of its grids: as typed, so as saved."""
    write_mine(MyExperiment("small", "EXP-00p", "plan", ("data.subset=fits7",)), EXPERIMENTS)
    assert apart_from_name("small") == apart_from_name("EXP-00p", ("data.subset=fits7",))
    assert build_recipe("small").recipe.data.canvases == (7,)


def test_words_come_from_the_file_or_are_made() -> None:
    write_mine(MINE, EXPERIMENTS)
    found = find_experiment("mine")
    assert (
        found.title == "A title" and "None was written down" in found.hypothesis and "training.batch=8" in found.setup
    )
    assert found.presets[0] == "cpu" and set(found.presets) == set(EXPERIMENTS["EXP-03"].presets)


def test_a_name_is_kept_once_and_replaced_when_asked() -> None:
    path = write_mine(MINE, EXPERIMENTS)
    with pytest.raises(UserError, match="mine is there already"):
        write_mine(MyExperiment("mine", "EXP-00", "cpu"), EXPERIMENTS)
    assert write_mine(MyExperiment("mine", "EXP-00", "cpu"), EXPERIMENTS, replace_it=True) == path
    assert find_experiment("mine").base == "EXP-00"


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (MyExperiment("EXP-00", "EXP-00", "cpu"), "is built in"),
        (MyExperiment("exp-03B", "EXP-00", "cpu"), "EXP-03b is built in"),
        (MyExperiment("../x", "EXP-00", "cpu"), "not allowed"),
        (MyExperiment("x" * 41, "EXP-00", "cpu"), "too long"),
        (MyExperiment("x", "EXP-0", "cpu"), "builds on EXP-0, which is no experiment; did you mean EXP-"),
        (MyExperiment("x", "hrm-official", "cpu"), "no preset cpu"),
        (MyExperiment("x", "EXP-00", "cpu", ("training.batch",)), "key=value"),
        (MyExperiment("x", "EXP-00", "cpu", ("preset=demo",)), "is no override"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(mine: MyExperiment, words: str) -> None:
    with pytest.raises(UserError, match=words):
        write_mine(mine, EXPERIMENTS)
    assert not experiments_dir().exists()


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"base = 3\n",
        b'base = "EXP-00"\npreset = "cpu"\noverrides = [1]\n',
        b'base = "mine"\npreset="cpu"\n',
        b'base = "EXP-00"\npreset = "cpu"\nlines = "x"\n',
        b"x" * 100_000,
        b"a = " + b"[" * 5000,
    ],
)
def test_damaged_files_are_said_and_left_out(text: bytes) -> None:
    write_mine(MINE, EXPERIMENTS)
    (experiments_dir() / "bad.toml").write_bytes(text)
    (experiments_dir() / "demo.toml").write_text('base = "EXP-00"\npreset = "cpu"\n')
    found, problems = saved_experiments()
    assert list(found) == ["mine"] and len(problems) == 2
    assert "bad.toml" in problems[0] and "demo is built in" in problems[1]
    with pytest.raises(UserError, match="bad"):
        find_experiment("bad")
    assert find_experiment("demo") is EXPERIMENTS["demo"]


def test_the_command_lists_them_first_and_says_what_is_wrong() -> None:
    write_mine(MINE, EXPERIMENTS)
    write_mine(MyExperiment("old", "EXP-00", "cpu", ("training.bach=8",)), EXPERIMENTS)
    shown = CliRunner().invoke(experiments, ["--json"])
    listed = json.loads(shown.stdout)
    assert listed[0]["name"] == "mine" and listed[0]["base"] == "EXP-03" and listed[1]["name"] == "EXP-00"
    assert "old: training.bach is no setting; did you mean training.batch" in shown.stderr
    shown = CliRunner().invoke(experiments, ["mine"])
    assert "A title" in shown.stdout and "EXP-03, preset cpu, with training.batch=8" in " ".join(shown.stdout.split())


def test_a_folder_that_cannot_be_looked_into_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/" + "x" * 300)
    with pytest.raises(UserError, match="mine is no experiment"):
        find_experiment("mine")


def test_a_name_that_is_nearly_right_is_found() -> None:
    write_mine(MINE, EXPERIMENTS)
    with pytest.raises(UserError, match="did you mean mine"):
        find_experiment("mien")


def test_a_file_that_is_not_as_it_was_saved_is_used_and_that_is_said(arc1_file: Path, tmp_path: Path) -> None:
    path = write_mine(MyExperiment("mine", "demo", "demo", ("training.seed=2",)), EXPERIMENTS)
    assert find_experiment("mine").note == build_recipe("mine").note == ""
    path.write_text(path.read_text().replace("seed=2", "seed=3"))
    resolved = build_recipe("mine", (*TINY_MODEL, *QUIET, "training.max_steps=2"))
    assert resolved.recipe.training.seed == 3 and "mine is not as it was saved" in resolved.note
    assert "not as it was saved" in find_experiment("mine").setup
    shown = CliRunner().invoke(experiments, [])
    assert "note: mine is not as it was saved; if you changed" in shown.stderr and "left out" not in shown.stderr
    said: list[str] = []
    start_run(tmp_path / "run", resolved, arc1_file, said.append)
    assert resolved.note in said
    path.write_text(path.read_text().partition("\n")[2])
    assert find_experiment("mine").note == "" and build_recipe("mine").recipe.training.seed == 3

"""`hrm compare` on made-up runs: what it prints, its JSON, its files, and its errors in one or two lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hrm_core.cli.main import cli
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.my_experiments import MyExperiment, write_mine
from hrm_core.runs.sweeps import Sweep, extend_sweep


def run_compare(made: Any, *words: str) -> Result:
    return CliRunner().invoke(cli, ["compare", *words, "--runs", str(made.folder)])


def test_words_json_and_report_agree(made_runs: Any, tmp_path: Path) -> None:
    for seed, final in enumerate((0.1, 0.15, 0.1), 1):
        made_runs.make(f"base-{seed}", "EXP-00", seed, (0.0, final))
        made_runs.make(f"other-{seed}", "EXP-00p", seed, (0.0, final))
    said = run_compare(made_runs, "EXP-00", "EXP-00p", "--report", str(tmp_path / "r.md"))
    assert said.exit_code == 0, said.output
    document = json.loads(run_compare(made_runs, "EXP-00", "EXP-00p", "--json").stdout)
    verdict = document["arms"][0]["verdict"]["text"]
    assert verdict.startswith("cannot tell with 18 tasks and 3 seeds: needs at least ")
    assert verdict in said.output and verdict in (tmp_path / "r.md").read_text()
    assert "exact 11.7 % (trivial 5.0 %, copy)" in said.output
    assert (tmp_path / "r.md").read_text().startswith("# EXP-00p against EXP-00\n")


def test_an_experiment_of_ones_own_is_a_word_too(
    made_runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config" / "hrm-console" / "experiments"
    write_mine(MyExperiment("narrow", "EXP-00", "demo", (), "Narrow", "Less is enough."), EXPERIMENTS, folder)
    nothing = run_compare(made_runs, "EXP-00", "narrow")
    made_runs.make("base", "EXP-00", 1)
    assert "there is no finished run of narrow" in run_compare(made_runs, "base", "narrow").output
    for seed in (1, 2):
        made_runs.make(f"mine-{seed}", "narrow", seed, overrides=("training.log_every=7",))
    said = run_compare(made_runs, "EXP-00", "narrow", "--json")
    assert said.exit_code == 0 and nothing.exit_code == 1, said.output
    (arm,) = json.loads(said.stdout)["arms"]
    assert (arm["experiment"], arm["title"], arm["seeds"]) == ("narrow", "Narrow", [1, 2])
    # Its runs are still found by their experiment's name when its file is gone.
    (folder / "narrow.toml").unlink()
    (arm,) = json.loads(run_compare(made_runs, "EXP-00", "narrow", "--json").stdout)["arms"]
    assert (arm["title"], arm["seeds"]) == ("", [1, 2])


def test_a_sweep_is_compared_by_its_name(made_runs: Any, tmp_path: Path) -> None:
    sweep = extend_sweep(made_runs.folder, Sweep("sw", ("EXP-00", "EXP-00p"), 1, 1, ()))
    for planned in sweep.runs:
        made_runs.make(planned.name, planned.experiment, planned.seed)
    said = run_compare(made_runs, "--sweep", "sw", "--report", str(tmp_path / "pages"))
    assert said.exit_code == 0, said.output
    assert "cannot tell (one seed)" in said.output and said.output.startswith("The sweep\n")
    assert (tmp_path / "pages" / "checklist.csv").exists()
    one_file = run_compare(made_runs, "--sweep", "sw", "--report", str(tmp_path / "all.md"))
    assert one_file.exit_code == 0 and "cannot tell (one seed)" in (tmp_path / "all.md").read_text()


def test_tests_gained_and_lost_are_counted_by_family(made_runs: Any) -> None:
    made_runs.make("a", "EXP-00", 1, (0.0, 0.1), solved=[(0, 1, 2)])
    made_runs.make("b", "EXP-00p", 1, (0.0, 0.1), solved=[(2, 3)])
    (arm,) = json.loads(run_compare(made_runs, "a", "b", "--json").stdout)["arms"]
    assert arm["tests"]["families"] == [{"family": "no family", "gained": 1, "lost": 2, "both": 1, "neither": 16}]
    assert "gained and lost by family: no family +1 -2" in run_compare(made_runs, "a", "b").output


def test_errors_name_the_thing_and_the_remedy(made_runs: Any) -> None:
    made_runs.make("a")
    for words, part in (
        (("a",), "at least one other"),
        ((), "at least one other"),
        (("a", "none"), "there is no run 'none'"),
        (("a", "EXP-03"), "no finished run of EXP-03"),
        (("--sweep", "x"), "there is no sweep x"),
        (("a", "--sweep", "x"), "leave a out"),
        (("--sweep", "../x"), "is not allowed"),
    ):
        said = run_compare(made_runs, *words)
        assert said.exit_code in (1, 2) and part in said.output, said.output
        assert len(said.output.splitlines()) <= 2

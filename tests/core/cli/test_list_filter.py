"""`hrm list --filter` and `--sort` against runs of the real writer: which runs are printed, and in which order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hrm_core.cli.main import cli
from hrm_core.runs.writer import RunWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, value, kind in (("one", 0.1, "adamw"), ("two", 0.3, "lion"), ("three", 0.2, "adamw")):
        recipe = {"optimizer": {"kind": kind}}
        with RunWriter.create(tmp_path / name, "", {"experiment": "EXP-00", "recipe": recipe}) as writer:
            writer.evaluation({"step": 5, "kind": "full", "metrics": {"exact": value}})
            writer.result({"state": "finished", "step": 5})
    return tmp_path


def listed(folder: Path, *words: str) -> list[str]:
    said = CliRunner().invoke(cli, ["list", "--runs", str(folder), "--json", *words])
    assert said.exit_code == 0, said.output
    return [row["run_id"] for row in json.loads(said.output)]


def test_the_filter_chooses_and_the_key_sorts(folder: Path) -> None:
    assert listed(folder, "--sort", "val") == ["two", "three", "one"]
    assert listed(folder, "--sort", "-val") == ["one", "three", "two"]
    assert listed(folder, "--filter", "val>=0.2", "--sort", "name") == ["three", "two"]
    assert listed(folder, "--filter", "cfg.optimizer=lion") == ["two"]
    assert listed(folder, "--filter", "nobody") == []


def test_nothing_chosen_is_said(folder: Path) -> None:
    said = CliRunner().invoke(cli, ["list", "--runs", str(folder), "--filter", "nobody"])
    assert said.exit_code == 0 and said.output == f"None of the 3 runs in {folder} is such: nobody\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [(["--filter", "vla>1"], "did you mean val?"), (["--sort", "nme"], "did you mean name?")],
)
def test_what_cannot_be_understood_is_wrong_use_in_one_line(folder: Path, words: list[str], text: str) -> None:
    said = CliRunner().invoke(cli, ["list", "--runs", str(folder), *words], standalone_mode=False)
    assert said.exit_code == 2 and text in said.output and said.output.count("\n") == 1

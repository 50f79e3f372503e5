"""`hrm diagnose` on a run folder of the real writer: text, JSON, control characters and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hrm_core.cli.main import cli
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.writer import RunWriter


def row(**changes: Any) -> dict[str, Any]:
    return {
        "step": 40, "kind": "full", "split": "eval", "pairs": 8, "oversize": 0, "loss": 1.0, "score": 0.7,
        "metrics": {"exact": 0.0, "padded_accuracy": 0.712}, "halting": {"histogram": [0, 0], "never": 1.0},
        "trivial": {"padded_accuracy": {"pad": 0.712, "black": 0.0, "frequent": 0.0, "copy": 0.87}},
        "constant_share": 1.0, "input_sensitivity": 0.0, "input_gain": 0.0, "identity_sensitivity": None,
        "identity_gain": None, "families": {},
    } | changes  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    recipe = build_recipe("plateau-71").recipe
    with RunWriter.create(tmp_path / "flat", to_toml(recipe), {"experiment": "plateau-71"}) as writer:
        writer.evaluation(row())
        kept = {"side": 30, "input": ["1"], "target": ["2"], "predicted": [], "exact": False, "test": 0}
        writer.predictions(40, [{"task": f"t{number}\x1b[31m", **kept} for number in range(8)])
    with RunWriter.create(tmp_path / "young", to_toml(recipe), {"experiment": "plateau-71"}):
        pass
    return tmp_path


def diagnose(runs: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["diagnose", *words, "--runs", str(runs)])


def test_text_has_the_cause_first_with_evidence_and_no_control_characters(runs: Path) -> None:
    result = diagnose(runs, "flat")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line]
    assert lines[0] == "flat: full validation at step 40, 8 tests of eval"
    assert lines[1] == (
        "1. constant output: One and the same answer to 100 % of 8 tests; padded accuracy 71.2 %, where PAD everywhere "
        "gets 71.2 %."
    )
    assert "test 1: answered with no grid at all, as 7 others; wanted 1x1" in lines[2]
    assert "model.inject_input=true" in result.stdout and "2. input blind" in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_plain(runs: Path) -> None:
    told = json.loads(diagnose(runs, "flat", "--json").stdout)
    assert [finding["name"] for finding in told["findings"]] == ["constant_output", "input_blind"]
    assert told["findings"][0]["evidence"][0]["test"] == 0


@pytest.mark.parametrize(("word", "code", "said"), [("young", 1, "no validation yet"), ("none", 2, "no run 'none'")])
def test_errors(runs: Path, word: str, code: int, said: str) -> None:
    result = diagnose(runs, word)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr

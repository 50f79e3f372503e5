"""What `hrm show RUN --puzzle` prints of predictions that a run has kept, as text and as JSON, and its refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_puzzles import FLIPPED, keep, record

from hrm_core.cli import puzzle_words
from hrm_core.cli.main import cli
from hrm_core.runs.writer import RunWriter


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    RunWriter.create(tmp_path / "one", "", {"experiment": "EXP-00", "seed": 1}).close()
    keep(tmp_path / "one", 20, [record("aaaa0000")])
    keep(tmp_path / "one", 40)
    return tmp_path


def show(runs: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["show", "one", *words, "--runs", str(runs)])


def test_a_test_is_printed_as_digits_with_what_copying_gets(runs: Path) -> None:
    out = show(runs, "--puzzle", "bbbb1111:0").output
    assert "one, step 40, test bbbb1111:0" in out and "test input 3x3" in out and "7x" in out
    assert "50.0 %, copying the input 73.3 %" in out and "the right grid is answer 2" in out
    assert "blue (1) → red (2)" in out and "row +2, column -1" in out and "\x1b" not in out


def test_a_task_means_all_its_tests_and_a_step_may_be_given(runs: Path) -> None:
    out = show(runs, "--puzzle", "dddd3333").output
    assert "test dddd3333:0" in out and "test dddd3333:1" in out
    assert "step 20, test aaaa0000:0" in show(runs, "--puzzle", "aaaa0000", "--step", "20").output


def test_json_holds_the_record_the_task_and_copying(runs: Path) -> None:
    told = json.loads(show(runs, "--puzzle", "bbbb1111:0", "--json").output)
    (test,) = told["tests"]
    assert told["step"] == 40 and test["record"]["target"] == FLIPPED and len(test["task"]["demonstrations"]) == 2
    assert test["copying"] == {"exact": False, "cell_accuracy": pytest.approx(11 / 15)}
    assert test["halting_probability"][-1] == pytest.approx(0.8808, abs=1e-4)


def test_the_list(runs: Path) -> None:
    out = show(runs, "--puzzle", "list").output
    assert "one, step 40: 2 of 5 right (copying 0)" in out and "cccc2222:0  ✗ wrong" in out
    assert [test["exact"] for test in json.loads(show(runs, "--puzzle", "list", "--json").output)["tests"]].count(
        True
    ) == 2


def test_colours_where_there_is_a_terminal(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hrm_console.views.puzzles.grids import Look

    for colors, code in (("many", "48;5;"), ("sixteen", "m")):
        monkeypatch.setattr(puzzle_words, "_look", lambda colors=colors: (Look(colors), 100))
        out = CliRunner().invoke(cli, ["show", "one", "--puzzle", "bbbb1111:0", "--runs", str(runs)], color=True).output
        assert "\x1b[" in out and code in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--puzzle", "aaaa0001"), "did you mean aaaa0000?"),
        (("--puzzle", "zz"), "--puzzle list` lists them."),
        (("--puzzle", "aaaa0000", "--step", "7"), "keeps those of 20, 40."),
        (("--step", "7"), "say which test with --puzzle TASK"),
    ],
)
def test_mistakes_are_told_with_the_remedy(runs: Path, words: tuple[str, ...], said: str) -> None:
    result = show(runs, *words)
    assert result.exit_code == 2 and said in result.output and len(result.output.splitlines()) <= 2


def test_a_run_without_predictions(tmp_path: Path) -> None:
    RunWriter.create(tmp_path / "one", "", {"experiment": "EXP-00", "seed": 1}).close()
    result = show(tmp_path, "--puzzle", "list")
    assert result.exit_code == 1 and "keeps no predictions" in result.output


def test_no_torch_and_no_textual_are_loaded(runs: Path) -> None:
    code = f"""
import atexit, sys
atexit.register(lambda: print([name for name in ("torch", "numpy", "textual") if name in sys.modules]))
from hrm_core.cli.main import cli
cli.main(["show", "one", "--puzzle", "aaaa0000", "--runs", {str(runs)!r}])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.endswith("[]\n") and "aaaa0000" in told

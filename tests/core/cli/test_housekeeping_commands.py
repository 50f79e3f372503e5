"""`hrm rename` and `hrm remove`: exit codes, the one or two lines they print, and the question that is asked once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hrm_core.cli import housekeeping_commands
from hrm_core.cli.main import cli
from hrm_core.runs.sweeps import Sweep, extend_sweep
from hrm_core.runs.writer import RunWriter


def hrm(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(words), input=typed)


def make(folder: Path) -> Path:
    with RunWriter.create(folder, "", {"experiment": "EXP-00"}) as writer:
        writer.result({"state": "finished", "step": 1})
    return folder


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if somebody sat there."""
    monkeypatch.setattr(housekeeping_commands, "somebody_is_there", lambda: True)


def test_rename(tmp_path: Path) -> None:
    make(tmp_path / "old")
    said = hrm("rename", "old", "new", "--runs", str(tmp_path))
    assert (said.exit_code, said.output) == (0, "run old is new now.\n")
    assert os.listdir(tmp_path) == ["new"]


def test_rename_says_why_it_does_not(tmp_path: Path) -> None:
    make(tmp_path / "old")
    make(tmp_path / "new")
    for words, code in ((("old", "new"), 2), (("old", "a/b"), 2), (("nobody", "x"), 2)):
        said = hrm("rename", *words, "--runs", str(tmp_path))
        assert said.exit_code == code and said.output.startswith("error: ") and said.output.count("\n") <= 2


def test_a_run_of_a_sweep_is_renamed_anyway_with_a_word_about_it(tmp_path: Path) -> None:
    extend_sweep(tmp_path, Sweep("night", ("EXP-00",), 1, 1, ()))
    make(tmp_path / "night-EXP-00-s1")
    said = hrm("rename", "night", "new", "--runs", str(tmp_path))
    assert said.exit_code == 1 and "--anyway" in said.output and "sweep night" in said.output
    said = hrm("rename", "night", "new", "--anyway", "--runs", str(tmp_path))
    assert said.exit_code == 0 and said.output.splitlines()[0] == "run night-EXP-00-s1 is new now."
    assert "sweep night" in said.output


def test_remove_with_yes_asks_nothing(tmp_path: Path) -> None:
    make(tmp_path / "one")
    make(tmp_path / "two")
    said = hrm("remove", "one", "two", "one", "--yes", "--runs", str(tmp_path))
    assert (said.exit_code, said.output) == (0, "run one is removed.\nrun two is removed.\n")
    assert os.listdir(tmp_path) == []


def test_without_a_terminal_it_wants_yes(tmp_path: Path) -> None:
    make(tmp_path / "one")
    said = hrm("remove", "one", "--runs", str(tmp_path), typed="y\n")
    assert said.exit_code == 2 and "add --yes" in said.output and os.listdir(tmp_path) == ["one"]


@pytest.mark.usefixtures("terminal")
def test_the_question_says_what_is_lost_and_no_is_no(tmp_path: Path) -> None:
    folder = make(tmp_path / "one")
    (folder / "archive" / "best-00000001").mkdir()
    said = hrm("remove", "one", "--runs", str(tmp_path), typed="n\n")
    assert said.exit_code == 1 and "MiB, no checkpoints, 1 archived best\n" in said.output
    assert said.output.endswith("Nothing was removed.\n") and os.listdir(tmp_path) == ["one"]
    said = hrm("remove", "one", "--runs", str(tmp_path), typed="y\n")
    assert said.exit_code == 0 and os.listdir(tmp_path) == []


def test_one_that_goes_on_keeps_them_all(tmp_path: Path) -> None:
    make(tmp_path / "one")
    with RunWriter.create(tmp_path / "two", "", {}) as writer:
        writer.status({"state": "running"})
        said = hrm("remove", "one", "two", "--yes", "--runs", str(tmp_path))
    assert said.exit_code == 1 and "hrm stop two" in said.output
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]

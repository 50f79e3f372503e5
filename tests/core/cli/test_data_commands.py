"""`hrm data ...` as a user types it: what it prints, what it leaves behind, and its errors in one or two lines."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from hrm_core.cli.data_commands import data as data_group
from hrm_core.cli.main import cli
from hrm_core.data.dataset import Dataset, load_dataset
from hrm_core.data.draw import pair_lines, print_task, task_pairs
from hrm_core.recipe.data import DataConfig


@pytest.fixture
def hrm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """hrm("data", "info", ...) in an empty folder, with an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return lambda *args: CliRunner().invoke(cli, [str(arg) for arg in args])


def assert_error(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code and result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.endswith("...")]
    assert 1 <= len(lines) <= 2 and lines[0].startswith("error: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


TASK = {"train": [{"input": [[1, 0]], "output": [[0, 1]]}], "test": [{"input": [[2, 0]], "output": [[0, 2]]}]}


def folder_of(path: Path, **tasks: object) -> Path:
    path.mkdir()
    for name, value in tasks.items():
        (path / f"{name}.json").write_text(json.dumps(value))
    return path


@pytest.fixture(scope="module")
def arc1(arc1_file: Path) -> Dataset:
    return load_dataset(arc1_file, DataConfig())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hrm_core.cli.data_commands import data; "
        "sys.exit(bool({'torch', 'numpy', 'h5py', 'scipy', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert set(data_group.commands) == {"build", "info", "check", "show"}


def test_build_of_arc1_says_what_it_made(hrm: Callable[..., Result], tmp_path: Path) -> None:
    result = hrm("data", "build", "arc1", "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["eval_outputs"] == {"fit": 415, "of": 419} and summary["bytes"] < 25e6
    assert summary["file"] == str(tmp_path / "home" / "hrm" / "built" / "arc1.h5")
    assert "finding objects: done in" in result.stderr
    assert hrm("data", "info", "--json").exit_code == 0


def test_build_of_a_folder_in_words(hrm: Callable[..., Result], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", a=TASK, b={**TASK, "test": []})
    assert_error(hrm("data", "build", "--source", folder), 1, "b.json", '"test" has no pairs', "--skip-bad")
    result = hrm("data", "build", "--source", folder, "--skip-bad", "--out", tmp_path / "x.h5")
    assert result.exit_code == 0
    assert "skipped 1 invalid task: b.json" in result.stdout and "1 training, 0 evaluation" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "x.h5", "x.h5.sha256"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["build"], 2, ["nothing to build", "hrm data build arc1"]),
        (["build", "arc9"], 2, ["'arc9'", "known sources: arc1, arc2"]),
        (["build", "--source", "none/here"], 2, ["none/here", "training/*.json"]),
        (["build", "arc1", "--frobnicate"], 2, ["--frobnicate"]),
        (["info"], 1, ["arc1.h5", "hrm data build arc1"]),
        (["check", "--data", "none.h5"], 1, ["none.h5", "hrm data build"]),
        (["show"], 2, ["TASK"]),
        (["show", "x"], 1, ["hrm data build arc1"]),
    ],
)
def test_wrong_use_and_missing_files(hrm: Callable[..., Result], args: list[str], code: int, words: list[str]) -> None:
    assert_error(hrm("data", *args), code, *words)


def test_an_output_that_cannot_be_written_is_said(hrm: Callable[..., Result], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", a=TASK)
    (tmp_path / "file").write_text("")
    assert_error(
        hrm("data", "build", "--source", folder, "--out", tmp_path / "file" / "x.h5"), 1, "is a file, not a folder"
    )
    assert_error(hrm("data", "build", "--source", folder, "--out", tmp_path), 2, "is a folder")


def test_text_from_files_never_reaches_the_terminal_raw(hrm: Callable[..., Result], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", **{"\x1b]0;title\x07": {}, "good": TASK})
    result = hrm("data", "build", "--source", folder)
    assert_error(result, 1, "␛]0;title␇.json")
    assert "\x1b" not in result.stderr


def test_damage_is_found_by_every_command(hrm: Callable[..., Result], arc1_file: Path, tmp_path: Path) -> None:
    for suffix in ("", ".sha256"):
        shutil.copy(f"{arc1_file}{suffix}", tmp_path / f"a.h5{suffix}")
    raw = bytearray((tmp_path / "a.h5").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "a.h5").write_bytes(raw)
    for args in (["info"], ["check"], ["show", "007bbfb7"]):
        assert_error(hrm("data", *args, "--data", tmp_path / "a.h5"), 1, "damaged", "hrm data build")


def test_info_in_words_and_json(hrm: Callable[..., Result], arc1_file: Path) -> None:
    text = hrm("data", "info", "--data", arc1_file).stdout
    assert "415 of 419 test outputs fit their canvas, 8 equal a training pair" in text
    assert "transductive" in text and re.search(r"10x10 +855 +184 +89", text)
    assert re.search(r"same_size +262 +270", text) and "27a28665" in text
    info = json.loads(hrm("data", "info", "--json", "--data", arc1_file).stdout)
    assert info["eval_outputs"] == {"fit": 415, "of": 419} and info["duplicates"] == {"val": 7, "eval": 8}
    assert info["mean_tokens"]["eval"] == 418.4 and info["pairs"] == {"train": 2665, "val": 416, "eval": 419}
    assert info["curriculum"]["30"] == {"tasks": 800, "training_pairs": 2665}
    assert sum(info["descriptors"]["symmetry"].values()) == 800


def test_check_says_that_a_file_is_good(hrm: Callable[..., Result], arc1_file: Path) -> None:
    report = json.loads(hrm("data", "check", "--json", "--data", arc1_file).stdout)
    assert report["verdict"] == "good" and report["round_trips"] == 2 * 2665


def test_show_draws_digits_where_there_is_no_colour(hrm: Callable[..., Result], arc1_file: Path) -> None:
    text = hrm("data", "show", "3c9b0459", "--data", arc1_file).stdout
    assert "3c9b0459  arc1, training task, canvas 10x10" in text and "families: same_size" in text
    assert "demonstration 1  3x3 -> 3x3\n2 2 1      1 8 2\n2 1 2  ->  2 1 2\n2 8 1      1 2 2\n" in text
    assert "\x1b" not in text and "test 1" in text
    hidden = hrm("data", "show", "3c9b0459", "--no-answer", "--data", arc1_file).stdout
    assert hidden.rstrip().split("test 1  ")[1].startswith("3x3 -> ?")


def test_show_of_an_unknown_task_names_the_nearest(hrm: Callable[..., Result], arc1_file: Path) -> None:
    assert_error(hrm("data", "show", "007bbfb", "--data", arc1_file), 2, "did you mean 007bbfb7")
    assert_error(hrm("data", "show", "\x1b[2J", "--data", arc1_file), 2, "no task ␛[2J")


def drawn(dataset: Dataset, name: str, width: int) -> list[str]:
    console = Console(force_terminal=True, color_system="truecolor", width=width, soft_wrap=True)
    with console.capture() as capture:
        print_task(dataset, name, console=console)
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [80, 200])
def test_colours_fit_the_width(arc1: Dataset, width: int) -> None:
    for name in ("007bbfb7", "0934a4d8"):  # 3x3 and 30x30
        text = drawn(arc1, name, width)
        assert any("\x1b[48;2;" in line or "\x1b[38;2;" in line for line in text)
        plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text]
        assert max(map(len, plain)) <= max(width, 62)
        assert any("┌" in line and "┐" in line for line in plain)


def test_an_output_that_does_not_fit_its_canvas_is_drawn_whole(arc1: Dataset) -> None:
    row = int(arc1.oversize["eval"].task[0])
    test = next(pair for pair in task_pairs(arc1, row) if pair.title == "test 1")
    assert test.target is not None and max(test.target.shape) > int(arc1.tasks.canvas[row])


def test_half_blocks_stand_for_two_rows(arc1: Dataset) -> None:
    row = arc1.tasks.ids.index("0934a4d8")
    pair = task_pairs(arc1, row)[0]
    wide, half = (pair_lines(pair, width, colored=True) for width in (200, 60))
    assert (len(wide), len(half)) == (pair.input.shape[0] + 2, pair.input.shape[0] // 2 + 2)

"""`hrm-console --once` and wrong use, against folders of the real writer: what is printed, and the exit code."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hrm_console.__main__ import main
from hrm_console.once import print_once


def printed(folder, width=100, color=None):
    out = io.StringIO()
    code = print_once(
        folder, Console(file=out, width=width, color_system=color, force_terminal=color is not None, highlight=False)
    )
    return code, out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_runs_and_the_newest_curves_are_printed(runs, width):
    runs.make("one")
    runs.make("two", "finished")
    code, text = printed(runs.folder, width)
    assert code == 0 and "running" in text and "finished" in text and ("+9.1" in text or width == 60)
    assert "loss" in text and "exact" in text and "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= width


def test_colours_where_there_are_some(runs):
    runs.make("one")
    assert "\x1b[" in printed(runs.folder, color="256")[1]


def test_an_empty_folder_says_how_to_start(runs):
    code, text = printed(runs.folder)
    assert code == 0 and "No runs here yet" in text


def test_once_leaves_with_0(runs, capsys):
    runs.make("one")
    assert main(["--runs", str(runs.folder), "--once"]) == 0
    assert "running" in capsys.readouterr().out


def test_a_file_for_a_folder_is_wrong_use(tmp_path, capsys):
    path = tmp_path / "file"
    path.write_text("x")
    assert main(["--runs", str(path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_run_name_that_is_not_allowed_is_wrong_use(runs, capsys):
    assert main(["--runs", str(runs.folder), "../x"]) == 2
    assert "not allowed" in capsys.readouterr().err


def test_without_a_terminal_the_app_says_what_to_use_instead(runs, capsys):
    assert main(["--runs", str(runs.folder)]) == 2
    assert "--once" in capsys.readouterr().err

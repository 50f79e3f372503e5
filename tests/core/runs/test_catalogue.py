"""The list of runs, and the run a word means, against the folders that lie there; what the room must not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrm_core.errors import UserError
from hrm_core.runs.catalogue import find_run, list_runs
from hrm_core.runs.writer import RunWriter


def make(runs: Path, *names: str) -> None:
    for number, name in enumerate(names):
        RunWriter.create(runs / name, "", {"created_utc": f"2026-11-{10 + number}T00:00:00Z"}).close()


def test_runs_are_listed_the_newest_first_and_nothing_else_is(tmp_path: Path) -> None:
    make(tmp_path, "b", "a", "c")
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "run.json").write_text("{}")
    (tmp_path / "evil\x1b[2J").mkdir()
    (tmp_path / "evil\x1b[2J" / "run.json").write_text("not json")
    assert [view.run_id for view in list_runs(tmp_path)] == ["c", "a", "b", "evil\x1b[2J"]
    assert list_runs(tmp_path / "none") == []
    with pytest.raises(NotADirectoryError):
        list_runs(tmp_path / "file")


def test_a_word_is_a_name_a_beginning_or_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    make(runs, "demo-1", "demo-10", "EXP-00-a")
    make(tmp_path / "else", "other")
    assert find_run(runs, "demo-1").path == runs / "demo-1"
    assert find_run(runs, "E").run_id == "EXP-00-a"
    assert find_run(runs, str(tmp_path / "else" / "other")).run_id == "other"
    monkeypatch.chdir(tmp_path / "else")
    assert find_run(runs, "other").run_id == "other"
    assert find_run(runs, "./other").run_id == "other"


def test_an_unknown_word_is_told_what_is_near(tmp_path: Path) -> None:
    make(tmp_path, "demo-1", "demo-2", "EXP-00-a")
    with pytest.raises(UserError, match=r"could be 2 runs .*: demo-1, demo-2; write more") as caught:
        find_run(tmp_path, "demo")
    assert caught.value.exit_code == 2
    with pytest.raises(UserError, match="did you mean EXP-00-a"):
        find_run(tmp_path, "EXP-0-a")
    with pytest.raises(UserError, match="`hrm list` shows"):
        find_run(tmp_path, "zzzzzz")
    with pytest.raises(UserError, match="there are no runs there yet"):
        find_run(tmp_path / "none", "x")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=300) | st.sampled_from(["..", "/", ".", "a\0b", "x" * 5000, "\ud800"]))
def test_any_word_is_found_or_refused_in_one_clean_line(tmp_path: Path, word: str) -> None:
    if not (tmp_path / "demo-1").exists():
        make(tmp_path, "demo-1")
    try:
        assert find_run(tmp_path, word).run_id == "demo-1"
    except UserError as error:
        assert error.message.isprintable()


def test_the_room_loads_no_torch_numpy_or_terminal_library() -> None:
    code = (
        "import importlib, json, pkgutil, sys, hrm_core.runs as room\n"
        "for part in pkgutil.iter_modules(room.__path__): importlib.import_module(f'hrm_core.runs.{part.name}')\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not set(json.loads(said)) & {
        "torch",
        "numpy",
        "h5py",
        "scipy",
        "triton",
        "rich",
        "textual",
        "click",
        "pydantic",
    }

"""Names of runs against the rule, and the default folders against what lies in the present one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_core.errors import UserError
from hrm_core.runs.layout import RunFolder, check_name, default_built_dir, default_runs_dir, new_run_id

WHEN = datetime(2026, 11, 24, 1, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../x", "a/b", "/etc", "a\\b", "a\0b", "-x", ".hidden", "_x", "a b", "a\n", "ü", "a" * 65,
        "a;rm", "$(x)", "x\x1b[2J", "１", "a\u202e",
    ],
)  # fmt: skip
def test_a_name_that_could_do_harm_is_refused_in_one_clean_line(name: str) -> None:
    with pytest.raises(UserError) as caught:
        check_name(name)
    assert caught.value.exit_code == 2
    assert caught.value.message.isprintable()


@given(st.text(st.characters(), max_size=80))
def test_a_name_that_passes_stays_directly_under_its_folder(name: str) -> None:
    try:
        check_name(name)
    except UserError:
        return
    parent = Path("/somewhere/runs")
    assert (parent / name).resolve().parent == parent
    assert re.fullmatch("[A-Za-z0-9._-]{1,64}", name)


@given(st.text(st.characters(), max_size=80))
def test_a_new_name_is_always_allowed(experiment: str) -> None:
    assert check_name(new_run_id(experiment, WHEN))


def test_a_new_name_says_what_and_when() -> None:
    assert new_run_id("EXP-00", WHEN, "abcd") == "EXP-00-20261124-013005-abcd"
    assert len({new_run_id("demo", WHEN) for _ in range(50)}) > 40


def test_snapshot_folders_sort_by_step() -> None:
    layout = RunFolder(Path("runs/demo"))
    assert layout.run_id == "demo"
    assert layout.checkpoint(2000) == Path("runs/demo/checkpoints/step-00002000")
    assert layout.best(10) == Path("runs/demo/archive/best-00000010")


def test_default_folders_are_here_if_they_exist_else_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_runs_dir() == tmp_path / "home/.local/share/hrm/runs"
    assert default_built_dir() == tmp_path / "home/.local/share/hrm/built"
    (tmp_path / "runs").mkdir()
    (tmp_path / "datasets/built").mkdir(parents=True)
    assert default_runs_dir() == Path("runs")
    assert default_built_dir() == Path("datasets/built")

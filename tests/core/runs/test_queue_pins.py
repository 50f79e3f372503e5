"""What an entry pins against a checkout that changes: commits, changes that are not committed, files unknown to git."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hrm_core.runs.queue_pins import code_differences, code_now, pins_now, recipe_differences
from hrm_core.runs.queue_records import Code


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("hrm_core/a.py", "triton_kernels/b.py", "hrm_console/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x")


def test_what_computes_makes_a_difference_and_what_does_not_makes_none(checkout: Path) -> None:
    first = code_now(checkout)
    assert first.commit is not None and len(first.commit) == 40 and first.dirty == ""
    (checkout / "hrm_console" / "c.py").write_text("2\n")
    assert code_now(checkout) == first
    (checkout / "hrm_core" / "a.py").write_text("2\n")
    changed = code_now(checkout)
    assert changed.dirty
    assert code_differences(first, changed, checkout) == [
        f"changes that are not committed: was no changes, is {changed.dirty}"
    ]
    (checkout / "hrm_core" / "a.py").write_text("3\n")
    assert code_now(checkout).dirty not in ("", changed.dirty)
    (checkout / "hrm_core" / "a.py").write_text("2\n")
    assert code_now(checkout) == changed
    (checkout / "triton_kernels" / "new.py").write_text("1\n")
    strange = code_now(checkout)
    assert strange.dirty not in ("", changed.dirty)
    (checkout / "triton_kernels" / "new.py").write_text("2\n")
    assert code_now(checkout).dirty not in ("", changed.dirty, strange.dirty)


def test_a_commit_says_how_much_of_what_computes_it_changes(checkout: Path) -> None:
    first = code_now(checkout)
    (checkout / "hrm_console" / "c.py").write_text("2\n")
    commit(checkout)
    second = code_now(checkout)
    (checkout / "hrm_core" / "a.py").write_text("2\n")
    commit(checkout)
    third = code_now(checkout)
    was = f"the commit was {str(first.commit)[:8]} and is "
    assert code_differences(first, second, checkout) == [f"{was}{str(second.commit)[:8]} (nothing of what computes)"]
    assert code_differences(first, third, checkout) == [f"{was}{str(third.commit)[:8]} (1 file of what computes)"]
    evil = replace(first, commit=f"--output={checkout}/evil")
    assert code_differences(evil, third, checkout) == [f"the commit was --output and is {str(third.commit)[:8]}"]
    assert not (checkout / "evil").exists()


def test_outside_a_checkout_versions_speak(tmp_path: Path) -> None:
    code = code_now(tmp_path)
    assert (code.commit, code.dirty) == (None, None)
    assert code.version is not None and code.torch is not None
    other = Code(None, None, "0.0.1", "2.11.0")
    assert code_differences(other, code, tmp_path) == [
        f"hrm-console was 0.0.1 and is {code.version}", f"torch was 2.11.0 and is {code.torch}"
    ]  # fmt: skip


def test_a_recipe_that_is_laid_otherwise_is_named_by_its_settings() -> None:
    words = ["preset=cpu", "training.seed=3"]
    pins = pins_now("EXP-00", words)
    assert recipe_differences(pins, "EXP-00", words) == []
    assert recipe_differences(pins, "EXP-00", ["preset=cpu"]) == ["recipe: training.seed was 3 and is 1"]
    assert recipe_differences(pins, "EXP-99", words)[0].startswith("the recipe is refused now: EXP-99 is no experiment")
    broken = replace(pins, recipe_toml="=", recipe_hash="x")
    assert "cannot be read any more" in recipe_differences(broken, "EXP-00", words)[0]

"""Fuzzing of the data format: a fork that dies, hangs, refuses or agrees; a reader that sees what was not written."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hrm_core.data.file import digest_path
from hrm_core.data.guard import Answer, Bounds, ask_child, refuse_harmful
from hrm_core.data.guard_child import GOOD, NO_MEMORY, REFUSED
from hrm_core.errors import UserError
from hrm_core.torture import fuzz_data
from hrm_core.torture.fuzz_child import case, outcome
from hrm_core.torture.fuzz_data import ask_forked, data, made_data

ROOMY = Bounds(2**40, 30, 60.0)  # a test's process holds torch, whose address space is large


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def dies(path: Path) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreached"


def sleeps(path: Path) -> str:
    time.sleep(600)
    return "unreached"


def refuses(path: Path) -> str:
    raise UserError("no good")


def eats(path: Path) -> str:
    raise MemoryError


def breaks(path: Path) -> str:
    raise KeyError(path)


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (lambda path: "digest", Answer(GOOD, "digest")),
        (dies, Answer(-signal.SIGKILL, "")),
        (sleeps, Answer(None, "")),
        (refuses, Answer(REFUSED, "no good")),
        (eats, Answer(NO_MEMORY, "")),
        (breaks, Answer(1, "")),
    ],
)
def test_a_fork_answers_as_the_child_does(read: Callable[[Path], str], answer: Answer, tmp_path: Path) -> None:
    bounds = Bounds(2**40, 30, 0.3) if read is sleeps else ROOMY
    assert ask_forked(tmp_path / "data.h5", bounds, read) == answer


def test_the_reader_tells_its_own_files_from_harm_and_from_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_data, "WHOLE_EVERY", 1)
    reader = data(tmp_path)
    for label, raw in reader.seeds:
        assert outcome(lambda label=label, raw=raw: reader.read(label, raw, False)) == ("accepted", "")  # type: ignore[misc]
    assert outcome(lambda: reader.read("data.h5", b"\x00\xff", False)) == ("refused", "")
    assert outcome(lambda: reader.read("data.h5", made_data(5), False)) == ("wrong", "content that was not written")


@pytest.mark.parametrize("number", [4567, 7965])
def test_the_two_mutants_that_hdf5_did_not_survive_are_refused(number: int, tmp_path: Path) -> None:
    """Seed 0, by the guard's own child; one of them ends at its limit of processor time, here a low one."""
    path = tmp_path / "data.h5"
    _, raw, _ = case(data(tmp_path), "bytes", 0, number)
    path.write_bytes(raw)
    digest_path(path).write_text(f"{hashlib.sha256(raw).hexdigest()}  {path.name}\n", encoding="ascii")
    with pytest.raises(UserError, match="is not loaded: the process that reads it first was "):
        refuse_harmful(path, lambda path, bounds: ask_child(path, replace(bounds, cpu_s=3)))

"""Keeping the machine awake: a stand-in for systemd-inhibit that says what it was asked and lives as the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import soon

from hrm_core.runs.inhibit import awake, can_inhibit


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root folder as systemd leaves it."""
    (tmp_path / "root/run/systemd/system").mkdir(parents=True)
    (tmp_path / "root/proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "root/proc/sys/kernel/osrelease").write_text("6.8.0-generic\n")
    return tmp_path / "root"


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in writes its pid and its words; like the real one it runs the command and waits for it."""
    said = tmp_path / "said"
    program = tmp_path / "bin" / "systemd-inhibit"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" $$ "$@" > {said}.new; mv {said}.new {said}\nshift 4\n"$@"\necho ended >> {said}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return said


def test_it_lives_as_long_as_the_block(machine: Path, said: Path) -> None:
    with awake("base-1", root=machine):
        assert soon(said.exists)
        pid, *words = said.read_text().splitlines()
        assert words[:4] == ["--what=sleep:idle", "--mode=block", "--who=hrm", "--why=run base-1"]
        time.sleep(0.1)
        assert alive(int(pid))
    assert soon(lambda: not alive(int(pid)))
    assert said.read_text().endswith("ended\n")


def test_it_ends_with_a_process_that_is_killed(machine: Path, said: Path) -> None:
    code = (
        "import time\nfrom pathlib import Path\nfrom hrm_core.runs.inhibit import awake\n"
        f"with awake('base-1', root=Path({str(machine)!r})):\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        assert soon(said.exists)
        pid = int(said.read_text().splitlines()[0])
        assert alive(pid)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert soon(lambda: not alive(pid))


def test_a_failing_run_gives_the_machine_back(machine: Path, said: Path) -> None:
    with pytest.raises(ZeroDivisionError), awake("a", root=machine):
        assert soon(said.exists)
        raise ZeroDivisionError
    pid = int(said.read_text().splitlines()[0])
    assert soon(lambda: not alive(pid))


def test_where_it_is_refused_or_missing_the_run_goes_on(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "refusing" / "systemd-inhibit"
    program.parent.mkdir()
    asked = tmp_path / "asked"
    program.write_text(f"#!/bin/sh\ntouch {asked}\necho Access denied >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    went_on = []
    with awake("a", root=machine):
        assert soon(asked.exists)
        went_on.append("refused")
    program.write_text("no program at all")
    with awake("a", root=machine):
        went_on.append("broken")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with awake("a", root=machine):
        went_on.append("missing")
    assert went_on == ["refused", "broken", "missing"]


def test_not_asked_for_or_no_such_machine_starts_nothing(machine: Path, said: Path, tmp_path: Path) -> None:
    with awake("a", wanted=False, root=machine), awake("b", root=tmp_path / "empty"):
        time.sleep(0.2)
    assert not said.exists()


def test_which_machines_can(machine: Path) -> None:
    assert can_inhibit(machine)
    (machine / "proc/sys/kernel/osrelease").write_text("5.15.153.1-microsoft-standard-WSL2\n")
    assert not can_inhibit(machine)
    (machine / "proc/sys/kernel/osrelease").unlink()
    assert can_inhibit(machine)
    (machine / ".dockerenv").touch()
    assert not can_inhibit(machine)
    (machine / ".dockerenv").unlink()
    (machine / "run/systemd/container").touch()
    assert not can_inhibit(machine)
    assert not can_inhibit(machine / "nowhere")

"""A run's lock against a second process: held while its holder lives, free when that is killed, asked but not taken."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.locks import RunLock, device_lock, holder, lock_holder
from hrm_core.runs.reader import read_run

HOLD = """
import sys
from pathlib import Path
from hrm_core.runs.locks import RunLock
RunLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""
TRY = """
import sys
from pathlib import Path
from hrm_core.errors import UserError
from hrm_core.runs.locks import RunLock, holder
try:
    RunLock(Path(sys.argv[1])).acquire()
    print("taken")
except UserError as error:
    print(holder(Path(sys.argv[1])), error.message)
"""


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def tried_elsewhere(folder: Path) -> str:
    return subprocess.run([sys.executable, "-c", TRY, str(folder)], capture_output=True, text=True, check=True).stdout


def test_a_lock_of_another_process_is_seen_named_and_freed_by_kill_9(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as process:
        assert holder(tmp_path) == process.pid
        with pytest.raises(UserError, match=f"in use by process {process.pid}; it is already running") as caught:
            RunLock(tmp_path).acquire()
        assert caught.value.exit_code == 1
        assert holder(tmp_path) == process.pid
        assert json.loads((tmp_path / "lock").read_text())["pid"] == process.pid
    assert holder(tmp_path) is None
    with RunLock(tmp_path):
        assert holder(tmp_path) == os.getpid()


def test_reading_the_run_in_the_trainers_own_process_does_not_drop_the_lock(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        for _ in range(3):
            assert holder(tmp_path) == os.getpid()
            read_run(tmp_path)
        (tmp_path / "link").symlink_to(tmp_path)
        assert holder(tmp_path / "link") == os.getpid()
        assert tried_elsewhere(tmp_path).startswith(f"{os.getpid()} run ")
    assert tried_elsewhere(tmp_path) == "taken\n"


def test_a_lock_taken_twice_in_a_process_is_freed_by_the_last_release(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path).acquire(), RunLock(tmp_path).acquire()
    first.release()
    first.release()
    assert tried_elsewhere(tmp_path) != "taken\n"
    second.release()
    assert tried_elsewhere(tmp_path) == "taken\n"


def test_a_forked_child_neither_holds_nor_frees_the_lock(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from hrm_core.runs.locks import RunLock, holder
folder = Path({str(tmp_path)!r})
lock = RunLock(folder).acquire()
parent = os.getpid()
child = os.fork()
if child == 0:
    ok = holder(folder) == parent
    lock.release()
    os._exit(0 if ok and holder(folder) == parent else 1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
child = os.fork()
if child == 0:
    os.read(0, 1)
    os._exit(0)
print("forked", flush=True)
os.kill(parent, 9)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "forked\n"
        process.wait()
        # The second child still lives, with the descriptor, and the lock is free all the same.
        assert holder(tmp_path) is None


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "no permission"])
def test_asking_never_makes_blocks_or_raises(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "no permission":
        path.touch(mode=0)
    assert holder(tmp_path) is None
    assert path.exists() is (kind != "missing")


def test_a_lock_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        RunLock(tmp_path / "none").acquire()
    (tmp_path / "lock").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="link"):
        RunLock(tmp_path).acquire()


def test_a_disk_that_is_full_names_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match=r"/lock: no space is left"):
        RunLock(tmp_path).acquire()
    monkeypatch.undo()
    assert holder(tmp_path) is None
    RunLock(tmp_path).acquire().release()


def test_a_device_has_a_lock_of_its_own_in_a_private_folder(tmp_path: Path) -> None:
    with device_lock("GPU-1/../x", tmp_path / "locks") as lock:
        assert lock.path.parent == tmp_path / "locks"
        assert lock.path.name == "device-GPU-1-..-x.lock"
        assert stat.S_IMODE(lock.path.parent.stat().st_mode) == 0o700
        assert lock_holder(lock.path) == os.getpid()
    assert lock_holder(lock.path) is None

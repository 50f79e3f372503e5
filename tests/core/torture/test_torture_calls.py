"""The library that strikes at the n-th call against plain processes; the sweep against a writer that writes in place;
and the part `calls` itself."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.torture import calls, full_disk
from hrm_core.torture.bench import Bench, Row
from hrm_core.torture.shim import build_shim, shim_environment
from hrm_core.torture.sweep import Calls, Tally, between, some, untouched
from hrm_core.torture.write_kinds import GOING, KINDS
from hrm_core.torture.writes import Writes

WRITE = """
import os, sys
folder = sys.argv[1]
with open(f"{folder}/a.tmp", "wb", buffering=0) as file:
    file.write(b"0123456789")
    os.fsync(file.fileno())
os.rename(f"{folder}/a.tmp", f"{folder}/a")
open("/dev/null", "wb").close()
os.mkdir(f"{folder}/b")
place = os.open(folder, os.O_RDONLY)
os.rmdir("b", dir_fd=place)
os.fsync(place)
os.unlink(f"{folder}/a")
"""
CALLS = ["open64 a.tmp", "write a.tmp", "fsync a.tmp", "rename a", "mkdir b", "unlinkat b", "fsync root", "unlink a"]

# Replaces the status in place, as no part of a run does.
IN_PLACE = """
import sys
from pathlib import Path
import hrm_core.torture.write_kinds as kinds
from hrm_core.runs.records import encode_status
from hrm_core.torture.writes import main

def begin(stage):
    def act():
        row = {"run_id": "one", "state": "running", "global_step": 12}
        stage.layout.status_json.write_bytes(encode_status(row))
    return act

kinds.KINDS["status"] = kinds.Kind("status.json", begin)
main(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


def struck(library: Path, root: Path, **how: str) -> subprocess.CompletedProcess[str]:
    """The small writer in `root`, struck as these variables of the environment say."""
    root.mkdir(exist_ok=True)
    environment = {**os.environ, **shim_environment(library, root), **{f"HRM_SHIM_{key}": how[key] for key in how}}
    command = [sys.executable, "-c", WRITE, str(root)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_call_under_the_root_is_counted_and_named_and_no_other(library: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert struck(library, tmp_path / "root", LOG=str(log)).returncode == 0
    lines = [line.split(" ") for line in log.read_text().splitlines()]
    assert [f"{call} {Path(path).name}" for _, call, path in lines] == CALLS
    assert [int(number) for number, _, _ in lines] == list(range(1, len(CALLS) + 1))


@pytest.mark.parametrize(
    ("number", "half", "left"),
    [(1, "", {}), (2, "", {"a.tmp": ""}), (2, "1", {"a.tmp": "01234"}), (4, "1", {"a.tmp": "0123456789"}),
     (5, "", {"a": "0123456789"}), (8, "", {"a": "0123456789"})],
)  # fmt: skip
def test_a_process_is_killed_in_place_of_its_nth_call(
    library: Path, tmp_path: Path, number: int, half: str, left: dict[str, str]
) -> None:
    words = {"KILL_AT": str(number)} | ({"HALF": half} if half else {})
    assert struck(library, tmp_path / "root", **words).returncode == -signal.SIGKILL
    assert {path.name: path.read_text() for path in (tmp_path / "root").iterdir()} == left


def test_from_the_nth_call_on_all_fail_until_there_is_room_but_removing(library: Path, tmp_path: Path) -> None:
    root, room = tmp_path / "root", tmp_path / "room"
    words = {"FAIL_AT": "5", "ERRNO": str(errno.EDQUOT), "ROOM": str(room)}
    done = struck(library, root, **words)
    assert done.returncode == 1 and f"[Errno {errno.EDQUOT}]" in done.stderr and "/b'" in done.stderr
    room.touch()
    assert struck(library, root, **words).returncode == 0
    assert struck(library, root, FAIL_AT="8").returncode == 0  # a full disk lets go of a file,
    refused = struck(library, root, FAIL_AT="8", ERRNO=str(errno.EROFS))  # one that is only read does not
    assert refused.returncode == 1 and f"[Errno {errno.EROFS}]" in refused.stderr


def test_a_disk_that_fills_up_takes_half_and_then_nothing(library: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = struck(library, root, FAIL_AT="2", HALF="1")
    assert done.returncode == 1 and f"[Errno {errno.ENOSPC}]" in done.stderr
    assert (root / "a.tmp").read_text() == "01234"


def test_without_a_compiler_the_part_says_so_and_passes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"no C compiler .*\n.*apt install gcc"):
        build_shim(tmp_path)
    (row,) = calls.trials(Bench(tmp_path, tmp_path / "none.h5", True, 0))
    assert (row.times, row.passed) == (0, False) and "not run: there is no C compiler" in row.found


def test_what_is_found_is_of_before_or_after() -> None:
    old, new = {"a": 1, "going": "x"}, {"a": 2, "come": "y"}
    assert between(old, old, new) == between(new, old, new) == []
    assert between({"a": 1, "come": "y", "going": GOING}, old, new) == []
    assert between({"a": 3}, old, new) == ["a is 3"]
    assert between({}, old, new) == ["a is None"]
    assert between({"a": 2, "come": GOING}, old, new) == ["come is without meta.json"]
    assert between({"a": 2, "strange": "z"}, old, new) == ["strange is z"]


def test_some_of_many_are_spread_from_first_to_last() -> None:
    assert some([1, 2, 3], 3) == [1, 2, 3]
    assert some(list(range(1, 101)), 3) == [1, 51, 100]
    assert some([5, 6, 7], 1) == [6]


def test_a_row_with_a_fault_is_not_passed() -> None:
    whole = Calls("status", ("write a", "fsync a"), {}, {})
    assert calls.killed_row(whole, Tally(2, 1, 1)).passed
    row = calls.killed_row(whole, Tally(2, 1, 0, ["status, call 1: torn"]))
    assert not row.passed and row.lost == "status, call 1: torn"
    assert not calls.killed_row(whole, Tally()).passed
    assert not full_disk.failed_row(whole, Tally(), 0, ["no space"]).passed
    assert not full_disk.failed_row(whole, Tally(2, 2, 0), 2, ["no space"]).passed  # nothing failed at all


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_that_writes_in_place_is_found_out(tmp_path: Path, arc1_file: Path) -> None:
    """The same sweep on a status that is overwritten, not replaced; and on one that the run writes."""
    bench = Bench(tmp_path, arc1_file, True, 0)
    with Writes(bench, ("-c", IN_PLACE)) as writes:
        assert untouched(bench, writes, "status").log == ("open64 status.json", "write status.json")
        killed = calls.kill_everywhere(bench, writes, "status")
        failed = full_disk.fail_everywhere(bench, writes, "status")
        sound = calls.kill_everywhere(bench, writes, "policy")
    assert killed.times == 3 and not killed.passed and "status.json is not readable" in killed.lost
    assert not failed.passed and "status.json is not readable" in failed.lost
    assert sound.passed and sound.times == 4 and sound.lost == "nothing", sound


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_at_calls_of_every_kind_of_write_lose_nothing(tmp_path: Path, arc1_file: Path) -> None:
    rows = list(calls.trials(Bench(tmp_path, arc1_file, True, 0)))
    assert len(rows) == len(KINDS)
    assert all(isinstance(row, Row) and row.times >= 3 for row in rows)
    assert [row for row in rows if not row.passed] == []

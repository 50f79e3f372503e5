"""What the part `full-disk` takes for a fault, against made-up outcomes; and the part itself."""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from typing import Any

import pytest

from hrm_core.torture import full_disk, small_disk
from hrm_core.torture.bench import Bench
from hrm_core.torture.shim import FAIL, Fault
from hrm_core.torture.sweep import Calls
from hrm_core.torture.write_kinds import KINDS
from hrm_core.torture.writes import Outcome

CALLS = Calls("status", ("open64 s", "write s"), {"a": 1}, {"a": 2})
NO_SPACE, READ_ONLY = Fault(FAIL, 1), Fault(FAIL, 1, errno.EROFS)
TEXT = "/runs/one/status.json: no space is left on the disk; make room or choose another folder."


def outcome(code: int = 0, ended: int = 0, **said: Any) -> Outcome:
    error = {"told": True, "type": "OSError", "text": TEXT, "where": ""}
    whole = {"error": error, "again": None, "calls": 1, "leftovers": [], "found": {"a": 1}, "found_again": {"a": 2}}
    return Outcome(ended, code, whole | said)


def test_an_error_that_leaves_the_old_and_then_succeeds_is_no_fault() -> None:
    assert full_disk.problems_of(outcome(), CALLS, NO_SPACE) == []
    assert full_disk.problems_of(outcome(error=None, found={"a": 2}), CALLS, NO_SPACE) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ended": signal.SIGSEGV}, "signal 11"),
        ({"code": 1}, "code 1"),
        ({"error": {"told": False, "type": "SafetensorError", "text": "I/O", "where": ""}}, "a SafetensorError: I/O"),
        ({"error": {"told": True, "type": "OSError", "text": "a file: no space.", "where": ""}}, "does not name"),
        ({"error": {"told": True, "type": "OSError", "text": "/x/.s.tmp-1-0123abcd: full", "where": ""}}, "does not"),
        ({"found": {"a": "torn"}}, "a is torn"),
        ({"found": {}}, "a is None"),
        ({"leftovers": ["runs/one/.status.json.tmp-1-0123abcd"]}, "left behind: runs/one/.status"),
        ({"again": {"text": "it fails"}}, "with room it fails again: it fails"),
        ({"found_again": {"a": 1}}, "with room, a is 1"),
    ],
)
def test_every_other_outcome_is_a_fault_in_words(wrong: dict[str, Any], words: str) -> None:
    (problem,) = full_disk.problems_of(outcome(**wrong), CALLS, NO_SPACE)
    assert words in problem


def test_what_cannot_be_removed_from_a_disk_that_is_only_read_may_stay() -> None:
    left = outcome(leftovers=["runs/one/.status.json.tmp-1-0123abcd"])
    assert full_disk.problems_of(left, CALLS, READ_ONLY) == []
    aside = outcome(leftovers=["runs/one/checkpoints/.step-00000011.old-1-0123abcd"])
    assert full_disk.problems_of(aside, CALLS, NO_SPACE) == []


EXPECTED = {"weights": ["w"], "steps": [5, 10], "state": "finished", "archive": ["best-00000010"]}


def report(**other: Any) -> dict[str, Any]:
    good = {"alarm": "No space is left", "state": "paused", "code": 0, "output": "", "good": "s", "good_named": "s"}
    return good | {"end": EXPECTED, "events": ["disk_full", "disk_room"]} | other


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"alarm": "", "code": 1, "output": "Traceback"}, "no alarm disk_full: it ends with 1 (Traceback)"),
        ({"state": "running"}, "it is running, not paused"),
        ({"state": "ended"}, "it is ended, not paused"),
        ({"good": "r"}, "the newest checkpoint is s, the newest whole one r"),
        ({"code": -9}, "it ends with -9"),
        ({"end": EXPECTED | {"weights": ["v"]}}, "weights ['v'], alone ['w']"),
        ({"end": EXPECTED | {"steps": [5, 5, 10]}}, "steps [5, 5, 10], alone [5, 10]"),
        ({"events": ["disk_full"]}, "events are disk_full"),
    ],
)
def test_a_training_that_does_not_wait_or_ends_otherwise_is_a_fault(wrong: dict[str, Any], words: str) -> None:
    assert small_disk.problems_of(report(), EXPECTED) == []
    problems = small_disk.problems_of(report(**wrong), EXPECTED)
    assert any(words in problem for problem in problems), problems
    row = small_disk.run_row("how", 1, problems)
    assert not row.passed and words in row.lost


def test_where_nothing_can_be_mounted_the_row_says_so_and_is_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*command: Any, **how: Any) -> Any:
        raise FileNotFoundError(errno.ENOENT, "no unshare")

    monkeypatch.setattr("subprocess.run", no)
    row = small_disk.full_run(Bench(tmp_path, tmp_path / "none.h5", True, 0))
    assert (row.times, row.passed) == (0, False) and row.found.startswith("not run: a tmpfs")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_full_disk_at_every_kind_of_write_and_in_a_training_loses_nothing(tmp_path: Path, arc1_file: Path) -> None:
    rows = list(full_disk.trials(Bench(tmp_path, arc1_file, True, 0)))
    assert len(rows) == len(KINDS) + 1
    assert [row for row in rows if row.times and not row.passed] == []
    assert sum(row.times for row in rows) >= 3 * len(KINDS)

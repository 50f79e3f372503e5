"""Requests taken by a run against requests left for it: all of them, once, in their order, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hrm_core.runs.control import KINDS, Inbox, request
from hrm_core.runs.reader import read_run


def test_requests_come_once_in_order_with_their_text(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    assert inbox.poll() == []
    for kind in KINDS:
        request(tmp_path, kind, text=f"about {kind}")
    found = inbox.poll()
    assert [entry.kind for entry in found] == list(KINDS)
    assert [entry.text for entry in found] == [f"about {kind}" for kind in KINDS]
    assert os.listdir(tmp_path / "control") == []
    assert inbox.poll() == []
    for _ in range(3):
        request(tmp_path, "pause")
        assert [entry.kind for entry in inbox.poll()] == ["pause"]


def test_a_request_is_seen_also_after_a_quiet_time(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    (tmp_path / "control").mkdir()
    for _ in range(3):
        time.sleep(0.06)
        assert inbox.poll() == []
        assert inbox.poll() == []
        request(tmp_path, "stop")
        assert len(inbox.poll()) == 1


def test_what_is_no_request_is_removed_and_a_write_under_way_is_left(tmp_path: Path) -> None:
    control = tmp_path / "control"
    control.mkdir()
    (control / "a.json").write_text("{")
    (control / "b.json").write_text('{"kind": "explode"}')
    (control / "c.json").write_bytes(b'{"kind": "stop"}' + b" " * 10**6)
    (control / "d.json").symlink_to("/etc/passwd")
    os.mkfifo(control / "e.json")
    (control / "folder").mkdir()
    (control / ".1-stop.json.tmp-1-01234567").write_text('{"kind": "stop"}')
    assert Inbox(tmp_path).poll() == []
    assert sorted(os.listdir(control)) == [".1-stop.json.tmp-1-01234567", "folder"]
    assert Path("/etc/passwd").exists()


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'explode' is not one of stop,"):
        request(tmp_path, "explode")  # type: ignore[arg-type]
    with pytest.raises(OSError):
        request(tmp_path / "none", "stop")


def test_requests_for_an_earlier_process_are_dropped(tmp_path: Path) -> None:
    os.utime(request(tmp_path, "stop"), (1, 1))
    request(tmp_path, "pause")
    inbox = Inbox(tmp_path)
    assert inbox.drop_older_than(time.time() - 60) == 1
    assert [entry.kind for entry in inbox.poll()] == ["pause"]
    assert Inbox(tmp_path / "none").drop_older_than(0.0) == 0
    read_run(tmp_path)

"""Runs that left no result: what their last event, their status and their disk say."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hrm_core.cli.main import cli
from hrm_core.runs import disk
from hrm_core.runs.endings import full_disk_words, said_at_the_end
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import read_run
from hrm_core.runs.writer import RunWriter


def gone(folder: Path, *kinds: str, **status: object) -> RunFolder:
    """A run whose process is gone, with these events."""
    with RunWriter.create(folder, "x = 1\n", {"experiment": "demo"}) as run:
        run.status({"state": "paused", "global_step": 3, **status})
        for kind in kinds:
            run.event(kind, 3, reason=f"so said {kind}")
    return RunFolder(folder)


@pytest.mark.parametrize("kind", ["stopped", "failed"])
def test_a_last_event_stands_in_for_the_result(tmp_path: Path, kind: str) -> None:
    layout = gone(tmp_path / "run", "started", kind)
    assert said_at_the_end(layout) == {"state": kind, "reason": f"so said {kind}", "step": 3}
    view = read_run(layout)
    assert view.state == kind and view.result == said_at_the_end(layout)
    shown = CliRunner().invoke(cli, ["show", "run", "--runs", str(tmp_path)]).output
    assert kind in shown and f"so said {kind}" in shown


@pytest.mark.parametrize("kinds", [(), ("started",), ("stopped", "resumed"), ("finished",)])
def test_other_events_do_not(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    layout = gone(tmp_path / "run", *kinds)
    assert said_at_the_end(layout) is None
    assert read_run(layout).state == "lost"


def test_a_torn_or_damaged_line_says_nothing(tmp_path: Path) -> None:
    layout = gone(tmp_path / "run", "started", "stopped")
    whole = layout.events.read_bytes()
    layout.events.write_bytes(whole[:-1])  # torn just before its end
    assert said_at_the_end(layout) is None
    layout.events.write_bytes(whole.replace(b"so said stopped", b"so said stoppED"))
    assert said_at_the_end(layout) is None
    layout.events.unlink()
    assert said_at_the_end(layout) is None


def test_a_lost_run_that_waited_for_room_says_so_and_waits_no_more(tmp_path: Path) -> None:
    alarm = {"name": "disk_full", "sentence": "No space is left.", "advice": disk.ADVICE}
    view = read_run(gone(tmp_path / "run", "started", alarms=[alarm, {"name": "input_blind"}]))
    assert view.state == "lost"
    assert [found["name"] for found in view.alarms] == ["input_blind", "lost"]
    assert view.alarms[1]["sentence"].endswith("When it last wrote, it waited for room on a full disk.")
    shown = CliRunner().invoke(cli, ["show", "run", "--runs", str(tmp_path)]).output
    assert "waited for room" in shown and "goes on by itself" not in shown


def test_a_disk_that_is_full_now_may_be_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = gone(tmp_path / "run", "started")
    assert full_disk_words(layout, []) == ""
    monkeypatch.setattr(disk, "no_room", lambda folder: "The disk of this run is full: 0 KiB are free.")
    assert "may have had no room" in read_run(layout).alarms[0]["sentence"]

"""Renaming and removing runs of the real writer: what is there afterwards, and what is refused and left as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.runs import housekeeping
from hrm_core.runs.catalogue import list_runs
from hrm_core.runs.housekeeping import Weight, references, remove_run, rename_run, weigh
from hrm_core.runs.locks import holder
from hrm_core.runs.reader import events, read_run
from hrm_core.runs.sweeps import Sweep, extend_sweep
from hrm_core.runs.writer import RunWriter


def make(folder: Path, state: str = "finished", **run_json: object) -> Path:
    with RunWriter.create(folder, "", {"experiment": "EXP-00", **run_json}) as writer:
        writer.metrics({"step": 1, "loss": 0.5})
        writer.event("started", step=0)
        writer.status({"global_step": 1, "max_steps": 2})
        if state != "lost":
            writer.result({"state": state, "step": 1})
    return folder


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("state", ["finished", "stopped", "failed", "lost"])
def test_a_run_gets_another_name_and_stays_what_it_was(tmp_path: Path, state: str) -> None:
    old = make(tmp_path / "old", state)
    assert rename_run(old, "new") == tmp_path / "new"
    assert names(tmp_path) == ["new"]
    view = read_run(tmp_path / "new")
    assert (view.run_id, view.state, view.step) == ("new", state, 1)
    row = events(tmp_path / "new")[-1]
    assert (row["kind"], row["from"], row["to"]) == ("renamed", "old", "new")
    assert holder(tmp_path / "new") is None


def test_a_run_that_was_renamed_is_trained_on_under_its_name(tmp_path: Path) -> None:
    rename_run(make(tmp_path / "old", "lost"), "new")
    with RunWriter.open(tmp_path / "new") as writer:
        writer.status({"global_step": 2})
        assert read_run(tmp_path / "new").status["run_id"] == "new"
        with pytest.raises(UserError, match="it is running"):
            rename_run(tmp_path / "new", "newer")


def test_the_event_begins_a_line_of_its_own_after_a_torn_one(tmp_path: Path) -> None:
    folder = make(tmp_path / "old", "lost")
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"kind":"to')
    assert [row["kind"] for row in events(rename_run(folder, "new"))] == ["started", "renamed"]


@pytest.mark.parametrize(
    ("name", "said", "code"),
    [("../x", "not allowed", 2), (".x", "not allowed", 2), ("", "not allowed", 2), ("other", "exists already", 2),
     ("old", "is called so already", 2)],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, said: str, code: int) -> None:
    make(tmp_path / "old")
    make(tmp_path / "other")
    with pytest.raises(UserError, match=said) as caught:
        rename_run(tmp_path / "old", name)
    assert caught.value.exit_code == code and names(tmp_path) == ["old", "other"]


@pytest.mark.parametrize("what", [lambda folder: rename_run(folder, "new"), remove_run])
def test_a_run_that_goes_on_is_left_alone(tmp_path: Path, what: object) -> None:
    with RunWriter.create(tmp_path / "old", "", {}) as writer:
        writer.status({"state": "running"})
        with pytest.raises(UserError, match="hrm stop old") as caught:
            what(tmp_path / "old")  # type: ignore[operator]
    assert caught.value.exit_code == 1 and names(tmp_path) == ["old"]


HOLD = """
import sys
from pathlib import Path
from hrm_core.runs.locks import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("what", [lambda folder: rename_run(folder, "new"), remove_run])
def test_a_process_that_has_just_taken_the_lock_keeps_the_run(
    tmp_path: Path, what: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "old", "lost")
    # The state was read before the other process came: only the lock can tell.
    monkeypatch.setattr(housekeeping, "check_idle", lambda *_: None)
    argv = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="in use by process"):
            what(folder)  # type: ignore[operator]
        other.communicate()
    assert names(tmp_path) == ["old"] and (folder / "run.json").exists()


def test_a_removed_run_is_gone_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path / "old")
    make(tmp_path / "other")
    remove_run(tmp_path / "old")
    assert names(tmp_path) == ["other"] and len(list_runs(tmp_path)) == 1


def test_a_link_is_removed_or_renamed_itself_never_what_it_points_to(tmp_path: Path) -> None:
    inside, outside = tmp_path / "runs", make(tmp_path / "elsewhere" / "real")
    inside.mkdir()
    before = {path: path.stat().st_mtime_ns for path in outside.rglob("*")}
    (inside / "link").symlink_to(outside)
    assert weigh(inside / "link") == Weight(0, 0, 0, 0)
    rename_run(inside / "link", "other")
    assert names(inside) == ["other"] and (inside / "other").is_symlink()
    remove_run(inside / "other")
    assert names(inside) == []
    assert {path: path.stat().st_mtime_ns for path in outside.rglob("*")} == before


def test_links_inside_a_run_are_not_followed(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "gold").write_text("x")
    folder = make(tmp_path / "runs" / "old")
    (folder / "archive" / "best-00000001").symlink_to(treasure)
    (folder / "gold").symlink_to(treasure / "gold")
    remove_run(folder)
    assert names(tmp_path / "runs") == [] and (treasure / "gold").read_text() == "x"


def test_deleting_that_was_killed_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "one")
    make(tmp_path / "two")

    def killed(path: object) -> None:
        raise OSError(5, "killed here", str(path))

    monkeypatch.setattr("hrm_core.runs.housekeeping.shutil.rmtree", killed)
    with pytest.raises(UserError):
        remove_run(tmp_path / "one")
    assert [view.run_id for view in list_runs(tmp_path)] == ["two"]
    assert len(names(tmp_path)) == 2
    monkeypatch.undo()
    remove_run(tmp_path / "two")
    assert names(tmp_path) == []


def test_another_removal_that_deletes_the_same_folder_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "one")
    delete = shutil.rmtree

    def raced(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            delete(path / "archive")
            raise FileNotFoundError(2, "gone meanwhile", str(path / "archive"))
        delete(path, ignore_errors=True)

    monkeypatch.setattr("hrm_core.runs.housekeeping.shutil.rmtree", raced)
    remove_run(tmp_path / "one")
    assert names(tmp_path) == []


def test_what_is_weighed_is_what_removing_frees(tmp_path: Path) -> None:
    folder = make(tmp_path / "old")
    empty = weigh(folder)
    for place in ("checkpoints/step-00000001", "checkpoints/step-00000002", "archive/best-00000001"):
        (folder / place).mkdir()
        (folder / place / "weights").write_bytes(b"x" * 1000)
    (folder / "archive" / "best-00000001.pinned").touch()
    # A snapshot that was promoted is linked: it stays, and frees nothing.
    os.link(folder / "checkpoints/step-00000001/weights", tmp_path / "kept")
    assert weigh(folder) == Weight(empty.bytes + 2000, 2, 1, 1)
    remove_run(folder)
    assert names(tmp_path) == ["kept"]


def swept(runs: Path) -> Path:
    extend_sweep(runs, Sweep("night", ("EXP-00", "EXP-07"), 2, 2, ()))
    return make(runs / "night-EXP-07-s1")


def test_a_run_of_a_sweep_is_not_renamed_in_silence(tmp_path: Path) -> None:
    folder = swept(tmp_path)
    assert references(folder).sweeps == ("night",)
    with pytest.raises(UserError, match="belongs to sweep night") as caught:
        rename_run(folder, "new")
    assert caught.value.message.count("\n") == 1 and folder.exists()
    assert rename_run(folder, "new", despite_references=True).exists()


def test_what_the_queue_and_other_runs_say_of_a_run_is_found(tmp_path: Path) -> None:
    folder = make(tmp_path / "old")
    make(tmp_path / "child", parent={"run": "old", "step": 1})
    make(tmp_path / "stranger", parent={"run": "older", "step": 1})
    entries = [
        {"id": "1", "state": "waiting", "after": "old", "after_is_run": True},
        {"id": "2", "state": "held", "source": "old@best"},
        {"id": "3", "state": "done", "run_id": "old"},
        {"id": "4", "state": "waiting", "after": "old", "after_is_run": False},
        {"id": "5", "state": "waiting", "run_id": "old"},
        {"id": "6", "state": "waiting", "source": f"{folder}/archive/best-00000001"},
        "no entry",
    ]
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "queue.json").write_text(json.dumps({"entries": entries}))
    found = references(folder)
    assert found.queue == ("1", "2", "5", "6") and found.children == ("child",) and found.sweeps == ()
    assert len(found.sentences) == 2
    with pytest.raises(UserError, match="of the queue waits"):
        rename_run(folder, "new")


def test_sweep_and_queue_files_that_are_broken_mean_nobody(tmp_path: Path) -> None:
    folder = make(tmp_path / "old")
    for place in ("sweeps/a.json", "sweeps/\x1b[2J.json", "queue/queue.json"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(b"\xff{")
    assert references(folder).sentences == ()
    assert rename_run(folder, "new").exists()

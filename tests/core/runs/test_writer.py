"""What the writer leaves against what it was given: whole at any kill -9, every step once after a cut, one writer."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hrm_core.errors import UserError
from hrm_core.runs import control, predictions, writer
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import evaluation_rows, events, log_tail, metrics_rows, read_policy, read_run, read_status
from hrm_core.runs.records import CLOCK_COLUMNS, decode_row, without_clocks
from hrm_core.runs.writer import RunWriter

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from hrm_core.runs.writer import RunWriter
folder = Path(sys.argv[1])
first = not (folder / "run.json").exists()
writer = RunWriter.create(folder, "x = 1\\n", {"experiment": "demo"}) if first else RunWriter.open(folder)
start = int(sys.argv[2])
writer.cut(start)
print("ready", flush=True)
step = start
while True:
    step += 1
    writer.metrics({"step": step, "loss": 1 / step, "words": "x" * (step % 700)})
    writer.status({"state": "running", "global_step": step, "max_steps": 10**6})
    writer.event("tick", step=step)
    writer.log(f"step {step}")
    if step % 5 == 0:
        writer.evaluation({"step": step, "kind": "fast", "metrics": {"exact": 0.5}})
        writer.policy({"step": step})
        writer.predictions(step, [{"id": "a", "step": step}])
"""


def make(folder: Path, **run_json: Any) -> RunWriter:
    return RunWriter.create(folder, "x = 1\n", {"experiment": "demo", **run_json})


def test_a_writer_killed_at_any_moment_leaves_whole_files_and_each_step_once(tmp_path: Path) -> None:
    folder = tmp_path / "demo-1"
    rng = random.Random(1)
    start = said = 0
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(folder), str(start)], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.0, 0.12))
            process.send_signal(signal.SIGKILL)
        view = read_run(folder)
        assert view.state == "lost"
        assert view.run_json["run_id"] == "demo-1"
        rows = metrics_rows(folder)
        steps = [row["step"] for row in rows]
        assert steps == list(range(1, len(steps) + 1))
        # Killed before its first status, it leaves that of the life before.
        assert abs((view.step or 0) - len(steps)) <= 1 or (view.step == said and len(steps) <= start + 1)
        said = view.step or 0
        assert all(row["loss"] == 1 / row["step"] for row in rows)
        validated = [row["step"] for row in evaluation_rows(folder)]
        checkpoint = max(validated, default=0)
        assert validated == list(range(5, checkpoint + 1, 5))
        assert len(steps) - checkpoint in range(6)
        assert read_policy(folder).get("step", 0) % 5 == 0
        for kept in predictions.steps_kept(folder):
            assert list(predictions.read_predictions(folder, kept)) == [{"id": "a", "step": kept}]
        # A checkpoint is written after the rows of its step, so there is none after the last validation here.
        start = rng.choice([checkpoint, checkpoint // 10 * 5])
    with RunWriter.open(folder):
        assert not [name for name in os.listdir(folder) if ".tmp-" in name]
    # Of the rows cut at every resume nothing is lost, and the log and the events were never cut.
    lost = sum(len(path.read_bytes().splitlines()) for path in folder.glob("metrics.lost-*.jsonl"))
    assert len([event for event in events(folder) if event["kind"] == "tick"]) >= len(metrics_rows(folder)) + lost - 8


def test_a_new_run_has_its_files_and_begins(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "demo-1"
    with make(folder, recipe={"seed": 1}) as run:
        assert read_run(folder).state == "starting"
        run.status({"state": "running", "global_step": 3, "max_steps": 10, "lr": float("nan")})
        status = read_status(folder)
    run_json = read_run(folder).run_json
    assert run_json["format"] == 1
    assert run_json["process"]["pid"] == os.getpid()
    assert run_json["recipe"] == {"seed": 1}
    assert run_json["created_utc"].endswith("Z")
    assert status["heartbeat"] == 2
    assert status["lr"] is None
    assert status["process"] == run_json["process"]
    assert (folder / "recipe.toml").read_text() == "x = 1\n"
    names = {"run.json", "recipe.toml", "status.json", "metrics.jsonl", "evaluations.jsonl", "events.jsonl", "log.txt"}
    assert names <= set(os.listdir(folder))


def test_rows_are_there_at_once_and_clocks_are_added(tmp_path: Path) -> None:
    with make(tmp_path / "a") as run:
        for step in (10, 20):
            run.metrics({"step": step, "loss": 0.5})
            assert metrics_rows(tmp_path / "a")[-1]["step"] == step
        assert set(metrics_rows(tmp_path / "a")[0]) - {"step", "loss"} <= CLOCK_COLUMNS
        run.event("best", step=20, value=0.25)
        run.log("first\nsecond\x1b[2J")
        with pytest.raises(AssertionError):
            run.metrics({"loss": 0.5})
    assert [(event["kind"], event["value"]) for event in events(tmp_path / "a")] == [("best", 0.25)]
    assert [line.split(" ", 2)[2] for line in log_tail(tmp_path / "a")] == ["first", "second\x1b[2J"]


def test_cut_keeps_rows_up_to_the_step_and_puts_the_others_aside(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with make(folder) as run:
        for step in range(10, 60, 10):
            run.metrics({"step": step})
            run.evaluation({"step": step, "kind": "fast"})
            run.evaluation({"step": step, "kind": "full"})
            run.predictions(step, [{"id": "x"}])
        before = (folder / "metrics.jsonl").read_bytes().splitlines()
        assert run.cut(30) == 6
        assert (folder / "metrics.jsonl").read_bytes().splitlines() == before[:3]
        assert (folder / "metrics.lost-1.jsonl").read_bytes().splitlines() == before[3:]
        assert [(row["step"], row["kind"]) for row in evaluation_rows(folder)][-2:] == [(30, "fast"), (30, "full")]
        assert predictions.steps_kept(folder) == [30]
        assert run.cut(30) == 0
        run.metrics({"step": 40})
        assert run.cut(0) == 4 + 6
        assert (folder / "metrics.lost-2.jsonl").exists()
        assert metrics_rows(folder) == []


def test_cut_leaves_no_step_twice_and_no_torn_or_damaged_row(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with make(folder) as run:
        for step in (1, 2, 2, 3):
            run.metrics({"step": step, "loss": step})
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step":4,"loss":4,"crc":1}\n{"step":5,"lo')
    with RunWriter.open(folder) as run:
        run.metrics({"step": 6})
        assert run.cut(6) == 3
        run.metrics({"step": 7})
    assert [row["step"] for row in metrics_rows(folder)] == [1, 2, 3, 6, 7]
    assert all(decode_row(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines())


def test_a_kill_between_the_two_halves_of_a_cut_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    with make(folder) as run:
        for step in range(1, 5):
            run.metrics({"step": step})
        real, calls = writer.write_bytes, []

        def second_fails(path: Path, data: bytes) -> None:
            calls.append(path.name)
            if len(calls) == 2:
                raise OSError(errno.EIO, "dead disk")
            real(path, data)

        monkeypatch.setattr(writer, "write_bytes", second_fails)
        with pytest.raises(OSError, match="dead disk"):
            run.cut(2)
        assert calls == ["metrics.lost-1.jsonl", "metrics.jsonl"]
        assert [row["step"] for row in metrics_rows(folder)] == [1, 2, 3, 4]
        monkeypatch.undo()
        run.metrics({"step": 5})
        assert run.cut(2) == 3


def test_a_full_disk_leaves_no_part_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    with make(folder) as run:
        run.metrics({"step": 1})
        real = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7]))
        with pytest.raises(OSError, match="No space left"):
            run.metrics({"step": 2})
        monkeypatch.undo()
        run.metrics({"step": 3})
    assert [row["step"] for row in metrics_rows(folder)] == [1, 3]
    assert len((folder / "metrics.jsonl").read_bytes().splitlines()) == 2


def test_open_takes_up_where_the_last_process_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with make(folder) as run:
        run.metrics({"step": 1, "loss": 1.0})
        run.status({"state": "running", "global_step": 7})
        run.result({"state": "stopped", "step": 7})
    assert read_run(folder).state == "stopped"
    old = control.request(folder, "stop")
    os.utime(old, (0, 0))
    new = control.request(folder, "pause")
    (folder / "checkpoints" / ".step-00000009.tmp-1-01234567").mkdir()
    with RunWriter.open(folder) as run:
        view = read_run(folder)
        assert view.state == "starting"
        assert view.result is None
        assert view.step == 7
        assert (folder / "result.earlier-1.json").exists()
        assert os.listdir(folder / "checkpoints") == []
        assert os.listdir(folder / "control") == [new.name]
        beats = read_status(folder)["heartbeat"]
        run.beat()
        assert read_status(folder)["heartbeat"] == beats + 1
        assert read_status(folder)["state"] == "starting"
        run.result({"state": "finished"})
    assert read_run(folder).state == "finished"
    assert without_clocks(metrics_rows(folder)[0]) == {"step": 1, "loss": 1.0}


def test_what_cannot_be_a_new_run_is_refused_and_untouched(tmp_path: Path) -> None:
    make(tmp_path / "a").close()
    before = sorted(os.listdir(tmp_path / "a"))
    with pytest.raises(UserError, match="exists already") as caught:
        make(tmp_path / "a")
    assert caught.value.exit_code == 2
    assert sorted(os.listdir(tmp_path / "a")) == before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("x")
    with pytest.raises(UserError, match=r"holds other files \(cat.jpg\)"):
        make(tmp_path / "photos")
    assert os.listdir(tmp_path / "photos") == ["cat.jpg"]
    with pytest.raises(UserError, match="not allowed"):
        make(tmp_path / "a b")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="not a folder"):
        make(tmp_path / "file" / "run")
    with pytest.raises(UserError, match="is no run"):
        RunWriter.open(tmp_path / "nothing")
    assert sorted(os.listdir(tmp_path)) == ["a", "file", "photos"]


def test_a_disk_that_fails_while_a_run_is_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object, seal: bool) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(writer, "write_json", full)
    with pytest.raises(UserError, match="no space is left") as caught:
        make(tmp_path / "a")
    assert caught.value.exit_code == 1
    assert os.listdir(tmp_path) == []
    monkeypatch.undo()
    make(tmp_path / "a").close()


def test_what_a_launcher_or_a_killed_beginning_left_does_not_stop_a_new_run(tmp_path: Path) -> None:
    layout = RunFolder(tmp_path / "a")
    layout.path.mkdir()
    for path in (layout.output, layout.launch_json, layout.lock, layout.recipe_toml):
        path.write_text("")
    (layout.path / ".run.json.tmp-1-01234567").write_text("{")
    make(layout.path).close()
    assert json.loads(layout.run_json.read_text())["run_id"] == "a"
    assert read_status(layout)["state"] == "starting"


def test_there_is_one_writer(tmp_path: Path) -> None:
    with make(tmp_path / "a"):
        code = (
            "import sys; from pathlib import Path; from hrm_core.errors import UserError\n"
            "from hrm_core.runs.writer import RunWriter\n"
            "try: RunWriter.open(Path(sys.argv[1]))\n"
            "except UserError as error: print(error.exit_code, error.message)\n"
        )
        argv = [sys.executable, "-c", code, str(tmp_path / "a")]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        assert said.startswith(f"1 run a is in use by process {os.getpid()}")
    RunWriter.open(tmp_path / "a").close()

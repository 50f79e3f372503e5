"""What the reader says of a run against what was written, also while it is written, and of files that nobody wrote."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrm_core.runs import reader
from hrm_core.runs.atomic import write_bytes, write_json
from hrm_core.runs.heartbeat import HeartbeatWatch
from hrm_core.runs.launch import identity
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.locks import RunLock, written_by
from hrm_core.runs.reader import (
    best_trivial,
    evaluation_rows,
    events,
    last_rows,
    log_tail,
    metrics_rows,
    output_tail,
    read_run,
    read_status,
)
from hrm_core.runs.records import encode_row, encode_status
from hrm_core.runs.writer import RunWriter

FILES = ("run.json", "status.json", "result.json", "metrics.jsonl", "evaluations.jsonl", "events.jsonl", "log.txt")


def leave(folder: Path, status: dict[str, Any] | None = None, **run_json: Any) -> Path:
    """A run folder as a process that is gone left it."""
    folder.mkdir(parents=True)
    write_json(folder / "run.json", {"experiment": "demo", "process": {**identity(), "pid": 2**22 + 1}, **run_json})
    if status is not None:
        write_bytes(folder / "status.json", encode_status(status))
    return folder


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_states_of_a_living_run(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with RunWriter.create(folder, "", {}) as run:
        assert read_run(folder).state == "starting"
        for state in ("running", "paused", "stopping"):
            run.status({"state": state, "global_step": 5})
            assert read_run(folder).state == state
        run.status({"state": "dancing"})
        view = read_run(folder)
        assert view.state == "running"
        assert view.pid == os.getpid()
        run.result({"state": "failed", "reason": "x"})
        assert read_run(folder).state == "failed"
    assert read_run(folder).pid is None


def test_a_run_that_left_no_result_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with RunWriter.create(folder, "", {}) as run:
        run.status({"state": "running", "global_step": 40})
    view = read_run(folder)
    assert view.state == "lost"
    assert [alarm["name"] for alarm in view.alarms] == ["lost"]
    assert "40" in view.alarms[0]["sentence"]
    assert "hrm resume a" in view.alarms[0]["advice"]


def test_a_held_lock_and_an_old_heartbeat_are_stalled(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with RunWriter.create(folder, "", {"recipe": {"alarms": {"stalled_s": 60}}}) as run:
        run.status({"state": "running"})
        age(folder / "status.json", 50)
        assert read_run(folder).state == "running"
        age(folder / "status.json", 70)
        view = read_run(folder)
        assert view.state == "stalled"
        assert view.is_live
        assert "limit 60 s" in view.alarms[0]["sentence"]
        run.status({"state": "running", "stalled_s": 90})
        age(folder / "status.json", 70)
        assert read_run(folder).state == "running"


def test_a_trainer_that_has_the_lock_and_has_said_nothing_yet_is_starting(tmp_path: Path) -> None:
    """A resume reads its checkpoint for a while: what the one before it said last is no word of its own."""
    dead = {**identity(), "start_ticks": 1}
    folder = leave(tmp_path / "a", status={"state": "running", "process": dead})
    age(folder / "status.json", 500)
    assert read_run(folder).state == "lost"
    with RunLock(folder):
        assert read_run(folder).state == "starting"
        age(folder / "lock", 500)
        assert read_run(folder).state == "stalled"
    (folder / "lock").write_bytes(b"\xff{")  # of an older version, or damaged: nothing is known of it
    assert written_by(folder) == {}
    assert read_run(folder).state == "lost"


def test_a_watch_trusts_the_counter_and_not_the_clock(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    watch = HeartbeatWatch()
    with RunWriter.create(folder, "", {}) as run:
        assert read_run(folder, watch).state == "starting"
        run.status({"state": "running"})
        age(folder / "status.json", 10_000)
        assert read_run(folder).state == "stalled"
        assert read_run(folder, watch).state == "running"
    assert HeartbeatWatch().age_s(folder, 1, file_age_s=500.0) >= 500.0


def test_a_run_is_starting_while_it_is_young_or_its_process_lives(tmp_path: Path) -> None:
    young = leave(tmp_path / "young")
    assert read_run(young).state == "starting"
    age(young / "run.json", 11)
    assert read_run(young).state == "lost"
    launched = leave(tmp_path / "launched", status={"state": "running"})
    age(launched / "status.json", 100)
    write_json(launched / "launch.json", {"process": identity()})
    assert read_run(launched).state == "starting"
    write_json(launched / "launch.json", {"process": {**identity(), "start_ticks": 1}})
    assert read_run(launched).state == "lost"
    write_json(launched / "result.json", {"state": "stopped"})
    age(launched / "result.json", 50)
    write_json(launched / "launch.json", {"process": identity()})
    assert read_run(launched).state == "starting"
    age(launched / "launch.json", 90)
    assert read_run(launched).state == "stopped"


def test_a_process_that_ended_before_its_first_step_has_failed_and_said_why(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    write_json(folder / "launch.json", {"process": {**identity(), "start_ticks": 1}})
    (folder / "output.txt").write_text("error: no such data\n")
    view = read_run(folder)
    assert view.state == "failed"
    assert "no such data" in view.alarms[0]["sentence"]
    assert output_tail(folder) == ["error: no such data"]


def test_a_run_of_another_host_is_judged_by_its_heartbeat(tmp_path: Path) -> None:
    elsewhere = {"pid": 1, "start_ticks": 1, "boot_id": "other", "host": "other"}
    folder = leave(tmp_path / "a", {"state": "running", "heartbeat": 3, "process": elsewhere})
    assert read_run(folder).state == "running"
    age(folder / "status.json", 200)
    assert read_run(folder).state == "stalled"


def test_a_view_holds_the_last_rows_and_the_best(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    best = {"metric": "exact", "value": 0.1, "step": 20}
    alarm = {"name": "input_blind", "sentence": "It does not look.", "advice": "Look."}
    with RunWriter.create(folder, "", {"experiment": "EXP-00"}) as run:
        for step in (10, 20, 30):
            run.metrics({"step": step, "loss": 1.0})
        trivial = {"exact": {"pad": 0.0, "copy": 0.02}}
        run.evaluation({"step": 20, "kind": "full", "metrics": {"exact": 0.1}, "trivial": trivial})
        run.evaluation({"step": 30, "kind": "fast"})
        run.status({"state": "running", "global_step": 31, "max_steps": 100, "best": best, "alarms": [alarm, 3, {}]})
        view = read_run(folder)
    assert (view.run_id, view.experiment, view.step, view.max_steps) == ("a", "EXP-00", 31, 100)
    assert view.metrics is not None
    assert view.metrics["step"] == 30
    assert view.evaluation is not None
    assert view.evaluation["kind"] == "full"
    assert view.latest_evaluation is not None
    assert view.latest_evaluation["kind"] == "fast"
    assert best_trivial(view.evaluation, "exact") == ("copy", 0.02)
    assert best_trivial(view.evaluation, "cell_accuracy") is None
    assert view.best == best
    assert list(view.alarms) == [alarm]


def test_a_status_with_a_flipped_bit_is_no_status(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with RunWriter.create(folder, "", {}) as run:
        run.status({"state": "paused", "global_step": 123456})
        path = folder / "status.json"
        data = path.read_bytes()
        rng = random.Random(1)
        for _ in range(300):
            flipped = bytearray(data)
            flipped[rng.randrange(len(data) - 1)] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            assert read_status(folder) == {}
        assert read_run(folder).state == "starting"


WRITE_STATUS = """
import sys
from pathlib import Path
from hrm_core.runs.writer import RunWriter
writer = RunWriter.create(Path(sys.argv[1]), "", {})
print("ready", flush=True)
for step in range(10**9):
    writer.status({"state": "running", "global_step": step, "words": "x" * (step % 3000)})
"""


def test_a_status_is_never_read_torn_while_it_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    process = subprocess.Popen([sys.executable, "-c", WRITE_STATUS, str(folder)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        steps, last = set(), -1
        for _ in range(5000):
            step = read_status(folder)["global_step"]
            assert step >= last
            last = step
            steps.add(step)
        assert read_run(folder).state == "running"
        assert read_run(folder).pid == process.pid
        process.kill()
    assert len(steps) > 10
    assert read_run(folder).state == "lost"


def read_everything(folder: Path) -> None:
    view = read_run(folder)
    assert view.state in reader.STATES
    assert isinstance(view.step, int | None)
    assert isinstance(view.max_steps, int | None)
    for row in metrics_rows(folder) + evaluation_rows(folder) + last_rows(folder / "metrics.jsonl"):
        assert isinstance(row["step"], int)
    assert all(isinstance(event["kind"], str) for event in events(folder))
    log_tail(folder, 5)


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["state", "global_step", "max_steps", "step", "kind", "process", "alarms", "best", "recipe", "stalled_s", "pid"]
) | st.sampled_from(["heartbeat", "metrics", "trivial", "experiment", "boot_id", "host", "start_ticks", "name"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(FILES), st.dictionaries(KEYS, hostile), min_size=1))
def test_objects_of_any_shape_are_read_without_an_error(tmp_path: Path, contents: dict[str, dict[str, Any]]) -> None:
    for name in FILES:
        (tmp_path / name).unlink(missing_ok=True)
    for name, content in contents.items():
        (tmp_path / name).write_bytes(encode_row(content) if name != "run.json" else json.dumps(content).encode())
    read_everything(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(FILES), st.binary(max_size=200), min_size=1))
def test_any_bytes_are_read_without_an_error(tmp_path: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    read_everything(tmp_path)


@pytest.mark.parametrize("what", ["folder", "fifo", "link to itself", "huge line", "no permission", "missing"])
def test_odd_files_count_as_missing_and_do_not_block(tmp_path: Path, what: str) -> None:
    for name in FILES:
        path = tmp_path / name
        if what == "folder":
            path.mkdir()
        elif what == "fifo":
            os.mkfifo(path)
        elif what == "link to itself":
            path.symlink_to(path)
        elif what == "huge line":
            path.write_bytes(b'{"step":1,' + b"x" * (20 * 2**20))
        elif what == "no permission":
            path.write_text("{}")
            path.chmod(0)
    read_everything(tmp_path)
    read_everything(tmp_path / "none")
    assert metrics_rows(tmp_path) == evaluation_rows(tmp_path) == events(tmp_path) == []
    assert read_run(tmp_path).step is None


def test_the_rows_of_a_long_run_are_all_read(tmp_path: Path) -> None:
    # More than one poll of a tail (16 MiB) takes.
    line = [encode_row({"step": step, "words": "x" * 9000}) for step in range(2000)]
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(line))
    assert [row["step"] for row in metrics_rows(tmp_path)] == list(range(2000))
    assert last_rows(tmp_path / "metrics.jsonl")[-1]["step"] == 1999


def test_a_run_folder_is_read_from_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RunWriter.create(tmp_path / "a", "", {}).close()
    monkeypatch.chdir(tmp_path / "a")
    assert RunFolder(Path(".")).run_id == "a"
    assert read_run(Path(".")).run_id == "a"

"""`hrm queue`: what each command prints and changes, its errors, and (slow) a real worker with real runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from queue_stand_in import Bench
from waiting import wait_for

from hrm_core.cli.main import cli
from hrm_core.cli.queue_commands import differs_in_child
from hrm_core.runs.queue_pins import code_now
from hrm_core.runs.queue_records import Queue
from hrm_core.runs.queue_status import log_path, read_worker
from hrm_core.runs.queue_store import change
from hrm_core.runs.reader import read_run
from hrm_core.runs.writer import RunWriter


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = Bench(tmp_path)
    yield made
    made.close()


def queue(bench: Bench, *words: str, ok: bool = True) -> Result:
    result = CliRunner().invoke(cli, ["queue", *words, "--runs", str(bench.runs)])
    assert (result.exit_code == 0) is ok, result.output
    return result


def test_a_queue_is_filled_ordered_and_emptied(bench: Bench) -> None:
    said = queue(bench, "list").output
    assert said.splitlines()[0].endswith(": empty") and "hrm queue add EXPERIMENT" in said
    said = queue(bench, "add", "EXP-00", "preset=cpu", "training.seed=2", "--name", "one").output
    assert said == "1 is in the queue, at place 1: EXP-00\n  no worker is at work; `hrm queue start` starts one\n"
    assert (
        "`hrm queue hold 2 --release`" in queue(bench, "add", "EXP-02", "preset=cpu", "--after", "one", "--hold").output
    )
    assert queue(bench, "move", "2", "up").output == "2 is at place 1 now\n"
    assert queue(bench, "hold", "2", "--release").output == "2 will run when its turn comes\n"
    assert queue(bench, "hold", "2", "one", "--why", "lunch").output == "2 is held\n1 is held\n"
    assert queue(bench, "after", "2", "none").output == "2 will run when its turn comes\n"
    assert queue(bench, "after", "2", "one").output == "2 will run after 1\n"
    assert queue(bench, "retry", "1").output == "1 will run when its turn comes\n"
    clone = json.loads(queue(bench, "clone", "1", "training.seed=3", "--json").output)
    assert (clone["id"], clone["overrides"], clone["place"]) == ("3", ["preset=cpu", "training.seed=3"], 3)
    rows = queue(bench, "list").output.splitlines()
    assert rows[0].endswith(": 2 waiting, 1 held")
    assert rows[1] == "Worker: none; `hrm queue start` starts what waits"
    assert rows[3].split() == ["place", "id", "state", "experiment", "after", "takes", "run", "overrides"]
    assert rows[4].split() == ["1", "2", "held", "EXP-02", "1", "-", "preset=cpu"]
    assert rows[5].split() == ["2", "1", "waiting", "EXP-00", "-", "one", "preset=cpu", "training.seed=2"]
    assert rows[8] == "2 held: lunch"
    queue(bench, "hold", "3", "1", "--why", "lunch")
    assert "\n2, 1, 3 held: lunch\n" in queue(bench, "list").output
    assert queue(bench, "remove", "1", "3").output == "2 removed, 1 left\n"
    assert "1, which it was to run after, was removed" in queue(bench, "list").output


def test_json_has_every_field_and_no_recipe_and_show_has_it(bench: Bench) -> None:
    queue(bench, "add", "EXP-00", "preset=cpu")
    change(bench.runs, lambda queue: queue.changed("1", reason="\x1b[2J"))
    listed = json.loads(queue(bench, "list", "--json").output)
    assert set(listed) == {"runs", "stopped", "worker", "code", "entries"}
    (row,) = listed["entries"]
    assert row["differs"] == [] and "recipe_toml" not in row["pins"] and row["place"] == 1
    assert listed["code"] == vars(code_now())
    shown = json.loads(queue(bench, "show", "1", "--json").output)
    assert shown["differs"] == [] and "training" in shown["recipe_toml"]
    assert "\x1b" not in queue(bench, "list").output + queue(bench, "show", "1").output
    assert queue(bench, "show", "1").output.splitlines()[-1] == "  differs    nothing"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "EXP-0"], "EXP-0 is no experiment"),
        (["add", "EXP-00", "--after", "9"], "no entry '9' in the queue, and there is no run '9'"),
        (["move", "4", "up"], "there is no entry '4' in the queue; the queue is empty"),
        (["remove"], "name the entries to remove, or say --ended"),
        (["retry"], "name the entries to try again, or say --all"),
        (["clone", "1", "a=b"], "the queue is empty"),
    ],
)
def test_errors_are_a_sentence(bench: Bench, words: list[str], said: str) -> None:
    result = queue(bench, *words, ok=False)
    assert result.stderr.startswith("error: ") and said in result.stderr
    assert len(result.stderr.splitlines()) <= 2 and result.exit_code == 2


def test_the_worker_in_the_list_at_work_stopping_dead_and_stopped_by_a_quick_death(bench: Bench) -> None:
    bench.put("wait")
    worker = bench.start(quick_s=60.0)
    wait_for(lambda: read_run(bench.runs / "r1").step == 1)
    wait_for(lambda: read_worker(bench.runs).words == "1 running: r1")
    said = rf"Worker: process {worker.pid} at work for [0-9]+s: 1 running: r1"
    assert re.search(said, queue(bench, "list").output)
    worker.kill()
    worker.wait()
    assert "Worker: gone (it went without a word; last it said: 1 running: r1)" in queue(bench, "list").output
    assert queue(bench, "stop").output == "no worker is at work\n"
    second = bench.start(quick_s=60.0)
    assert queue(bench, "stop").output == "the worker will start nothing more\n"
    assert second.wait(20) == 0
    assert queue(bench, "stop", "--run").output.endswith("r1 will stop at its next checkpoint\n")
    wait_for(lambda: bench.states() == {"1": "stopped"})
    bench.put("crash")
    assert bench.start(quick_s=60.0).wait(20) == 0
    said = queue(bench, "list").output
    assert "Stopped: 2 (EXP-00) failed after 0 s: nothing works\n  `hrm queue start` goes on" in said
    assert queue(bench, "remove", "--ended").output == "2 removed, 0 left\n"


def test_starting_with_nothing_to_run_says_so_and_leaves_nothing(bench: Bench) -> None:
    assert queue(bench, "start").output == "nothing is left to run\n"
    bench.put("finish", state="held", held_for="user")
    assert queue(bench, "start", "--foreground").output == ("began\nended: nothing can run: 1 entry is held\n")
    assert read_worker(bench.runs).words == "nothing can run: 1 entry is held"


def test_pins_are_looked_at_by_a_new_process(bench: Bench, tmp_path: Path) -> None:
    queue(bench, "add", "EXP-00", "preset=cpu")
    differs = differs_in_child(bench.runs)
    assert differs(bench.entry("1")) == []
    code = bench.entry("1").pins
    change(bench.runs, with_other_torch)
    assert differs(bench.entry("1")) == [f"torch was 1.0 and is {code.code.torch}"]
    broken = tmp_path / "broken.py"
    broken.write_text("import sys; sys.exit('SyntaxError: no')")
    assert differs_in_child(bench.runs, [sys.executable, str(broken)])(bench.entry("1")) == [
        "the code does not start now: SyntaxError: no"
    ]
    broken.write_text("print('a warning')")
    assert differs_in_child(bench.runs, [sys.executable, str(broken)])(bench.entry("1")) == [
        "its pins could not be looked at: the code says something else now"
    ]


def with_other_torch(queue: Queue) -> Queue:
    from dataclasses import replace

    pins = queue.entries[0].pins
    return queue.changed("1", pins=replace(pins, code=replace(pins.code, torch="1.0")))


def test_the_queue_loads_no_torch() -> None:
    code = "import hrm_core.runs.queue_worker, hrm_core.cli.queue_commands, sys"
    code += "; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_worker_runs_real_runs(
    bench: Bench, arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    words = [
        "EXP-00", "--data", str(arc1_file), "preset=cpu", "training.max_steps=20", "training.early_stop=false",
        "training.full_validation_every=20", "training.fast_validation_every=20", "data.validate_limit=16",
        "model.hidden=64", "model.heads=1", "evaluation.views=1",
    ]  # fmt: skip
    queue(bench, "add", *words, "--name", "a")
    queue(bench, "add", *words, "training.seed=2", "--after", "1")
    queue(bench, "add", *words, "training.lr=oops", ok=False)
    assert "is being worked on by process" in queue(bench, "start").output
    wait_for(lambda: not read_worker(bench.runs).alive, 300)
    listed = json.loads(queue(bench, "list", "--json").output)
    assert [row["state"] for row in listed["entries"]] == ["done", "done"], log_path(bench.runs).read_text()
    assert listed["worker"]["words"] == "nothing is left to run (2 done)"
    assert {read_run(bench.runs / row["run_id"]).state for row in listed["entries"]} == {"finished"}
    assert listed["entries"][1]["run_id"] == "a"
    with RunWriter.open(bench.runs / "a"):
        pass

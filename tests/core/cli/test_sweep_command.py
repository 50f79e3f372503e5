"""`hrm sweep`: the processes it starts, against a stand-in for the trainer that writes real run folders; its refusals;
and (slow) a real sweep of two experiments, compared.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from waiting import wait_for

from hrm_core.cli.main import cli
from hrm_core.cli.sweep_command import machine_overrides
from hrm_core.cli.sweep_jobs import AGAIN_S, Outcome, SweepJobs
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import read_run
from hrm_core.runs.sweeps import PlannedRun

# What it does is in the word `do=...`: finish, fail, wait (for a signal), be deaf to it, crash before there is a run.
STAND_IN = """
    import signal, sys, time
    from pathlib import Path
    from hrm_core.runs.writer import RunWriter

    words = sys.argv[1:]
    option = dict(zip(words, words[1:]))
    folder = Path(option["--runs"]) / (words[1] if words[0] == "resume" else option["--name"])
    do = next((word[3:] for word in words if word.startswith("do=")), "finish")
    if do == "crash":
        sys.exit("error: nothing works")
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    writer = RunWriter.open(folder) if words[0] == "resume" else RunWriter.create(folder, "", {"experiment": words[1]})
    with writer:
        writer.event("words", 0, words=words)
        writer.status({"state": "running", "global_step": 1})
        while do == "deaf" or do == "wait" and not stop:
            time.sleep(0.02)
        state = "stopped" if stop else "failed" if do == "fail" else "finished"
        writer.status({"state": state, "global_step": 1})
        writer.result({"state": state, "step": 1, "reason": "a signal" if stop else "as told"})
    sys.exit(1 if state == "failed" else 0)
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    script = tmp_path / "stand_in.py"
    script.write_text(textwrap.dedent(STAND_IN))
    return [sys.executable, str(script)]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def plan(*names: str) -> list[PlannedRun]:
    return [PlannedRun(name, "EXP-00", seed) for seed, name in enumerate(names, 1)]


def jobs_of(
    runs: Path, command: list[str], does: Callable[[str], str], jobs: int = 1
) -> tuple[SweepJobs, list[Outcome], list[str]]:
    ended: list[Outcome] = []
    told: list[str] = []

    def words_of(planned: PlannedRun) -> Sequence[str]:
        return [f"do={does(planned.name)}", f"training.seed={planned.seed}", "--data", "d.h5"]

    return SweepJobs(runs, jobs, words_of, told.append, ended.append, command), ended, told


def words_of_run(folder: Path) -> list[str]:
    from hrm_core.runs.reader import events

    return [str(word) for word in events(folder)[-1]["words"]]


def test_every_run_is_made_and_failures_do_not_end_the_sweep(runs: Path, command: list[str]) -> None:
    does = {"a": "finish", "b": "fail", "c": "crash", "d": "finish"}
    sweep, ended, _ = jobs_of(runs, command, lambda name: does[name], jobs=2)
    assert sweep.run(plan(*does)) is True
    found = {outcome.planned.name: (outcome.state, outcome.reason) for outcome in ended}
    assert found == {
        "a": ("finished", "as told"), "b": ("failed", "as told"), "c": ("failed", "error: nothing works"),
        "d": ("finished", "as told"),
    }  # fmt: skip
    words = words_of_run(runs / "d")
    assert words[:5] == ["run", "EXP-00", "do=finish", "training.seed=4", "--data"]
    assert words[-4:] == ["--name", "d", "--runs", str(runs)]


def test_broken_runs_are_resumed_and_crashed_ones_begun(runs: Path, command: list[str]) -> None:
    does = {"b": "fail", "c": "crash"}
    jobs_of(runs, command, lambda name: does[name])[0].run(plan(*does))
    sweep, ended, told = jobs_of(runs, command, lambda name: "finish")
    assert sweep.run(plan(*does)) is True
    assert [outcome.state for outcome in ended] == ["finished", "finished"]
    assert words_of_run(runs / "b") == ["resume", "b", "--runs", str(runs), "--data", "d.h5"]
    assert words_of_run(runs / "c")[0] == "run"
    assert told[0].startswith("b: resumed, process ")


def test_a_signal_stops_the_children_and_starts_no_more(runs: Path, command: list[str]) -> None:
    sweep, ended, told = jobs_of(runs, command, lambda _: "wait", jobs=2)

    def interrupt() -> None:
        wait_for(lambda: all(read_run(runs / name).step == 1 for name in "ab"))
        # Two at once are one request, as when a terminal goes.
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)

    thread = threading.Thread(target=interrupt)
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    assert sweep.run(plan("a", "b", "c")) is False
    thread.join()
    assert sorted((outcome.planned.name, outcome.state) for outcome in ended) == [("a", "stopped"), ("b", "stopped")]
    assert told[-1] == "stopping, with a checkpoint: a, b"
    assert not (runs / "c").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_request_ends_the_children_at_once(runs: Path, command: list[str]) -> None:
    sweep, ended, told = jobs_of(runs, command, lambda _: "deaf")

    def interrupt_twice() -> None:
        wait_for(lambda: read_run(runs / "a").step == 1)
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: told[-1].startswith("stopping"))
        time.sleep(AGAIN_S + 0.1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_twice)
    thread.start()
    assert sweep.run(plan("a")) is False
    thread.join()
    assert told[-1] == "ending at once: a"
    assert [(outcome.state, outcome.reason) for outcome in ended] == [("lost", "killed by signal 9")]


def test_a_run_that_another_process_is_at_is_waited_for(runs: Path, command: list[str]) -> None:
    words = ["run", "EXP-00", "do=wait", "--name", "a", "--runs", str(runs)]
    other = subprocess.Popen([*command, *words])
    wait_for(lambda: read_run(runs / "a").step == 1)
    sweep, ended, told = jobs_of(runs, command, lambda _: "finish")

    def let_go() -> None:
        wait_for(lambda: bool(told))
        other.terminate()
        other.wait()

    thread = threading.Thread(target=let_go)
    thread.start()
    assert sweep.run(plan("a")) is True
    thread.join()
    assert told == ["a is being run already: waiting for it"]
    assert [outcome.state for outcome in ended] == ["stopped"]


def run_sweep(*words: str) -> Result:
    return CliRunner().invoke(cli, ["sweep", *words])


def test_what_cannot_be_is_refused_before_anything_is_written(runs: Path) -> None:
    where = ["--runs", str(runs), "--seeds", "1"]
    for words, part in (
        (("EXP-00", "EXP-0x"), "EXP-0x is no experiment"),
        (("EXP-00", "training.bach=2"), "did you mean training.batch"),
        (("EXP-00", "training.seed=2"), "set by the sweep itself"),
        (("EXP-00", "training.early_stop=true"), "off in a sweep"),
        (("preset=cpu",), "name an experiment"),
        (("EXP-00", "--name", "a/b"), "is not allowed"),
        (("EXP-00", "--data", str(runs / "none.h5")), "there is no such file"),
    ):
        said = run_sweep(*words, *where)
        assert said.exit_code in (1, 2) and part in said.output, said.output
        assert len(said.output.splitlines()) <= 2
    assert list(runs.iterdir()) == []


def test_several_at_once_share_the_cores() -> None:
    recipe = build_recipe("demo", ["training.device=cpu"]).recipe
    cores = len(os.sched_getaffinity(0))
    assert machine_overrides(recipe, (), 2) == [f"training.threads={max(1, cores // 2)}"]
    assert machine_overrides(recipe, (), 64) == [f"training.threads={max(1, cores // 64)}"]
    assert machine_overrides(recipe, ("training.threads=3",), 2) == []
    assert machine_overrides(recipe, (), 1) == []


def test_several_at_once_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    recipe = build_recipe("demo").recipe
    assert machine_overrides(recipe, (), 3) == ["training.share_device=true"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_real_sweep_is_made_skipped_and_compared(runs: Path, arc1_file: Path, tmp_path: Path) -> None:
    words = [
        "EXP-00", "EXP-00p", "--seeds", "1", "--jobs", "2", "--name", "real", "--runs", str(runs), "--data",
        str(arc1_file), "preset=demo", "training.max_steps=4", "training.log_every=1", "training.device=cpu",
        "data.validate_limit=16", "model.hidden=64", "model.heads=1", "evaluation.views=1",
    ]  # fmt: skip
    made = run_sweep(*words)
    assert made.exit_code == 0, made.output
    assert "2 of 2: real-EXP-00" in made.output and "(trivial " in made.output
    for experiment in ("EXP-00", "EXP-00p"):
        view = read_run(RunFolder(runs / f"real-{experiment}-s1"))
        assert view.state == "finished" and view.run_json["recipe"]["training"]["early_stop"] is False
    again = run_sweep(*words)
    assert again.exit_code == 0 and "2 finished already" in again.output and "started" not in again.output
    pages = tmp_path / "pages"
    told = CliRunner().invoke(
        cli, ["compare", "--sweep", "real", "--runs", str(runs), "--json", "--report", str(pages)]
    )
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    assert document["missing"] == []
    assert document["arms"][0]["verdict"]["text"].startswith("cannot tell (one seed)")
    assert document["arms"][0]["tests"]["neither"] + len(document["arms"][0]["tests"]["both"]) > 0
    assert "made-up" not in (pages / "EXP-00p.md").read_text()
    assert (pages / "EXP-00p-loss.svg").read_text().count("<polyline") == 2

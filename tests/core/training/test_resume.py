"""A run killed with -9 and resumed against the same run left alone: same weights, same state, same rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import evaluation_rows, events, metrics_rows, read_run
from hrm_core.runs.records import without_clocks
from hrm_core.runs.snapshots import latest_good
from hrm_core.torture.bench import SMALL_RUN
from hrm_core.training.checkpoint import load_snapshot

# Whole processes that import torch and train: minutes on a machine that others use too.
pytestmark = pytest.mark.timeout(600)


def command(arc1_file: Path, runs: Path, *words: str) -> list[str]:
    place = ["--runs", str(runs), "--data", str(arc1_file)]
    return [sys.executable, "-m", "hrm_core.cli.main", *words, *place]


def train(arc1_file: Path, runs: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(arc1_file, runs, *words), capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def straight(arc1_file: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """40 steps without a stop."""
    runs = tmp_path_factory.mktemp("straight")
    done = train(arc1_file, runs, "run", "demo", *SMALL_RUN, "--name", "one")
    assert done.returncode == 0, done.stderr + done.stdout
    return RunFolder(runs / "one")


def assert_same_run(one: RunFolder, other: RunFolder, steps: list[int]) -> None:
    for name in ("weights.safetensors", "evaluation.safetensors", "state.safetensors"):
        assert (one.checkpoint(40) / name).read_bytes() == (other.checkpoint(40) / name).read_bytes(), name
    rows, others = ([without_clocks(row) for row in metrics_rows(folder)] for folder in (one, other))
    assert [row["step"] for row in rows] == steps
    for row, same in zip(rows, others, strict=True):
        assert {**row, "crc": 0} == {**same, "crc": 0}
    scores, again = ([without_clocks(row) for row in evaluation_rows(folder)] for folder in (one, other))
    assert [(row["step"], row["kind"]) for row in scores] == [(row["step"], row["kind"]) for row in again]
    for row, same in zip(scores, again, strict=True):
        assert {**row, "crc": 0} == {**same, "crc": 0}


def test_killed_and_resumed_equals_left_alone(straight: RunFolder, arc1_file: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "two")
    child = subprocess.Popen(
        command(arc1_file, tmp_path, "run", "demo", *SMALL_RUN, "--name", "two"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while latest_good(folder.checkpoints) is None or not any(row["step"] >= 15 for row in metrics_rows(folder)):
        assert child.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert read_run(folder).state == "lost"
    done = train(arc1_file, tmp_path, "resume", "two")
    assert done.returncode == 0, done.stderr + done.stdout
    assert_same_run(straight, folder, list(range(5, 41, 5)))
    assert [event["kind"] for event in events(folder)].count("resumed") == 1
    assert read_run(folder).state == "finished"


def test_a_finished_run_holds_all_that_it_should(straight: RunFolder) -> None:
    view = read_run(straight)
    assert view.state == "finished"
    assert view.best is not None
    assert view.step == 40
    archived = list(straight.archive.iterdir())
    assert archived
    names = {path.name for path in archived[0].iterdir()}
    assert {"recipe.toml", "weights.safetensors", "evaluation.safetensors", "evaluation.json", "log.txt"} <= names
    assert {"status.json", "predictions.jsonl.gz", "tasks.json", "meta.json"} <= names
    described = json.loads(straight.run_json.read_text())
    assert described["versions"]["torch"]
    assert described["data_digest"]
    assert described["sources"]["training.max_steps"] == "override"
    best = load_snapshot(archived[0])
    assert best.recipe.experiment == "demo"
    assert len(best.task_ids) == 60
    assert best.weights == "ema"
    row = evaluation_rows(straight)[-1]
    assert row["kind"] == "full"
    for name in ("exact", "cell_accuracy", "padded_accuracy"):
        assert set(row["trivial"][name]) == {"pad", "black", "frequent", "copy"}


def test_longer_run_restarts_before_the_decay(straight: RunFolder, arc1_file: Path) -> None:
    """The decay begins at step 24 of 40: made longer, the run goes on from there, not from its end."""
    runs, name = str(straight.path.parent), straight.run_id
    refused = train(arc1_file, straight.path.parent, "resume", name)
    assert refused.returncode == 2
    assert "is finished (step 40)" in refused.stderr
    shorter = train(arc1_file, straight.path.parent, "resume", name, "training.max_steps=30")
    assert shorter.returncode == 2
    assert "training.max_steps=30: the run is at step 40" in shorter.stderr
    other = train(arc1_file, straight.path.parent, "resume", name, "optimizer.lr=1")
    assert other.returncode == 2
    copy = straight.path.parent / "longer"
    subprocess.run(["cp", "-r", str(straight.path), str(copy)], check=True)
    done = train(arc1_file, Path(runs), "resume", "longer", "training.max_steps=50")
    assert done.returncode == 0, done.stderr + done.stdout
    folder = RunFolder(copy)
    assert [event["step"] for event in events(folder) if event["kind"] == "resumed"] == [24]
    assert [row["step"] for row in metrics_rows(folder)] == list(range(5, 51, 5))
    assert list(copy.glob("result.earlier-*.json"))
    assert read_run(folder).state == "finished"


def test_a_stopped_run_keeps_its_step_and_goes_on(arc1_file: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "three")
    child = subprocess.Popen(
        command(arc1_file, tmp_path, "run", "demo", *SMALL_RUN, "--name", "three"), stdout=subprocess.PIPE, text=True
    )
    while not metrics_rows(folder):
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    output, _ = child.communicate(timeout=100)
    assert child.returncode == 0
    assert "stopped at step" in output
    view = read_run(folder)
    assert view.state == "stopped"
    good = latest_good(folder.checkpoints)
    assert good is not None
    assert good.name == f"step-{view.step:08d}"
    done = train(arc1_file, tmp_path, "resume", "three")
    assert done.returncode == 0
    assert [row["step"] for row in metrics_rows(folder)] == list(range(5, 41, 5))


def test_damaged_weights_are_named_not_loaded(straight: RunFolder, tmp_path: Path) -> None:
    copy = tmp_path / "best"
    subprocess.run(["cp", "-r", str(next(straight.archive.iterdir())), str(copy)], check=True)
    file = copy / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"weights\.safetensors"):
        load_snapshot(copy)

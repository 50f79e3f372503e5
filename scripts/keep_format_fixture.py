"""Makes the kept runs of tests/fixtures/format-N: begun by the code of this checkout, killed in the middle.

Usage: python scripts/keep_format_fixture.py FOLDER
Writes FOLDER/plain.tar.xz and FOLDER/replay.tar.xz (a run folder with one checkpoint, killed after it, and its data
file) and FOLDER/expected.json: what the same code made of them when it went on to the end. Tasks are made up here. Run
it once for each format, at a commit of that format; tests/core/training/test_older_formats.py resumes what it made
with the code of its day.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import evaluation_rows, metrics_rows, read_run
from hrm_core.runs.snapshots import verify_folder
from hrm_core.training.session import commit, versions

STEPS, KEPT = 30, 10
RECIPE = (
    f"training.max_steps={STEPS}",
    "training.deterministic=true",
    "training.threads=1",
    "training.dtype=fp32",
    "training.device=cpu",
    "training.batch=4",
    "training.log_every=2",
    f"training.checkpoint_every={KEPT}",
    "training.keep_checkpoints=1",
    f"training.fast_validation_every={KEPT}",
    f"training.full_validation_every={KEPT}",
    "schedule.warmup=3",
    "model.hidden=32",
    "model.heads=1",
    "model.share_levels=true",
    "model.h_layers=1",
    "model.l_layers=1",
    "halting.max_segments=3",
    "evaluation.views=2",
    "evaluation.segment_grids=2",
)
RUNS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "replay": (
        "training.batch=8",
        "techniques.replay=on",
        "techniques.replay.window=20",
        "techniques.replay.task_share=0.5",
        "averaging.kind=none",
    ),
}
Grid = list[list[int]]
RULES: tuple[Callable[[Grid], Grid], ...] = (
    lambda grid: [row[::-1] for row in grid],
    lambda grid: grid[::-1],
    lambda grid: [list(row) for row in zip(*grid, strict=True)],
    lambda grid: [[(cell + 1) % 10 for cell in row] for row in grid],
    lambda grid: [row[1:] + row[:1] for row in grid],
    lambda grid: [[0 if cell == grid[0][0] else cell for cell in row] for row in grid],
)


def make_tasks(folder: Path) -> None:
    """Six tasks of small grids, a rule each."""
    folder.mkdir(parents=True)
    draw = random.Random(7)
    for number, rule in enumerate(RULES):
        grids = [[[draw.randrange(4) for _ in range(4)] for _ in range(3 + at % 3)] for at in range(5)]
        pairs = [{"input": grid, "output": rule(grid)} for grid in grids]
        (folder / f"kept{number}.json").write_text(json.dumps({"train": pairs[:4], "test": pairs[4:]}), "ascii")


def hrm(*words: str) -> list[str]:
    """argv of a command of this checkout."""
    return [sys.executable, "-m", "hrm_core.cli.main", *words]


def train_and_kill(runs: Path, name: str, overrides: tuple[str, ...], data: Path) -> RunFolder:
    """A run that was killed as soon as its checkpoint at KEPT was whole."""
    folder = RunFolder(runs / name)
    argv = hrm("run", "demo", *RECIPE, *overrides, "--name", name, "--runs", str(runs), "--data", str(data))
    child = subprocess.Popen(argv)
    while verify_folder(folder.checkpoint(KEPT)):
        if child.poll() is not None:
            raise SystemExit("it ended before it could be killed; run this again")
        time.sleep(0.002)
    child.kill()
    child.wait()
    assert read_run(folder).state == "lost" and [path.name for path in folder.checkpoints.iterdir()] == [
        "step-00000010"
    ]
    return folder


def summary(folder: RunFolder) -> dict[str, Any]:
    """What a finished run is compared by: of each tensor its norm and some values, of each row and validation a few."""
    tensors = load_file(folder.checkpoint(STEPS) / "weights.safetensors")
    weights = {
        name: {
            "norm": float(torch.linalg.vector_norm(tensor.double())),
            "values": tensor.flatten()[:: max(1, tensor.numel() // 8)].tolist(),
        }
        for name, tensor in sorted(tensors.items())
    }
    rows = [{key: row[key] for key in ("step", "loss", "lr", "grad_norm", "samples")} for row in metrics_rows(folder)]
    scores = [
        {"step": row["step"], "kind": row["kind"], "loss": row["loss"], "pairs": row["pairs"]}
        for row in evaluation_rows(folder)
    ]
    return {"weights": weights, "metrics": rows, "evaluations": scores}


def pack(path: Path, runs: Path, name: str, data: Path) -> None:
    """The run folder and its data file as one archive that names nobody."""

    def nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return None if entry.name == f"{name}/lock" else entry

    with tarfile.open(path, "w:xz", preset=9) as archive:
        archive.add(runs / name, name, filter=nobody)
        archive.add(data, "data.h5", filter=nobody)
        archive.add(data.with_name(data.name + ".sha256"), "data.h5.sha256", filter=nobody)


def main() -> int:
    """Makes them."""
    parser = argparse.ArgumentParser(description="Makes the kept runs of a format.")
    parser.add_argument("folder", type=Path)
    place: Path = parser.parse_args().folder
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        make_tasks(work / "tasks")
        data = work / "data.h5"
        subprocess.run(hrm("data", "build", "--source", str(work / "tasks"), "--out", str(data)), check=True)
        expected: dict[str, Any] = {"commit": commit(), "versions": versions(), "runs": {}}
        for run, overrides in RUNS.items():
            folder = train_and_kill(work / "runs", run, overrides, data)
            pack(place / f"{run}.tar.xz", work / "runs", run, data)
            subprocess.run(hrm("resume", run, "--runs", str(work / "runs"), "--data", str(data)), check=True)
            expected["runs"][run] = summary(folder)
        shutil.rmtree(work / "tasks")
    (place / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())

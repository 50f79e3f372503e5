"""`hrm bench deploy`: what one answer costs in each runtime, by the clock and in memory.

Benchmarks room: a snapshot -> a `Cost` for each runtime. The exported files are written and compared here; each is
then opened and timed in a child process of its own (`deploy_child.py`), one after another.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch

from hrm_core.benchmarks.machine import Machine, this_machine
from hrm_core.errors import UserError
from hrm_core.interchange.export_model import check_possible, export_model, facts_of
from hrm_core.interchange.run_exported import Format
from hrm_core.runs.text import clean
from hrm_core.training.checkpoint import EVALUATION, RAW, Snapshot

CHILD_LIMIT_S: Final = 1800.0
CALLS: Final = 30
NAMES: Final = {
    "eager": "PyTorch, eager",
    "torch-export": "torch.export",
    "onnx": "ONNX Runtime",
    "aoti": "AOTInductor",
}
RUNTIMES: Final[dict[str, tuple[Format, ...]]] = {
    "cpu": ("torch-export", "onnx", "aoti"),
    "cuda": ("torch-export", "aoti"),
}


@final
@dataclass(frozen=True)
class Cost:
    """One runtime: seconds of a call, to open and to export it, bytes of file and process; or what failed."""

    runtime: str
    problem: str | None = None
    median_s: float | None = None
    p90_s: float | None = None
    open_s: float | None = None
    export_s: float | None = None
    error: float | None = None
    file_bytes: int | None = None
    peak_bytes: int | None = None
    device_bytes: int | None = None


@final
@dataclass(frozen=True)
class Deployed:
    """All runtimes for one snapshot and one shape, and what it was measured on."""

    machine: Machine
    runtimes: dict[str, str]
    shape: dict[str, Any]
    calls: int
    costs: tuple[Cost, ...]


def measure_deploy(
    snapshot: Snapshot,
    folder: Path,
    side: int | None,
    segments: int | None,
    halting: bool,
    which: str,
    say: Callable[[str], None],
    calls: int = CALLS,
) -> Deployed:
    """Exports into `folder` and times every runtime on the snapshot's device. `which`: evaluation or raw weights."""
    device = snapshot.model.device
    shape = facts_of(snapshot, "torch-export", side, segments, 1, halting)
    asked = {
        "device": device.type,
        "threads": torch.get_num_threads(),
        "weights": which,
        "calls": calls,
        **{name: getattr(shape, name) for name in ("side", "segments", "halting", "batch")},
    }
    say("timing the model in PyTorch")
    weights = snapshot.path / (EVALUATION if which == "evaluation" else RAW)
    costs = [_timed("eager", {**asked, "path": str(snapshot.path), "to": "eager"}, weights.stat().st_size)]
    for to in RUNTIMES[device.type]:
        say(f"exporting and timing {to}")
        facts = facts_of(snapshot, to, side, segments, 1, halting)
        try:
            check_possible(to, device.type)
            made = export_model(snapshot, facts, folder)
        except UserError as error:
            costs.append(Cost(to, problem=error.message.splitlines()[0]))
            continue
        cost = _timed(to, {**asked, "path": str(made.path), "to": to}, made.bytes)
        costs.append(Cost(**{**asdict(cost), "export_s": made.seconds, "error": made.error}))
    described = {
        "hidden": snapshot.recipe.model.hidden,
        "layers": [snapshot.recipe.model.h_layers, snapshot.recipe.model.l_layers],
        "cycles": [snapshot.recipe.model.h_cycles, snapshot.recipe.model.l_cycles],
        "parameters": sum(parameter.numel() for parameter in snapshot.model.parameters()),
        **{name: value for name, value in asdict(shape).items() if name not in ("to", "weights", "device")},
    }
    return Deployed(this_machine(device), _versions(), described, calls, tuple(costs))


def _timed(runtime: str, asked: dict[str, Any], file_bytes: int) -> Cost:
    command = [sys.executable, "-m", "hrm_core.benchmarks.deploy_child", json.dumps(asked)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CHILD_LIMIT_S)
    except subprocess.TimeoutExpired:
        return Cost(runtime, problem=f"its child took longer than {CHILD_LIMIT_S:.0f} s", file_bytes=file_bytes)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"its child ended with {done.returncode}"]
        return Cost(runtime, problem=clean(lines[-1])[:200], file_bytes=file_bytes)
    found = json.loads(done.stdout.splitlines()[-1])
    return Cost(
        runtime,
        median_s=float(np.median(found["seconds"])),
        p90_s=float(np.quantile(found["seconds"], 0.9)),
        open_s=found["open_s"],
        file_bytes=file_bytes,
        peak_bytes=found["peak_bytes"],
        device_bytes=found.get("device_bytes"),
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found

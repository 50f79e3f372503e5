"""What an answer costs a small device (the plan's Jetson rule): seconds at batch 1, parameters, bytes.

Evaluation room: model and data -> numbers of this machine. Each canvas is timed alone on a few fixed tests, all
segments, after a warm-up; the mean weighs canvases by their tests. Rows of identity are counted apart: only those of
the tasks at hand need to be on the device.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hrm_core.data.lanes import LanePairs
from hrm_core.evaluation.predict import Runner
from hrm_core.evaluation.targets import as_published
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import Predictor

TIMED = 8
WARM_UP = 2


def measure_latency(model: HRM, lanes: Mapping[int, LanePairs], timed: int = TIMED) -> dict[str, Any]:
    """Seconds a puzzle by canvas (median and slowest of `timed` calls) and over all; parameters and bytes."""
    device = model.device
    runner = Runner(Predictor(model), device, 1, lambda rows: None)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    canvases: dict[str, dict[str, float | int]] = {}
    for side, pairs in sorted(lanes.items()):
        seconds = [_seconds(runner, pairs, number % pairs.num_pairs) for number in range(WARM_UP + timed)][WARM_UP:]
        canvases[str(side)] = {
            "tests": pairs.num_pairs,
            "median_s": float(np.median(seconds)),
            "slowest_s": max(seconds),
        }
    tests = sum(int(one["tests"]) for one in canvases.values())
    trunk = sum(parameter.numel() for parameter in model.parameters())
    rows = model.rows.table[:-1]
    width = torch.empty(0, dtype=model.dtype).element_size()
    return {
        "canvases": canvases,
        "mean_s": sum(float(one["median_s"]) * int(one["tests"]) for one in canvases.values()) / max(tests, 1),
        "segments": model.recipe.halting.max_segments,
        "device": device.type,
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "dtype": str(model.dtype).removeprefix("torch."),
        "parameters": trunk,
        "parameter_bytes": trunk * width,
        "identity_rows": len(rows),
        "identity_bytes": rows.numel() * width,
        "peak_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    }


def _seconds(runner: Runner, pairs: LanePairs, row: int) -> float:
    one = pairs.select(torch.tensor([row]))
    view = as_published(one)
    if runner.device.type == "cuda":
        torch.cuda.synchronize(runner.device)
    started = time.perf_counter()
    runner.run(one, view)  # reads the answer back, so the device is done
    return time.perf_counter() - started

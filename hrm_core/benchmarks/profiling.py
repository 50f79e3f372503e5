"""Where the captured step's time goes: the kernels of a few replays by their share.

Benchmarks room: a shape -> milliseconds of a step, and a row for each kernel name with its time and calls. Times are
those that the driver notes of each kernel (torch.profiler), so that they are the same with and without graphs; the
step itself is timed without the profiler. How fast the step is against others: `steps.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from hrm_core.benchmarks.steps import OURS_OVERRIDES, arc1, shape_recipe
from hrm_core.training.graphs import capture_step
from hrm_core.training.setup import build_parts, choose_device

STEPS = 3
# Rows of the page; the file has them all.
TOP = 12
# Of torch's general kernels the template says what they compute.
GENERAL = re.compile(r"elementwise|reduce_kernel|CatArray|index")
TELLING = re.compile(r"(\w*(?:Functor|Ops|_kernel_cuda|_kernel_impl|copy_kernel\w*)\w*)")


def short_name(raw: str) -> str:
    """A kernel's name without return type, namespaces, template and arguments."""
    plain = raw.removeprefix("void ").replace("(anonymous namespace)::", "")
    head = re.split(r"[<(]", plain, maxsplit=1)[0].rsplit("::", 1)[-1].strip() or plain
    telling = [name for name in TELLING.findall(plain[len(head) :]) if name != head]
    name = f"{head} {telling[-1]}" if telling and GENERAL.search(head) else head
    return name[:80]


def kernel_rows(times: Iterable[tuple[str, float, int]], steps: int) -> list[dict[str, Any]]:
    """(name, microseconds, calls) of `steps` steps -> a row for each short name, most time first, with its share."""
    sums: dict[str, list[float]] = {}
    for raw, microseconds, calls in times:
        entry = sums.setdefault(short_name(raw), [0.0, 0.0])
        entry[0] += microseconds
        entry[1] += calls
    whole = sum(microseconds for microseconds, _ in sums.values())
    ordered = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    return [
        {"kernel": name, "ms": spent / steps / 1e3, "calls": calls / steps, "share": spent / whole if whole else 0.0}
        for name, (spent, calls) in ordered
    ]


def device_times(profiled: profile) -> list[tuple[str, float, int]]:
    """(name, microseconds, calls) of what ran on the device."""
    return [
        (event.key, event.self_device_time_total, event.count)
        for event in profiled.key_averages()
        if event.device_type.name == "CUDA" and event.self_device_time_total > 0
    ]


def profile_step(name: str, lines: tuple[str, ...]) -> dict[str, Any]:
    """The captured step with kernels, at a shape that has a target."""
    recipe = shape_recipe(lines, *OURS_OVERRIDES)
    parts = build_parts(recipe, arc1(recipe), choose_device(recipe.training))
    parts.scalars.lr.fill_(recipe.optimizer.lr)
    parts.scalars.schedule.fill_(1.0)
    graphs = capture_step(parts)
    for _ in range(3):
        graphs()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(STEPS):
        graphs()
    torch.cuda.synchronize()
    step_ms = 1e3 * (time.perf_counter() - begin) / STEPS
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(STEPS):
            graphs()
        torch.cuda.synchronize()
    rows = kernel_rows(device_times(profiled), STEPS)
    busy = sum(row["ms"] for row in rows)
    return {
        "shape": name,
        "step_ms": step_ms,
        "busy_ms": busy,
        "calls": sum(row["calls"] for row in rows),
        "graphs": len(graphs.replays),
        "kernels": rows,
    }

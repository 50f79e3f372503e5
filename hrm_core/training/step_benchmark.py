"""Speed of the training step, measured: segments, puzzles and tokens a second, FLOP/s and peak memory.

Training room: a recipe, a data set and a number of threads -> one row of figures with the device, versions, date and
commit. The step is the whole one, admission to averaging, with no validation and nothing written. Medians over steps,
with the 20th and 80th percentile: machines are shared.
"""

from __future__ import annotations

import resource
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, final

import torch

from hrm_core.data.dataset import Dataset
from hrm_core.recipe.digest import recipe_hash
from hrm_core.recipe.estimate import flops_per_segment
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.training.graphs import make_step
from hrm_core.training.session import commit, versions
from hrm_core.training.setup import build_parts, choose_device, cpu_name
from hrm_core.training.step import Sum

# Shapes that are compared over time and with other code. The first is HRM's own padded form at hidden 256.
SHAPES: dict[str, tuple[str, ...]] = {
    "hrm256-901-boot-b8": (
        "data.canvases=[30]",
        "model.heads=8",
        "model.positions=rope1d",
        "model.rope_theta=10000.0",
        "halting.kind=q_learning",
        "training.batch=8",
        "training.accumulation=1",
        "averaging.kind=none",
    ),
    "arc": ("training.batch=40", "training.accumulation=1"),
}


@final
@dataclass(frozen=True)
class StepSpeed:
    """Medians of a step; `low` and `high` are the 20th and 80th percentile of segments/s."""

    shape: str
    segments_per_s: float
    low: float
    high: float
    puzzles_per_s: float
    tokens_per_s: float
    gflop_per_s: float
    step_ms: float
    slots: int
    mean_tokens: float
    peak_memory_gib: float
    steps: int
    threads: int
    dtype: str
    device: str
    versions: dict[str, str | None]
    commit: str | None
    date: str
    recipe_hash: str


def shape_recipe(name: str, overrides: tuple[str, ...] = ()) -> Recipe:
    """The recipe of a named shape (EXP-00 with the shape's lines), or of an experiment."""
    if name in SHAPES:
        return build_recipe("EXP-00", [*SHAPES[name], *overrides]).recipe
    return build_recipe(name, overrides).recipe


def _peak_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 2**30


def measure_step(
    name: str, recipe: Recipe, dataset: Dataset, threads: int | None = None, seconds: float = 30.0
) -> StepSpeed:
    """Runs steps for about `seconds` (at least five after two warm-up steps) and takes their medians."""
    chosen = choose_device(recipe.training)
    used = threads or chosen.threads
    torch.set_num_threads(used)
    parts = build_parts(recipe, dataset, chosen)
    parts.scalars.lr.fill_(recipe.optimizer.lr)
    parts.scalars.schedule.fill_(1.0)
    notes: list[str] = []
    step = make_step(parts, notes.append)
    for _ in range(2):
        step()
    parts.sums.zero_()
    if chosen.device.type == "cuda":
        # What is still in flight would count in the first step.
        torch.cuda.synchronize()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < seconds:
        started = time.perf_counter()
        step()
        if chosen.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    median = statistics.median(times)
    spread = statistics.quantiles(times, n=5) if len(times) > 1 else [median] * 4
    prefix = recipe.identity.prefix_tokens
    tokens = sum(lane.num_slots * (lane.side**2 + prefix) for lane in parts.lanes)
    flops = sum(lane.num_slots * flops_per_segment(recipe, lane.side**2 + prefix) for lane in parts.lanes)
    halted_share = parts.sums[Sum.HALTED].item() / parts.sums[Sum.SAMPLES].item()
    return StepSpeed(
        shape=name,
        segments_per_s=parts.num_slots / median,
        low=parts.num_slots / spread[3],
        high=parts.num_slots / spread[0],
        puzzles_per_s=parts.num_slots * halted_share / median,
        tokens_per_s=tokens / median,
        gflop_per_s=flops / median / 1e9,
        step_ms=1e3 * median,
        slots=parts.num_slots,
        mean_tokens=tokens / parts.num_slots,
        peak_memory_gib=_peak_gib(chosen.device),
        steps=len(times),
        threads=used,
        dtype=str(chosen.dtype).removeprefix("torch."),
        device=torch.cuda.get_device_name() if chosen.device.type == "cuda" else cpu_name(),
        versions=versions(),
        commit=commit(),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        recipe_hash=recipe_hash(recipe),
    )


def table_row(speed: StepSpeed) -> list[str]:
    """The row of a benchmark page."""
    return [
        speed.shape,
        f"{speed.segments_per_s:.2f} ({speed.low:.2f} to {speed.high:.2f})",
        f"{speed.puzzles_per_s:.2f}",
        f"{speed.tokens_per_s:.0f}",
        f"{speed.gflop_per_s:.0f}",
        f"{speed.peak_memory_gib:.2f}",
        f"{speed.slots} x {speed.mean_tokens:.0f}",
        f"{speed.dtype}, {speed.threads} threads",
    ]


COLUMNS = [
    "shape",
    "segments/s (20 to 80 %)",
    "puzzles/s",
    "tokens/s",
    "GFLOP/s",
    "peak GiB",
    "slots x mean tokens",
    "computed in",
]


def to_json(speed: StepSpeed) -> dict[str, Any]:
    """Plain values."""
    return dict(vars(speed))

"""What checkpoints cost the step loop: blocks of steps with a save that begins in them against blocks without.

Benchmarks room: a recipe, a data set and a folder on the disk that is meant -> medians. Blocks alternate, and a block
is long enough for the save to land within it, so that steps made slower by the thread that writes are counted too. The
share is the cost over the time of the steps between two checkpoints of the recipe's plan.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from hrm_core.data.dataset import Dataset
from hrm_core.recipe.schema import Recipe
from hrm_core.training.checkpoint import Taken, take_snapshot, write_snapshot
from hrm_core.training.graphs import make_step
from hrm_core.training.plan import make_plan
from hrm_core.training.progress import Progress
from hrm_core.training.saving import Save
from hrm_core.training.setup import build_parts, choose_device, cpu_name
from hrm_core.training.step import StepParts
from hrm_core.training.tensor_files import HostCopies

FEWEST_STEPS = 10


@final
@dataclass(frozen=True)
class SavingCost:
    """Medians. taken_s: the loop stands still for the copies; landed_s: until the checkpoint is whole on the disk;
    alone_s: a save that the loop waits for; cost_s: how much longer a block of steps takes with a save in it, where
    blocks without one differ by `spread_s` between their quartiles, so that less is chance."""

    step_s: float
    block_steps: int
    taken_s: float
    landed_s: float
    alone_s: float
    cost_s: float
    spread_s: float
    size_bytes: int
    every_steps: int
    repeats: int
    device: str

    def share(self, seconds: float) -> float:
        """Of the time of the steps between two checkpoints."""
        return seconds / (self.every_steps * self.step_s)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _timed(work: Callable[[], None], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def take(parts: StepParts, recipe: Recipe, copies: HostCopies) -> Taken:
    """A checkpoint as the trainer takes it."""
    meta, progress = {"kind": "checkpoint", "step": 0}, Progress(make_plan(recipe)).to_json()
    return take_snapshot(parts, ("task",), meta, progress, copies=copies)


def measure_saving(recipe: Recipe, dataset: Dataset, folder: Path, repeats: int = 5) -> SavingCost:
    """Trains `repeats` blocks of each kind, with checkpoints in `folder`, which are left there."""
    chosen = choose_device(recipe.training)
    torch.set_num_threads(chosen.threads)
    parts = build_parts(recipe, dataset, chosen)
    parts.scalars.lr.fill_(recipe.optimizer.lr)
    parts.scalars.schedule.fill_(1.0)
    step = make_step(parts, lambda line: None)
    copies = HostCopies(reuse=True)

    def steps(number: int) -> None:
        for _ in range(number):
            step()

    def save_alone() -> None:
        write_snapshot(folder / "step-00000000", take(parts, recipe, copies))

    steps(2)
    _wait(chosen.device)
    step_s = statistics.median(_timed(step, chosen.device) for _ in range(FEWEST_STEPS))
    save_alone()  # pinned memory, caches of the disk
    alone_s = statistics.median(_timed(save_alone, chosen.device) for _ in range(3))
    number = max(FEWEST_STEPS, round(2 * alone_s / step_s))
    plain: list[float] = []
    busy: list[float] = []
    taken_s: list[float] = []
    landed_s: list[float] = []
    size = 0
    for _ in range(repeats):
        plain.append(_timed(lambda: steps(number), chosen.device))
        started = time.perf_counter()
        taken = take(parts, recipe, copies)
        taken_s.append(time.perf_counter() - started)
        size = taken.size
        save = Save(1, folder / "step-00000001", taken, 2, ())
        save.start()
        steps(number)
        _wait(chosen.device)
        busy.append(time.perf_counter() - started)
        save.thread.join()
        if save.error is not None:
            raise save.error
        assert save.landed_at is not None, "a save without an error has landed"
        landed_s.append(save.landed_at - started)
    spread = statistics.quantiles(plain, n=4) if len(plain) > 1 else [plain[0]] * 3
    return SavingCost(
        step_s=statistics.median(plain) / number,
        block_steps=number,
        taken_s=statistics.median(taken_s),
        landed_s=statistics.median(landed_s),
        alone_s=alone_s,
        cost_s=statistics.median(busy) - statistics.median(plain),
        spread_s=spread[2] - spread[0],
        size_bytes=size,
        every_steps=make_plan(recipe).checkpoint_every,
        repeats=repeats,
        device=torch.cuda.get_device_name() if chosen.device.type == "cuda" else cpu_name(),
    )

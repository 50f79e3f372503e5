"""What checkpoints cost the step loop: short blocks of steps with a save that begins in them against blocks without.

Benchmarks room: a recipe, a data set and a folder on the disk that is meant -> medians with intervals. Blocks come in
fours, A B B A and B A A B in turn, so that a machine that grows slower weighs on both; a block is just long enough for
the save to land within it, so that steps made slower by the thread that writes are counted too. Cost is B less A, once
by the clock and once in CPU time of the loop's own thread, which other processes hardly touch. The share is the cost
over the time of the steps between two checkpoints of the recipe's plan. The same differences between blocks that are
all without a save say how much is chance.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from hrm_core.benchmarks.machine import Machine, this_machine
from hrm_core.data.dataset import Dataset
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.writer import RunWriter
from hrm_core.training.checkpoint import Taken, take_snapshot, write_snapshot
from hrm_core.training.graphs import make_step
from hrm_core.training.plan import make_plan
from hrm_core.training.progress import Progress
from hrm_core.training.saving import Save
from hrm_core.training.setup import build_parts, choose_device
from hrm_core.training.step import StepParts
from hrm_core.training.tensor_files import HostCopies

FEWEST_STEPS = 2  # of a block
FEWEST_FOURS = 3
RESAMPLES = 2000
BAR = 0.01  # of the loop's time


@final
@dataclass(frozen=True)
class Estimate:
    """A median in seconds, and the middle 95 % of the medians of resampled differences."""

    median: float
    low: float
    high: float


@final
@dataclass(frozen=True)
class SavingCost:
    """taken_s: the loop stands still for the copies; landed_s: until the checkpoint is whole on the disk; alone_s: a
    save that the loop waits for; wall, cpu: what a save costs the loop, in seconds of the clock and of its own thread;
    chance: the same by the clock between blocks that are all without one; fours: how many fours of blocks."""

    step_s: float
    step_cpu_s: float
    block_steps: int
    taken_s: float
    landed_s: float
    alone_s: float
    wall: Estimate
    cpu: Estimate
    chance: Estimate
    size_bytes: int
    every_steps: int
    fours: int
    machine: Machine

    def share(self, seconds: float) -> float:
        """Of the time of the steps between two checkpoints."""
        return seconds / (self.every_steps * self.step_s)

    def cpu_share(self, seconds: float) -> float:
        """The same, both in CPU time of the loop's thread."""
        return seconds / (self.every_steps * self.step_cpu_s)

    @property
    def verdict(self) -> str:
        """Whether saving keeps to the bar, by the clock; "cannot be told" where the interval holds the bar."""
        low, high = self.share(self.wall.low), self.share(self.wall.high)
        if high < BAR:
            return f"less than {100 * BAR:g} %"
        return f"more than {100 * BAR:g} %" if low > BAR else f"cannot be told here: the interval holds {100 * BAR:g} %"


@final
@dataclass(frozen=True)
class Block:
    """A block of steps: seconds by the clock and of the loop's thread."""

    wall: float
    cpu: float


def estimate(differences: Sequence[float], seed: int = 0) -> Estimate:
    """Median, and a bootstrap interval of 95 % around it."""
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    tail = RESAMPLES // 40
    return Estimate(statistics.median(differences), medians[tail], medians[-1 - tail])


def take(parts: StepParts, recipe: Recipe, copies: HostCopies, step: int = 0) -> Taken:
    """A checkpoint as the trainer takes it."""
    meta, progress = {"kind": "checkpoint", "step": step}, Progress(make_plan(recipe)).to_json()
    return take_snapshot(parts, ("task",), meta, progress, copies=copies)


@final
class Loop:
    """The step loop that is timed, with a run folder of its own in `folder`, and saves as the trainer makes them."""

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path) -> None:
        chosen = choose_device(recipe.training)
        torch.set_num_threads(chosen.threads)
        self.recipe = recipe
        self.device = chosen.device
        self.parts = build_parts(recipe, dataset, chosen)
        self.parts.scalars.lr.fill_(recipe.optimizer.lr)
        self.parts.scalars.schedule.fill_(1.0)
        self.step = make_step(self.parts, lambda line: None)
        self.writer = RunWriter.create(folder / "run", to_toml(recipe), {})
        self.copies = HostCopies(reuse=True)
        self.saves = 0
        self.taken_s: list[float] = []
        self.landed_s: list[float] = []
        self.size = 0

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object]) -> Block:
        """What `work` takes."""
        wall, cpu = time.perf_counter(), time.thread_time()
        work()
        self.wait()
        return Block(time.perf_counter() - wall, time.thread_time() - cpu)

    def steps(self, number: int) -> None:
        """So many steps."""
        for _ in range(number):
            self.step()

    def save_alone(self) -> None:
        """A save that the loop waits for."""
        write_snapshot(self.writer.layout.checkpoint(0), take(self.parts, self.recipe, self.copies))

    def block(self, number: int, saving: bool) -> Block:
        """So many steps, timed, with a save that begins before the first; afterwards, untimed, until it has landed."""
        self.writer.metrics({"step": self.saves})
        if not saving:
            return self.seconds(lambda: self.steps(number))
        saves: list[Save] = []
        started = time.perf_counter()

        def work() -> None:
            saves.append(self._begin())
            self.taken_s.append(time.perf_counter() - started)
            self.steps(number)

        found, save = self.seconds(work), saves[0]
        save.thread.join()
        if save.error is not None:
            raise save.error
        assert save.landed_at is not None, "a save without an error has landed"
        self.landed_s.append(save.landed_at - started)
        return found

    def _begin(self) -> Save:
        self.saves += 1
        self.writer.sync()
        taken = take(self.parts, self.recipe, self.copies, self.saves)
        self.size = taken.size
        save = Save(self.saves, self.writer.layout.checkpoint(self.saves), taken, 2, ())
        save.start()
        return save


def measure_saving(
    recipe: Recipe, dataset: Dataset, folder: Path, seconds: float = 240.0, say: Callable[[str], None] | None = None
) -> SavingCost:
    """Trains fours of blocks for so many seconds, three fours at least; its run folder in `folder` is left there."""
    loop = Loop(recipe, dataset, folder)
    with loop.writer:
        loop.steps(2)
        loop.wait()
        loop.save_alone()  # pinned memory, caches of the disk
        alone_s = statistics.median(loop.seconds(loop.save_alone).wall for _ in range(3))
        step_s = statistics.median(loop.seconds(loop.step).wall for _ in range(5))
        number = max(FEWEST_STEPS, math.ceil(2 * alone_s / step_s))
        loop.block(number, saving=True)
        loop.taken_s.clear()
        loop.landed_s.clear()
        fours: list[tuple[Block, Block, Block, Block]] = []
        end = time.monotonic() + seconds
        while len(fours) < FEWEST_FOURS or time.monotonic() < end:
            outer = len(fours) % 2 == 1
            kinds = (outer, not outer, not outer, outer)
            blocks = [loop.block(number, saving) for saving in kinds]
            plain, busy = blocks[1:3] if outer else blocks[::3], blocks[::3] if outer else blocks[1:3]
            fours.append((plain[0], plain[1], busy[0], busy[1]))
            if say is not None and len(fours) % 10 == 0:
                say(f"{len(fours)} fours of blocks, {max(end - time.monotonic(), 0):.0f} s to go")
    quiet = [block for four in fours for block in four[:2]]
    return SavingCost(
        step_s=statistics.median(block.wall for block in quiet) / number,
        step_cpu_s=statistics.median(block.cpu for block in quiet) / number,
        block_steps=number,
        taken_s=statistics.median(loop.taken_s),
        landed_s=statistics.median(loop.landed_s),
        alone_s=alone_s,
        wall=estimate([(c.wall + d.wall - a.wall - b.wall) / 2 for a, b, c, d in fours]),
        cpu=estimate([(c.cpu + d.cpu - a.cpu - b.cpu) / 2 for a, b, c, d in fours]),
        chance=estimate(_of_nothing(quiet)),
        size_bytes=loop.size,
        every_steps=make_plan(recipe).checkpoint_every,
        fours=len(fours),
        machine=this_machine(loop.device),
    )


def _of_nothing(quiet: Sequence[Block]) -> list[float]:
    """The same differences of fours of blocks without a save, each called A or B in turn."""
    found = []
    for place in range(0, len(quiet) - 3, 4):
        a, c, d, b = quiet[place : place + 4]
        found.append((c.wall + d.wall - a.wall - b.wall) / 2)
    return found

"""How much faster several ranks train one run: whole runs of the same recipe by one, two, ... N ranks, in turn.

Benchmarks room: recipe words and numbers of ranks -> `Scale`. Each round has one run of each number, the order turning
from round to round, so that a machine that gets slower is not held against the last; a speed is the median over rounds
of the median row (samples per second, rows after the first third). Efficiency: speed over ranks times the speed of one.
The slots S are the recipe's, so this is strong scaling. `exchange_bytes` is counted, not measured: what each rank sends
for one step in a ring (Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms"). The page: `scale_page.py`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import final

import torch

from hrm_core.benchmarks.machine import Machine, this_machine
from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.memory import trunk_numbers
from hrm_core.runs.launch import HRM_COMMAND
from hrm_core.runs.reader import metrics_rows
from hrm_core.runs.text import clean
from hrm_core.training.setup import choose_device

FP32 = 4
# Nothing but steps; the last one has a fast validation, which no row counts.
QUIET = (
    "training.log_every=5",
    "training.early_stop=false",
    "training.fast_validation_every=1000000",
    "training.full_validation_every=1000000",
    "training.checkpoint_every=1000000",
)


@final
@dataclass(frozen=True)
class Ranks:
    """Speeds of one number of ranks: samples (slot-segments) per second, one for each round."""

    ranks: int
    speeds: tuple[float, ...]

    @property
    def speed(self) -> float:
        """Their median."""
        return median(self.speeds)


@final
@dataclass(frozen=True)
class Scale:
    """What was found. slots: S; trunk: parameters whose gradient is summed."""

    words: str
    slots: int
    trunk: int
    found: tuple[Ranks, ...]
    machine: Machine

    def speedup(self, ranks: Ranks) -> float:
        """Median over rounds of the speed over that of one rank in the same round."""
        return median(speed / one for speed, one in zip(ranks.speeds, self.found[0].speeds, strict=True))

    def efficiency(self, ranks: Ranks) -> float:
        """The speed-up over the number of ranks: 1 is perfect."""
        return self.speedup(ranks) / ranks.ranks


def exchange_bytes(trunk: int, slots: int, hidden: int, ranks: int) -> float:
    """Bytes that a rank sends for a step: the trunk's gradient summed in a ring, and its slots' rows to all others.

    trunk: parameters; slots: S; hidden: width of an identity row. fp32, row numbers int64.
    """
    ring = 2 * (ranks - 1) / ranks * trunk * FP32
    rows = (ranks - 1) * slots / ranks * (hidden * FP32 + 8)
    return ring + rows


def speed_of(rows: Sequence[float]) -> float:
    """Median of the rows' speeds, without the first third (compilation, caches). UserError where none is left."""
    kept = rows[len(rows) // 3 :]
    if not kept:
        raise UserError("the runs were too short for a row of metrics; give more --steps.", 2)
    return median(kept)


def measure_scale(
    words: Sequence[str],
    ranks: Sequence[int],
    steps: int,
    rounds: int,
    data: Path,
    folder: Path,
    say: Callable[[str], None],
) -> Scale:
    """Trains runs of `words` in `folder`. UserError (1) where one does not end well. `ranks` begin with 1."""
    overrides = (*words[1:], *QUIET, f"training.max_steps={steps}")
    recipe = build_recipe(words[0], list(overrides)).recipe
    speeds: dict[int, list[float]] = {count: [] for count in ranks}
    for turn in range(rounds):
        order = ranks if turn % 2 == 0 else tuple(reversed(ranks))
        for count in order:
            name = f"round-{turn}-ranks-{count}"
            speeds[count].append(_run(words[0], overrides, count, name, data, folder))
            say(f"round {turn + 1} of {rounds}, {count} ranks: {speeds[count][-1]:.0f} segments/s")
    chosen = choose_device(recipe.training)
    torch.set_num_threads(chosen.threads)
    return Scale(
        " ".join(words),
        recipe.training.batch * recipe.training.accumulation,
        trunk_numbers(recipe)[0],
        tuple(Ranks(count, tuple(speeds[count])) for count in ranks),
        this_machine(chosen.device),
    )


def _run(experiment: str, overrides: Sequence[str], ranks: int, name: str, data: Path, folder: Path) -> float:
    argv = [*HRM_COMMAND, "run", experiment, *overrides, "--name", name, "--runs", str(folder), "--data", str(data)]
    done = subprocess.run(
        [*argv, "--gpus", str(ranks)], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"a run by {ranks} ranks ended with {done.returncode}: {clean(said[0])[:200]}", 1)
    return speed_of([row["samples_per_sec"] for row in metrics_rows(folder / name)])

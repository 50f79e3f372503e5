"""Training with kernels against training with references: the same recipe, seed and data, step by step.

Benchmarks room: a device -> losses of each run and what their comparison says. Two runs with kernels must end in the
same bits. Kernels and references round differently in bf16, so that their losses agree within a tolerance, as means
over windows of steps; where the data flow is the same the first steps agree closely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch

from hrm_core.data.dataset import Dataset, load_dataset
from hrm_core.data.prepare import ensure_built
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.training.graphs import make_step
from hrm_core.training.setup import Device, build_parts, choose_device
from hrm_core.training.step import Sum

STEPS = 200
WINDOW = 20
# Largest relative difference of a window's mean loss.
TOLERANCE = 0.03
OVERRIDES = ("training.batch=32", "training.accumulation=1")

Say = Callable[[str], None]


@final
@dataclass(frozen=True)
class Training:
    """Mean token loss at each step, and a digest of the weights at the end."""

    losses: list[float]
    digest: str


@final
@dataclass(frozen=True)
class Comparison:
    """Outcome; `largest`: of the windows' relative differences."""

    passed: bool
    words: str
    largest: float
    repeatable: bool
    kernels: list[float]
    references: list[float]


def digest_of(tensor: torch.Tensor) -> str:
    """sha256 of a tensor's bytes."""
    raw = tensor.detach().reshape(-1).cpu().view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(raw).hexdigest()


def train(recipe: Recipe, dataset: Dataset, chosen: Device, steps: int) -> Training:
    """So many steps from the recipe's seed. The loss is read after each: this is no measure of speed."""
    parts = build_parts(recipe, dataset, chosen)
    parts.scalars.lr.fill_(recipe.optimizer.lr)
    parts.scalars.schedule.fill_(1.0)
    notes: list[str] = []
    step = make_step(parts, notes.append)
    losses = []
    for _ in range(steps):
        parts.sums.zero_()
        step()
        sums = parts.sums.tolist()
        losses.append(sums[Sum.TOKEN_LOSS] / sums[Sum.SAMPLES])
    return Training(losses, digest_of(parts.flat.values))


def window_differences(first: list[float], second: list[float], window: int = WINDOW) -> list[float]:
    """Relative differences of the means over each window of steps; NaN where a loss is not finite."""
    differences = []
    for begin in range(0, len(first), window):
        one, other = (sum(losses[begin : begin + window]) for losses in (first, second))
        differences.append(abs(one - other) / max(abs(other), 1e-12))
    return differences


def compare(kernels: Training, again: Training, references: Training) -> Comparison:
    """By windows and by bits."""
    differences = window_differences(kernels.losses, references.losses)
    # max() may lose a NaN, a comparison does not.
    close = all(difference <= TOLERANCE for difference in differences)
    largest = max(differences)
    repeatable = kernels.digest == again.digest and kernels.losses == again.losses
    words = (
        f"{len(kernels.losses)} steps: losses differ by {100 * largest:.2f} % at most over {WINDOW} steps "
        f"(allowed {100 * TOLERANCE:.0f} %); two runs with kernels {'equal' if repeatable else 'differ'} bit for bit"
    )
    return Comparison(close and repeatable, words, largest, repeatable, kernels.losses, references.losses)


def compare_trainings(device: torch.device, say: Say, steps: int = STEPS) -> Comparison:
    """Three runs on ARC-AGI-1: kernels, kernels again, references."""
    runs = []
    for number, mode in enumerate(("force", "force", "off"), 1):
        recipe = build_recipe("EXP-00", [*OVERRIDES, f"kernels.mode={mode}"]).recipe
        dataset = load_dataset(ensure_built(recipe.data.source), recipe.data)
        chosen = choose_device(recipe.training)
        assert chosen.device.type == device.type
        runs.append(train(recipe, dataset, chosen, steps))
        say(f"run {number} of 3, kernels.mode={mode}: loss {runs[-1].losses[0]:.4f} to {runs[-1].losses[-1]:.4f}")
    return compare(*runs)

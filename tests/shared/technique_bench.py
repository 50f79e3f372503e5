"""A tiny run of real tasks without a trainer: parts from a recipe, and steps with what the trainer does around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from hrm_core.data.dataset import load_dataset
from hrm_core.recipe.lay import build_recipe
from hrm_core.techniques.points import Event
from hrm_core.training.setup import Device, build_parts
from hrm_core.training.step import StepParts, train_step

STEPS = 20
# The sixty tasks that fit 7x7 and a model of 64 numbers: a step takes some ten milliseconds.
SMALL = (
    "preset=demo",
    f"training.max_steps={STEPS}",
    "training.batch=6",
    "training.dtype=fp32",
    "training.device=cpu",
    "training.threads=1",
    "schedule.warmup=2",
    "model.hidden=64",
    "model.heads=2",
    "model.h_layers=2",
    "model.l_layers=1",
    "halting.max_segments=4",
)


def tiny_parts(arc1_file: Path, overrides: Sequence[str] = (), experiment: str = "EXP-00") -> StepParts:
    """The parts of a small recipe with its techniques, their timeline set."""
    recipe = build_recipe(experiment, [*SMALL, *overrides]).recipe
    cpu = Device(torch.device("cpu"), torch.float32, 1, ())
    parts = build_parts(recipe, load_dataset(arc1_file, recipe.data, input=recipe.input), cpu)
    assert isinstance(recipe.training.max_steps, int)
    parts.techniques.timeline.set(recipe.training.max_steps, 0.01)
    return parts


def run_steps(parts: StepParts, count: int, start: int = 0) -> list[Event]:
    """`count` steps from number `start`, with the host's points before and after each; returns their events."""
    events: list[Event] = []
    for step in range(start, start + count):
        events += parts.techniques.before_step(step)
        factor = parts.techniques.factor(step, 1.0)
        parts.scalars.lr.fill_(parts.recipe.optimizer.lr * factor)
        parts.scalars.schedule.fill_(factor)
        train_step(parts)
        events += parts.techniques.after_step(step + 1)
    return events

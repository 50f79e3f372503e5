"""A trainer over a tiny run of the demonstration's tasks, whose steps take some ten milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrm_core.data.dataset import load_dataset
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.reader import events
from hrm_core.runs.writer import RunWriter
from hrm_core.training.plan import make_plan
from hrm_core.training.policy import Policy
from hrm_core.training.progress import Progress
from hrm_core.training.setup import build_parts, choose_device
from hrm_core.training.trainer import Trainer

TINY_MODEL = (
    "training.batch=4",
    "training.dtype=fp32",
    "training.log_every=1",
    "model.hidden=32",
    "model.heads=1",
    "model.h_layers=1",
    "model.l_layers=1",
    "halting.max_segments=2",
    "evaluation.views=1",
    "evaluation.segment_grids=0",
)


# No validation but the last, a constant rate, one thread.
QUIET = (
    "training.fast_validation_every=100",
    "training.full_validation_every=100",
    "training.threads=1",
    "schedule.warmup=2",
    "schedule.kind=constant",
)


def events_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The events of one kind."""
    return [event for event in events(folder) if event["kind"] == kind]


def make_trainer(arc1_file: Path, folder: Path, overrides: Sequence[str]) -> Trainer:
    """A trainer of `demo` with these overrides, its run folder written by the real writer."""
    recipe = build_recipe("demo", (*TINY_MODEL, *overrides)).recipe
    dataset = load_dataset(arc1_file, recipe.data)
    parts = build_parts(recipe, dataset, choose_device(recipe.training))
    writer = RunWriter.create(folder, to_toml(recipe), {"experiment": "demo"})
    return Trainer(writer, parts, dataset, Progress(make_plan(recipe)), Policy(), writer.log)

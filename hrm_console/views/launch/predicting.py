"""How long a run will take and what energy, before it starts: from speeds that were measured, with their source.

(recipe, earlier runs of the folder, this machine) -> `Prediction`. An earlier run of the same shape gives its mean
speed; one of another shape, or a figure of docs/benchmarks, is scaled by FLOPs a step, within a factor of `MOST_APART`:
beyond it another part of the machine is the limit, and nothing is said. Pure; imported after the first frame, as
recipes.py is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, final

from pydantic import ValidationError

from hrm_console.rows.listing import RunLine
from hrm_console.views.launch.machine import Machine, is_here
from hrm_console.words import duration, finite, rate
from hrm_core.recipe.estimate import flops_per_segment, mean_tokens
from hrm_core.recipe.keys import flatten
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.spans import parse_time

Kind = Literal["cpu", "cuda"]
MOST_APART = 8.0
MIN_STEPS = 20
# What a segment's time depends on; seed, length, learning rate and the like do not change it.
SHAPING = (
    *("data.subset", "data.canvases", "data.train_canvas", "input.", "identity.", "model.", "halting.kind"),
    *("halting.bootstrap", "optimizer.kind", "techniques.", "training.batch", "training.accumulation"),
    *("training.dtype", "training.threads", "training.deterministic", "training.graph", "kernels."),
)


@final
@dataclass(frozen=True)
class Shape:
    """What a step computes: equal shapes have equal speeds. `flops` are of one step."""

    values: tuple[tuple[str, Any], ...]
    slots: int
    flops: float


@final
@dataclass(frozen=True)
class Measured:
    """A speed in segments/s of a shape, and where it comes from. `power_w` is the GPU's, None where none was read."""

    source: str
    kind: Kind
    shape: Shape
    speed: float
    power_w: float | None = None
    here: bool = False
    shared: bool = False
    guess: bool = False


@final
@dataclass(frozen=True)
class Prediction:
    """Seconds of training and joules; None: unknown. `notes` say where each number comes from."""

    seconds: float | None
    joules: float | None
    notes: tuple[str, ...]


def shape_of(recipe: Recipe) -> Shape:
    """What decides the time of a step."""
    values = tuple((key, value) for key, value in flatten(recipe).items() if key.startswith(SHAPING))
    slots = recipe.training.batch * recipe.training.accumulation
    tokens = mean_tokens(recipe) + recipe.identity.prefix_tokens
    return Shape(values, slots, slots * flops_per_segment(recipe, tokens))


@lru_cache(maxsize=1024)
def _shape_of_json(text: str) -> Shape | None:
    try:
        return shape_of(Recipe.model_validate(json.loads(text)))
    except (ValidationError, ValueError):
        return None


def measured_of(line: RunLine, machine: Machine) -> Measured | None:
    """The mean speed of an earlier run so far, None where it has none or was written by another version."""
    elapsed, steps = finite(line.status.get("elapsed_s")), line.step
    recipe = line.run_json.get("recipe")
    kind = line.run_json.get("device_kind")
    if not elapsed or steps is None or steps < MIN_STEPS or not isinstance(recipe, dict) or kind not in ("cpu", "cuda"):
        return None
    shape = _shape_of_json(json.dumps(recipe, sort_keys=True))
    if shape is None:
        return None
    here = is_here(line.run_json, machine)
    place = "this machine" if here else str(line.run_json.get("device") or "another machine")
    training = recipe.get("training")
    return Measured(
        source=f"run {line.run_id} on {place}",
        kind=kind,
        shape=shape,
        speed=steps * shape.slots / elapsed,
        power_w=finite(line.status.get("power_w")),
        here=here,
        shared=isinstance(training, dict) and training.get("share_device") is True,
    )


def measured_runs(lines: Iterable[RunLine], machine: Machine) -> tuple[Measured, ...]:
    """The speeds of the folder's runs, in its order."""
    return tuple(found for found in (measured_of(line, machine) for line in lines) if found is not None)


@cache
def figures() -> tuple[Measured, ...]:
    """Speeds of docs/benchmarks: the H200's page, the demo's page (median of five seeds), the CPU step's page."""
    rows: tuple[tuple[str, Kind, str, tuple[str, ...], float], ...] = (
        ("an H200 (docs/benchmarks/gpu-nvidia-h200.md)", "cuda", "EXP-00", ("preset=laptop",), 6270.0),
        ("one x86-64 core (docs/benchmarks/demo.md)", "cpu", "demo", ("training.threads=1",), 1300 * 32 / 361),
        (
            "two EPYC cores (docs/benchmarks/step-cpu.md)",
            "cpu",
            "EXP-00",
            ("halting.kind=q_learning", "model.heads=8", "training.batch=40", "training.accumulation=1"),
            6.73,
        ),
    )
    return tuple(
        Measured(source, kind, shape_of(build_recipe(name, overrides).recipe), speed, guess=True)
        for source, kind, name, overrides, speed in rows
    )


def device_of(recipe: Recipe, machine: Machine) -> Kind:
    """Where the run will compute."""
    wanted = recipe.training.device
    return "cuda" if wanted == "cuda" or (wanted == "auto" and machine.has_gpu) else "cpu"


def choose(shape: Shape, kind: Kind, measured: Sequence[Measured]) -> tuple[Measured, float] | None:
    """The best witness for a shape, and the speed that it gives in segments/s; None where none is near enough.

    Before others: runs of this machine, the same shape, those that had the device to themselves, the nearest in FLOPs.
    """
    fitting = []
    for number, witness in enumerate((*measured, *figures())):
        apart = abs(math.log(witness.shape.flops / shape.flops))
        if witness.kind == kind and apart <= math.log(MOST_APART):
            same = witness.shape.values == shape.values
            order = (witness.guess, not witness.here, not same, witness.shared, round(apart, 3), number)
            fitting.append((order, witness, same))
    if not fitting:
        return None
    _, witness, same = min(fitting, key=lambda found: found[0])
    scale = 1.0 if same else (witness.shape.flops / witness.shape.slots) / (shape.flops / shape.slots)
    return witness, witness.speed * scale


def _said(witness: Measured, speed: float, same: bool) -> str:
    shared = ", which shared the device" if witness.shared else ""
    if same and not witness.guess:
        return f"{rate(speed)} segments/s as measured in {witness.source}{shared}"
    how = f"guess: {rate(speed)} segments/s, scaled by arithmetic from {rate(witness.speed)} of {witness.source}"
    return how + shared


def predict(recipe: Recipe, machine: Machine, measured: Sequence[Measured], done: float = 0.0) -> Prediction:
    """Time and energy of the training, with their sources; without the steps that are `done`."""
    kind, shape = device_of(recipe, machine), shape_of(recipe)
    found = choose(shape, kind, measured)
    steps, notes = recipe.training.max_steps, []
    seconds: float | None = None
    if isinstance(steps, str):
        seconds = parse_time(steps).seconds
        notes.append(f"time: as set by training.max_steps={steps}")
    elif found is None:
        notes.append("time: unknown until measured; no run here and no page has a speed near this size")
    else:
        witness, speed = found
        seconds = max(0.0, steps - done) * shape.slots / speed
        same = witness.shape.values == shape.values
        notes.append(f"time: {_said(witness, speed, same)}; validations come on top")
        budget = parse_time(recipe.training.time_budget).seconds
        if seconds > budget:
            notes.append(f"training.time_budget={recipe.training.time_budget} stops it after {duration(budget)}")
            seconds = budget
        elif recipe.training.early_stop:
            notes[-1] += "; it may stop early"
        if done:
            notes.append(f"time: of the {max(0.0, steps - done):.0f} steps that are left, more where it goes back")
    power = None if found is None else found[0].power_w
    joules = None if power is None or seconds is None else power * seconds
    if found is not None and joules is not None:
        notes.append(
            f"energy: the GPU's {power:.0f} W at the end of {found[0].source}, the rest of the machine not counted"
        )
    else:
        notes.append("energy: unknown until measured; no power was read in a run like it")
    return Prediction(seconds, joules, tuple(notes))


def energy(joules: float | None) -> str:
    """12 kJ, 0.35 kWh."""
    if joules is None:
        return "unknown"
    return f"~{joules / 1000:.2g} kJ" if joules < 3.6e5 else f"~{joules / 3.6e6:.2g} kWh"


def time_of(seconds: float | None) -> str:
    """~2h05."""
    return "unknown" if seconds is None else f"~{duration(seconds)}"

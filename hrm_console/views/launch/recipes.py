"""Experiments and recipes for the launch form. With overrides.py and predicting.py all of the console that imports
`hrm_core.recipe`.

(experiment, preset, overrides line) -> `Checked`: what is wrong, or how the run would differ from EXP-00, its size, and
what it will take. Imported in a thread after the first frame, since pydantic takes a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, final

from pydantic import ValidationError

from hrm_console.launching import split_overrides
from hrm_console.views.launch.machine import Machine
from hrm_console.views.launch.overrides import overrides_of, values_of
from hrm_console.views.launch.predicting import Measured, energy, predict, time_of
from hrm_core.errors import UserError
from hrm_core.recipe.counts import DeviceKind
from hrm_core.recipe.difference import difference
from hrm_core.recipe.experiment import Experiment
from hrm_core.recipe.experiments import EXPERIMENTS, find_experiment, saved_experiments
from hrm_core.recipe.lay import build_recipe, override_recipe
from hrm_core.recipe.memory import GIB, plan_memory, refusal, setting_of
from hrm_core.recipe.my_experiments import MyExperiment, merged_overrides, write_mine
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import from_toml
from hrm_core.recipe.values import show_value

if TYPE_CHECKING:
    from hrm_console.views.run.config import Differences

CONTROL = "EXP-00"
LENGTHS = ("training.max_steps=", "training.time_budget=")
# Memory of the cards that the presets are for, where a recipe names no limit: the form cannot ask the driver.
CARD_GIB: dict[DeviceKind, float] = {"laptop": 16.0, "h100": 80.0}


@final
@dataclass(frozen=True)
class Card:
    """An experiment in words."""

    name: str
    title: str
    hypothesis: str
    setup: str
    watch_for: str
    presets: tuple[str, ...]
    # Why it cannot run yet, empty if it can.
    unbuilt: str
    # Saved by the user.
    mine: bool = False


@final
@dataclass(frozen=True)
class Checked:
    """What a form describes. `changes`: key, EXP-00's value, this run's value, who set it; `size`: names and values;
    `notes`: where predicted numbers come from; `values`: every setting's, `sources`: who set it."""

    problem: str
    changes: tuple[tuple[str, str, str, str], ...] = ()
    size: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


def cards() -> tuple[tuple[Card, ...], tuple[str, ...]]:
    """Every experiment: the user's own, those that can run, those that cannot yet; and what is wrong with files."""
    saved, problems = saved_experiments()
    return tuple(card_of(experiment) for experiment in saved.values()) + built_in(), problems


@cache
def built_in() -> tuple[Card, ...]:
    """The experiments of the table, in its order, those that can run before those that cannot yet."""
    found = [card_of(experiment) for experiment in EXPERIMENTS.values()]
    return tuple(sorted(found, key=lambda card: bool(card.unbuilt)))


def card_of(experiment: Experiment) -> Card:
    """An experiment as the form lists it."""
    return Card(
        experiment.name,
        experiment.title,
        experiment.hypothesis,
        experiment.setup,
        experiment.watch_for,
        tuple(experiment.presets),
        check(experiment.name, experiment.presets[0], "").problem,
        bool(experiment.base),
    )


def check(
    experiment: str, preset: str, line: str, machine: Machine | None = None, measured: Sequence[Measured] = ()
) -> Checked:
    """Lay the recipe that a form describes. With a machine: also what it takes there, and whether it may."""
    try:
        resolved = build_recipe(experiment, overrides_of(preset, line))
    except UserError as error:
        return Checked(error.message)
    return checked_recipe(resolved.recipe, resolved.sources, machine, measured)


def checked_recipe(
    recipe: Recipe, sources: Mapping[str, str], machine: Machine | None, measured: Sequence[Measured], done: float = 0.0
) -> Checked:
    """What there is to say of a recipe that holds."""
    changes = tuple(
        (key, show_value(before), show_value(after), sources.get(key, ""))
        for key, (before, after) in difference(control(), recipe).items()
        if key not in ("experiment", "preset")
    )
    size, values = size_of(recipe), values_of(recipe)
    if machine is None:
        return Checked("", changes, size, (), values, sources)
    words, problem = memory_of(recipe, machine)
    found = predict(recipe, machine, measured, done)
    size += (("memory", words), ("time", time_of(found.seconds)), ("energy", energy(found.joules)))
    return Checked(problem, changes, size, found.notes, values, sources)


def check_longer(
    stored: Any, step: float | None, line: str, machine: Machine | None, measured: Sequence[Measured]
) -> Checked:
    """What `hrm resume` would go on with: the recipe of a run, with a new length. `stored` is run.json's recipe."""
    try:
        recipe = Recipe.model_validate(stored)
        words = split_overrides(line)
        wrong = next((word for word in words if not word.startswith(LENGTHS)), None)
        if wrong is not None:
            raise UserError(f"{wrong}: a resumed run keeps its recipe but for its length; fork it to change more")
        longer = override_recipe(recipe, words)
    except ValidationError:
        return Checked("the run's recipe was written by another version; hrm resume may still understand it")
    except UserError as error:
        return Checked(error.message)
    steps = longer.training.max_steps
    if isinstance(steps, int) and step is not None and steps <= step:
        return Checked(f"training.max_steps={steps}: the run is at step {step:.0f} already; give a larger number")
    sources = {word.partition("=")[0]: "override" for word in words}
    return checked_recipe(longer, sources, machine, measured, step or 0.0)


def differences_of(text: str) -> Differences:
    """What a recipe.toml changes of EXP-00."""
    from hrm_console.views.run.config import Differences

    try:
        recipe = from_toml(text)
    except UserError as error:
        return Differences(error.message)
    found = difference(control(), recipe)
    return Differences(changes=tuple((key, show_value(old), show_value(new)) for key, (old, new) in found.items()))


def save_mine(name: str, form: tuple[str, str, str], title: str, hypothesis: str, replace_it: bool) -> str:
    """Keep a form as an experiment of the user's; gives the file. One that is built on a saved one takes its overrides
    along. UserError for what cannot be."""
    experiment, preset, line = form
    found = find_experiment(experiment)
    overrides = merged_overrides(found.overrides, split_overrides(line))
    mine = MyExperiment(name, found.base or found.name, preset, overrides, title, hypothesis)
    problem = check(experiment, preset, line).problem
    if problem:
        raise UserError(problem)
    return str(write_mine(mine, EXPERIMENTS, replace_it=replace_it))


def memory_of(recipe: Recipe, machine: Machine) -> tuple[str, str]:
    """("~4.5 GiB of 16", why it is refused or nothing). Of a card whose size is not known nothing is refused here; the
    run asks it. Kernels are counted where they are forced: until then references may run."""
    gpu = recipe.training.device == "cuda" or (machine.has_gpu and recipe.training.device == "auto")
    device: DeviceKind = "cpu" if not gpu else "h100" if recipe.preset == "h100" else "laptop"
    narrow = gpu or machine.fast_bf16 or recipe.training.dtype != "auto"
    setting = setting_of(recipe, device, gpu and recipe.kernels.mode == "force", dtype=None if narrow else "fp32")
    limit, name = recipe.memory.limit_gib, "memory.limit_gib"
    if not gpu and machine.memory_gib is not None and machine.memory_gib < (limit or float("inf")):
        limit, name = machine.memory_gib, "this machine's memory"
    shown = CARD_GIB.get(device) if limit is None else limit
    words = f"~{plan_memory(recipe, setting).peak_gib:.1f} GiB" + ("" if shown is None else f" of {shown:.3g}")
    return words, "" if limit is None else refusal(recipe, setting, limit * GIB, name) or ""


@cache
def control() -> Recipe:
    """EXP-00 at the preset of the plan."""
    return build_recipe(CONTROL).recipe


def size_of(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """How large the run is, in the words of the form."""
    training = recipe.training
    slots = training.batch * training.accumulation
    return (
        ("steps", show_value(training.max_steps)),
        ("slots", f"{training.batch} x {training.accumulation} = {slots}"),
        ("segments", str(recipe.halting.max_segments)),
    )

"""Experiments and recipes for the launch form. The only module of the console that imports `hrm_core.recipe`.

(experiment, preset, overrides line) -> `Checked`: what is wrong, or how the run would differ from EXP-00 and its
size. Imported in a thread after the first frame, since pydantic takes a quarter of a second; every call is pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import final

from hrm_console.launch_device import Machine
from hrm_console.launching import split_overrides
from hrm_core.errors import UserError
from hrm_core.recipe.counts import DeviceKind
from hrm_core.recipe.difference import difference
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.memory import GIB, plan_memory, refusal, setting_of
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.schema_info import SettingInfo, settings
from hrm_core.recipe.values import show_value

CONTROL = "EXP-00"
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


@final
@dataclass(frozen=True)
class Checked:
    """What a form describes. `changes`: key, EXP-00's value, this run's value, who set it."""

    problem: str
    changes: tuple[tuple[str, str, str, str], ...] = ()
    size: tuple[tuple[str, str], ...] = ()


@cache
def cards() -> tuple[Card, ...]:
    """Every experiment in the order of the table, those that can run before those that cannot yet."""
    found = []
    for experiment in EXPERIMENTS.values():
        unbuilt = check(experiment.name, experiment.presets[0], "").problem
        found.append(
            Card(
                experiment.name,
                experiment.title,
                experiment.hypothesis,
                experiment.setup,
                experiment.watch_for,
                tuple(experiment.presets),
                unbuilt,
            )
        )
    return tuple(sorted(found, key=lambda card: bool(card.unbuilt)))


@cache
def keys() -> dict[str, SettingInfo]:
    """Every setting by its dotted key."""
    return {setting.key: setting for setting in settings()}


def overrides_of(preset: str, line: str) -> tuple[str, ...]:
    """What goes to `hrm run` behind the experiment's name."""
    return (f"preset={preset}", *split_overrides(line))


def check(experiment: str, preset: str, line: str, machine: Machine | None = None) -> Checked:
    """Lay the recipe that a form describes. With a machine: also how much memory it takes there, and whether it may."""
    try:
        resolved = build_recipe(experiment, overrides_of(preset, line))
    except UserError as error:
        return Checked(error.message)
    changes = tuple(
        (key, show_value(before), show_value(after), resolved.sources.get(key, ""))
        for key, (before, after) in difference(control(), resolved.recipe).items()
        if key not in ("experiment", "preset")
    )
    size = size_of(resolved.recipe)
    if machine is None:
        return Checked("", changes, size)
    words, problem = memory_of(resolved.recipe, machine)
    return Checked(problem, changes, (*size, ("memory", words)))


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


def helpful(line: str, cursor: int) -> str:
    """What to say of the word under the cursor of an overrides line: the keys it may become, or what its setting is."""
    word = line[:cursor].rpartition(" ")[2]
    key, equals, _ = word.partition("=")
    if not word:
        return "a.b=c, such as training.max_steps=500 training.seed=2"
    known = keys()
    if equals or key in known:
        setting = known.get(key)
        return (
            ""
            if setting is None
            else f"{key}: {setting.description} ({setting.type_text}; EXP-00: {show_value(setting.default)})"
        )
    begun = [name for name in known if name.startswith(key)] or [name for name in known if key in name]
    return "  ".join(begun[:12]) + (" …" if len(begun) > 12 else "") if begun else ""


def completed(line: str) -> str | None:
    """The line with its last word completed to the first key that begins so; None where there is none."""
    head, space, word = line.rpartition(" ")
    if not word or "=" in word:
        return _with_choice(line, word)
    begun = next((name for name in keys() if name.startswith(word)), None)
    return None if begun is None else f"{head}{space}{begun}="


def _with_choice(line: str, word: str) -> str | None:
    key, _, value = word.partition("=")
    setting = keys().get(key)
    choices: Sequence[str] = () if setting is None else setting.choices
    begun = next((choice for choice in choices if choice.startswith(value) and choice != value), None)
    return None if begun is None else line[: len(line) - len(value)] + begun

"""Lays a recipe: EXP-00, the preset, the experiment's few lines, the overrides; each value with its source.

Recipe room; free of torch. (experiment name, ["training.batch=8", "preset=cpu", ...]) -> `ResolvedRecipe`. Two
overrides are no keys: `preset=NAME` and `schedule=absolute`. Every mistake is a UserError of one line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from pydantic import ValidationError

from hrm_core.errors import UserError
from hrm_core.recipe.experiment import Experiment
from hrm_core.recipe.experiments import find_experiment
from hrm_core.recipe.keys import Flat, flatten, leaf_of, leaves, nearest, put, unflatten
from hrm_core.recipe.presets import PRESETS
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.unbuilt import refuse_unbuilt, unbuilt
from hrm_core.recipe.values import describe, parse_value
from hrm_core.runs.text import clean

PLAN_STEPS = 100_000
"""The plan's day-run, of which its thresholds are shares."""

_FIXED = ("experiment", "preset")


@final
@dataclass(frozen=True)
class ResolvedRecipe:
    """The recipe, and for each of its keys who set it: "EXP-00", "preset cpu", the experiment's name, "override".
    `note`: a sentence for whoever starts a run of it, or nothing."""

    recipe: Recipe
    sources: dict[str, str]
    note: str = ""


@final
@dataclass(frozen=True)
class _Overrides:
    preset: str | None
    values: dict[str, Any]


def _parse(overrides: Sequence[str]) -> _Overrides:
    preset: str | None = None
    values: dict[str, Any] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"{clean(text[:80])!r} is no override; write key=value, such as training.batch=32")
        if key == "preset":
            preset = value.strip()
        elif key == "schedule":
            values["schedule.mode"] = value.strip()
        elif key == "experiment":
            raise UserError("experiment is no override; name the experiment first: hrm run EXP-00 [key=value ...]")
        else:
            values[key] = parse_value(leaf_of(key), value)
    return _Overrides(preset, values)


def _choose_preset(experiment: Experiment, wanted: str | None) -> str:
    if wanted is None:
        return experiment.presets[0]
    if wanted not in PRESETS:
        hint = nearest(wanted[:200], PRESETS) or f"; there are {', '.join(PRESETS)}"
        raise UserError(f"{clean(wanted[:80])} is no preset{hint}")
    if wanted not in experiment.presets:
        raise UserError(
            f"preset={wanted} does not go with {experiment.name}, whose size is part of it; "
            f"leave it out or set preset={experiment.presets[0]}"
        )
    return wanted


@final
class _Layers:
    """The flat recipe while it is laid; every `lay` overwrites and notes who did."""

    def __init__(self) -> None:
        self.flat: Flat = flatten(Recipe())
        self.sources = dict.fromkeys(self.flat, "EXP-00")

    def lay(self, lines: Mapping[str, Any], source: str) -> None:
        for key, value in lines.items():
            for changed in put(self.flat, key, value):
                self.sources[changed] = source

    def imply(self) -> None:
        """fits7 brings its one canvas, unless somebody said otherwise (which the schema then refuses)."""
        if self.flat["data.subset"] == "fits7" and self.sources["data.canvases"] == "EXP-00":
            self.flat["data.canvases"] = (7,)
            self.sources["data.canvases"] = self.sources["data.subset"]

    def absolute(self) -> None:
        """The plan's own numbers: every share becomes its steps of 100,000."""
        if self.flat["schedule.mode"] != "absolute":
            return
        for key, value in self.flat.items():
            if not {int, float, str} <= leaves()[key].types and key != "techniques.curriculum.ends":
                continue
            many = value if isinstance(value, tuple) else (value,)
            steps = tuple(
                max(1, round(part * PLAN_STEPS)) if isinstance(part, float) and part else part for part in many
            )
            if steps != many:
                self.flat[key] = steps if isinstance(value, tuple) else steps[0]
                self.sources[key] = f"{self.sources[key]}, schedule=absolute"


def validate(flat: Mapping[str, Any]) -> Recipe:
    """Flat table -> recipe. UserError (exit code 2) with the first thing that is wrong."""
    for key, value in flat.items():
        # TOML knows 64 bits; Python would take more than it can write again as text.
        if any(
            isinstance(part, int) and abs(part) >= 2**63 for part in (value if isinstance(value, tuple) else (value,))
        ):
            raise UserError(f"{key} is a whole number beyond reason ({leaves()[key].field.description})")
    try:
        return Recipe.model_validate(unflatten(flat))
    except ValidationError as problem:
        raise UserError(describe(problem)) from None


def _layers(experiment: Experiment, parsed: _Overrides) -> _Layers:
    preset = _choose_preset(experiment, parsed.preset)
    saved = _parse(experiment.overrides)
    layers, seen = _Layers(), _Layers()
    layers.lay(PRESETS[preset], f"preset {preset}")
    # The experiment's lines may depend on what the user chose (its largest canvas, say), but do not outrank it.
    seen.lay(PRESETS[preset], f"preset {preset}")
    seen.lay(saved.values, experiment.name)
    seen.lay(parsed.values, "override")
    seen.imply()
    layers.lay(experiment.lines(seen.flat), experiment.name)
    layers.lay(saved.values, experiment.name)
    layers.lay(parsed.values, "override")
    layers.flat["experiment"], layers.sources["experiment"] = experiment.name, experiment.name
    layers.flat["preset"] = preset
    layers.sources["preset"] = "EXP-00" if parsed.preset is None else "override"
    layers.imply()
    layers.absolute()
    layers.sources = {key: layers.sources[key] for key in layers.flat}
    return layers


def build_recipe(experiment: str, overrides: Sequence[str] = (), *, allow_unbuilt: bool = False) -> ResolvedRecipe:
    """The recipe of a named experiment with "key=value" overrides.

    UserError for an unknown experiment, preset or key (with the nearest name), a value of the wrong type or out of
    bounds, settings that do not go together, and techniques that are not built yet (unless `allow_unbuilt`, for
    showing what an experiment will be).
    """
    found = find_experiment(experiment)
    parsed = _parse(overrides)
    layers = _layers(found, parsed)
    if not allow_unbuilt:
        own = [key for key in unbuilt(layers.flat) if key in found.lines(layers.flat)]
        if own:
            raise UserError(f"{found.name} needs {own[0]}, which is not built yet; run EXP-00, its control, for now")
        refuse_unbuilt(layers.flat)
    return ResolvedRecipe(validate(layers.flat), layers.sources, found.note)


def override_recipe(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """An existing recipe with a few values changed (`hrm resume RUN training.max_steps=N`). Errors as above."""
    parsed = _parse(overrides)
    if parsed.preset is not None:
        raise UserError("preset is chosen when a run begins; start a new run instead")
    flat = flatten(recipe)
    for key, value in parsed.values.items():
        if key in _FIXED:
            raise UserError(f"{key} is chosen when a run begins; start a new run instead")
        put(flat, key, value)
    refuse_unbuilt(flat)
    return validate(flat)

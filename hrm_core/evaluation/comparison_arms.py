"""Which runs form an arm: those whose recipes differ in nothing but the seed.

Evaluation room: runs -> `Arm`s, named by experiment and, where that is not enough, by the settings that set them apart.
Of two runs with the same seed the later one counts: the same seed twice is one observation. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from hrm_core.evaluation.comparison_runs import RunFacts
from hrm_core.recipe.base import Settings
from hrm_core.recipe.difference import difference
from hrm_core.recipe.schema import Recipe
from hrm_core.runs.files import string

# What changes neither what is learned nor what is scored; `training.seed` is what tells the runs of an arm apart.
BESIDE_THE_POINT = frozenset(
    {"training.seed", "training.threads", "training.share_device", "training.keep_checkpoints", "experiment"}
)


@final
@dataclass(frozen=True)
class Arm:
    """Runs of one recipe with different seeds, in the order of the seeds."""

    name: str
    runs: tuple[RunFacts, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe of its first run."""
        return self.runs[0].recipe

    @property
    def finished(self) -> tuple[RunFacts, ...]:
        """The runs that have a score."""
        return tuple(run for run in self.runs if run.score is not None)

    @property
    def scores(self) -> list[float]:
        """Final scores, one a finished run."""
        return [run.score for run in self.runs if run.score is not None]


def same_arm(first: Recipe, second: Recipe) -> bool:
    """Whether two recipes differ in nothing that matters but the seed."""
    return not settings_apart(first, second)


def settings_apart(first: Recipe, second: Recipe) -> dict[str, tuple[Any, Any]]:
    """The settings that differ and matter: {key: (first, second)}."""
    return {key: pair for key, pair in difference(first, second).items() if key not in BESIDE_THE_POINT}


def same_start(run: RunFacts, other: RunFacts) -> bool:
    """Whether two runs learn the same from the same: one begun from a snapshot is no repeat of one that was not."""
    return same_arm(run.recipe, other.recipe) and run.began_from == other.began_from


def alike(run: RunFacts, other: RunFacts) -> bool:
    """Whether two runs are of one arm."""
    return run.recipe.experiment == other.recipe.experiment and same_start(run, other)


def group_runs(runs: Sequence[RunFacts]) -> list[Arm]:
    """Arms in the order in which their first runs come. Two experiments stay two arms where their recipes are alike (at
    some presets a control is): each is asked for by its own name.
    """
    groups: list[list[RunFacts]] = []
    for run in runs:
        fitting = next((group for group in groups if alike(group[0], run)), None)
        if fitting is None:
            groups.append([run])
        elif all(run.folder != known.folder for known in fitting):
            fitting.append(run)
    arms = [Arm(group[0].recipe.experiment, _one_a_seed(group)) for group in groups]
    return [replace(arm, name=_name(arm, arms)) for arm in arms]


def _one_a_seed(runs: Sequence[RunFacts]) -> tuple[RunFacts, ...]:
    """Of each seed one run: a finished one before any other, then the latest."""

    def worth(run: RunFacts) -> tuple[bool, str]:
        return run.score is not None, string(run.run_json, "created_utc") or ""

    by_seed: dict[int, RunFacts] = {}
    for run in sorted(runs, key=worth):
        by_seed[run.seed] = run
    return tuple(by_seed[seed] for seed in sorted(by_seed))


def _name(arm: Arm, arms: Sequence[Arm]) -> str:
    """The experiment; with what sets it apart from the first arm of that experiment, and the snapshot it began from."""
    first = next(other for other in arms if other.recipe.experiment == arm.recipe.experiment)
    apart = {} if first is arm else settings_apart(first.recipe, arm.recipe)
    said = [f"{key}={told(pair[1])}" for key, pair in list(apart.items())[:3]]
    source = arm.runs[0].began_from
    if source:
        said.append(f"from {source}")
    elif first.runs[0].began_from:
        said.append("from drawn weights")
    return f"{arm.name} ({', '.join(said)})" if said else arm.name


def told(value: Any) -> str:
    """A setting's value in words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(told(part) for part in value) + "]"
    return "none" if value is None else str(value)


def changes(control: Recipe, other: Recipe) -> dict[str, list[str]]:
    """Recipe difference from the control, for people and JSON: {key: [control's, own]}.

    A technique that is on is one entry, with those of its settings that are not its defaults.
    """
    found: dict[str, list[str]] = {}
    for key, (before, after) in settings_apart(control, other).items():
        group, _, leaf = key.rpartition(".")
        had, has = (_technique(recipe, group) for recipe in (control, other))
        if (had is None) != (has is None):
            found.setdefault(group, ["off", "on"] if has is not None else ["on", "off"])
            if has is None or after == type(has).model_fields[leaf].default:
                continue
            before = "off"
        found[key] = [told(before), told(after)]
    return found


def _technique(recipe: Recipe, group: str) -> Settings | None:
    """The settings of the technique that `group` (`techniques.<name>`) names; None if it is off or is no technique."""
    room, _, name = group.partition(".")
    found = getattr(recipe.techniques, name, None) if room == "techniques" else None
    return found if isinstance(found, Settings) else None

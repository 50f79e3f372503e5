"""Room `runs`: what belongs to a sweep, `<runs>/sweeps/<name>.json`.

experiments, seeds and overrides -> the runs to be made, in an order in which an interruption leaves something of use:
all arms' first seed, then all second ones, the control's extra seeds spread over the rounds. The file says only which
runs belong; how far they are is in their own folders. Starting them is the command line's affair.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import explain_os_error, make_folder, write_json
from hrm_core.runs.files import integer, items, read_json_object, string
from hrm_core.runs.formats import refuse_newer
from hrm_core.runs.layout import check_name
from hrm_core.runs.text import clean

FORMAT: Final = 1
FOLDER: Final = "sweeps"
MOST: Final = 1000
"""Seeds of an experiment, and experiments of a sweep."""


@final
@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    name: str
    experiment: str
    seed: int


@final
@dataclass(frozen=True)
class Sweep:
    """`experiments[0]` is the control; every arm has `seeds` runs, the control `control_seeds`."""

    name: str
    experiments: tuple[str, ...]
    seeds: int
    control_seeds: int
    overrides: tuple[str, ...]

    @property
    def control(self) -> str:
        """What the others are held against."""
        return self.experiments[0]

    @property
    def runs(self) -> list[PlannedRun]:
        """Every run, in the order in which they are started."""
        planned = []
        rounds, mine = self.seeds, max(self.control_seeds, self.seeds)
        done = 0
        for turn in range(1, rounds + 1):
            until = -(-mine * turn // rounds)
            planned += [self._run(self.control, seed) for seed in range(done + 1, until + 1)]
            done = until
            planned += [self._run(experiment, turn) for experiment in self.experiments[1:]]
        return planned

    def _run(self, experiment: str, seed: int) -> PlannedRun:
        return PlannedRun(check_name(f"{self.name}-{experiment}-s{seed}"), experiment, seed)


def default_name(experiments: Sequence[str], overrides: Sequence[str]) -> str:
    """The name of a sweep that was given none: the same for the same control and overrides, so that it goes on."""
    text = json.dumps([experiments[0], *sorted(overrides)])
    return f"sweep-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def sweep_path(runs_dir: Path, name: str) -> Path:
    """Where the file of a sweep lies."""
    return runs_dir / FOLDER / f"{check_name(name)}.json"


def read_sweep(runs_dir: Path, name: str) -> Sweep:
    """The sweep of that name. UserError: missing or no sweep (2, with the names there are), damaged, or newer than we
    are (1)."""
    path = sweep_path(runs_dir, name)
    row = read_json_object(path)
    if row is None and os.path.lexists(path):
        raise UserError(
            f"{clean(path)} is damaged: it is no JSON object, or not what was written.\n"
            "Put it right and take its line `seal` out, or move it away; its runs are not touched.",
            1,
        )
    refuse_newer(row, FORMAT, path)
    experiments = tuple(part for part in items(row, "experiments") if isinstance(part, str))
    overrides = tuple(part for part in items(row, "overrides") if isinstance(part, str))
    seeds, control_seeds = integer(row, "seeds"), integer(row, "control_seeds")
    counted = all(1 <= (number or 0) <= MOST for number in (seeds, control_seeds, len(experiments)))
    if not seeds or not control_seeds or not counted or string(row, "name") != name:
        there = sorted(found.stem for found in path.parent.glob("*.json"))
        hint = f"there are {', '.join(there)}" if there else "there are none; start one with `hrm sweep`"
        raise UserError(f"there is no sweep {name} in {clean(runs_dir)}; {clean(hint)}.")
    return Sweep(name, experiments, seeds, control_seeds, overrides)


def extend_sweep(runs_dir: Path, wanted: Sweep) -> Sweep:
    """Writes the sweep, or makes the one of that name larger: more seeds, more experiments. UserError (2) if it was
    begun with another control or other overrides.
    """
    path = sweep_path(runs_dir, wanted.name)
    merged = wanted
    if path.exists():
        known = read_sweep(runs_dir, wanted.name)
        if known.control != wanted.control or sorted(known.overrides) != sorted(wanted.overrides):
            words = " ".join([known.control, *known.overrides])
            raise UserError(
                f"sweep {wanted.name} was begun with {clean(words)}; give those again, or another --name.", 2
            )
        merged = Sweep(
            name=wanted.name,
            experiments=tuple(dict.fromkeys((*known.experiments, *wanted.experiments))),
            seeds=max(known.seeds, wanted.seeds),
            control_seeds=max(known.control_seeds, wanted.control_seeds),
            overrides=known.overrides,
        )
    assert merged.runs, "a sweep has runs"
    try:
        make_folder(path.parent)
        write_json(path, {"format": FORMAT, **vars(merged)}, seal=True)
    except OSError as error:
        raise explain_os_error(error) from error
    return merged

"""`hrm sweep`: several experiments with several seeds, against one control; goes on where it was left.

Command-line room: experiments and seeds -> run folders and `<runs>/sweeps/<name>.json`. Everything that can be wrong is
checked before the first run begins. The processes are in `sweep_jobs.py`; verdicts are `hrm compare --sweep`'s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hrm_core.cli.options import (
    INTERRUPTED,
    clean,
    cpus_option,
    gpus_option,
    on_option,
    print_line,
    runs_folder,
    runs_option,
)
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.cli.sweep_jobs import Outcome
    from hrm_core.recipe.schema import Recipe
    from hrm_core.runs.sweeps import PlannedRun

OWN_KEYS = ("training.seed", "training.share_device")
EARLY_STOP = "training.early_stop"


@click.command("sweep")
@click.argument("words", nargs=-1, required=True, metavar="EXPERIMENT... [KEY=VALUE]...")
@click.option("--seeds", type=click.IntRange(1, 1000), required=True, metavar="N", help="Runs of each experiment.")
@click.option(
    "--control-seeds",
    type=click.IntRange(1, 1000),
    default=None,
    metavar="M",
    help="Runs of the first one, the control (default: as the others; three times as many is better).",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=None,
    metavar="N",
    help="Runs at once (default: 1; elsewhere 64, and the engine decides).",
)
@on_option
@gpus_option
@cpus_option
@click.option("--name", default=None, metavar="NAME", help="Name of the sweep (default: made from what it is).")
@runs_option
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
def sweep(
    words: tuple[str, ...],
    seeds: int,
    control_seeds: int | None,
    jobs: int | None,
    on: str,
    gpus: int | None,
    cpus: int | None,
    name: str | None,
    runs: Path | None,
    data: Path | None,
) -> None:
    """Run experiments with seeds 1 to N each, the first being the control. The same command again goes on."""
    from hrm_core.cli.sweep_jobs import SweepJobs
    from hrm_core.runs.backends.choose import check_backend, open_backend
    from hrm_core.runs.layout import check_name
    from hrm_core.runs.queue_pins import code_now
    from hrm_core.runs.sweeps import Sweep, default_name, extend_sweep

    experiments = tuple(dict.fromkeys(word for word in words if "=" not in word))
    overrides = tuple(word for word in words if "=" in word)
    recipes = check_words(experiments, overrides)
    if data is not None and not data.is_file():
        raise UserError(f"--data {clean(str(data))}: there is no such file; see `hrm data build`", 1)
    name = check_name(name) if name is not None else default_name(experiments, overrides)
    folder = runs_folder(runs)
    backend = open_backend(check_backend(on), folder.resolve(), gpus, cpus)
    backend.check()
    jobs = jobs or (1 if on == "local" else 64)
    wanted = Sweep(name, experiments, seeds, max(control_seeds or seeds, seeds), overrides)
    here = extend_sweep(folder, wanted)
    missing = [word for word in here.experiments if word not in experiments]
    recipes += check_words(missing, overrides) if missing else []
    files = _data_files(recipes, data)
    elsewhere = on != "local"
    beside = node_overrides(overrides, gpus, cpus) if elsewhere else machine_overrides(recipes[0], overrides, jobs)

    def words_of(planned: PlannedRun) -> list[str]:
        source = next(recipe.data.source for recipe in recipes if recipe.experiment == planned.experiment)
        own = [f"training.seed={planned.seed}", f"{EARLY_STOP}=false", *beside]
        return [*overrides, *own, "--data", str(files[source])]

    todo, done = _split(folder, here.runs)
    print_line(f"sweep {name}: {len(here.runs)} runs in {folder}, {len(done)} finished already, {jobs} at once")
    counted = [len(done)]
    failures: list[Outcome] = []

    def ended(outcome: Outcome) -> None:
        counted[0] += 1
        if outcome.state != "finished":
            failures.append(outcome)
        print_line(f"{counted[0]} of {len(here.runs)}: {_ending(folder, outcome)}")

    code = code_now() if elsewhere else None
    with closing(backend):
        complete = SweepJobs(folder, jobs, words_of, print_line, ended, backend=backend, code=code).run(todo)
    _close(name, complete, failures)


def check_words(experiments: Sequence[str], overrides: Sequence[str]) -> list[Recipe]:
    """The recipe of each experiment. UserError (2) for what a sweep sets itself, and for what no run would take."""
    from hrm_core.recipe.lay import build_recipe

    if not experiments:
        raise UserError("name an experiment to sweep, the control first: hrm sweep EXP-00 EXP-02 --seeds 3")
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in OWN_KEYS:
            raise UserError(f"{clean(key)} is set by the sweep itself; leave it out.")
        if key == EARLY_STOP:
            raise UserError(f"{EARLY_STOP} is off in a sweep, so that its runs are equally long; leave it out.")
    return [build_recipe(word, [*overrides, f"{EARLY_STOP}=false"]).recipe for word in experiments]


def machine_overrides(recipe: Recipe, overrides: Sequence[str], jobs: int) -> list[str]:
    """What several runs at once need: on a CPU an equal share of the cores, on a GPU leave to share it."""
    if jobs == 1:
        return []
    from hrm_core.training.setup import choose_device

    if choose_device(recipe.training).device.type == "cuda":
        return ["training.share_device=true"]
    if any(override.partition("=")[0].strip() == "training.threads" for override in overrides):
        return []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [f"training.threads={max(1, cores // jobs)}"]


def node_overrides(overrides: Sequence[str], gpus: int | None, cpus: int | None) -> list[str]:
    """What a run that SLURM or Ray gives cores alone needs: to use no more of them."""
    from hrm_core.runs.backends.choose import resources_of
    from hrm_core.runs.user_settings import read_settings

    given = resources_of(read_settings(), gpus, cpus)
    if given.gpus or any(override.partition("=")[0].strip() == "training.threads" for override in overrides):
        return []
    return [f"training.threads={given.cpus}"]


def _data_files(recipes: Sequence[Recipe], given: Path | None) -> dict[str, Path]:
    """Source -> data file, built here if it is missing: several children would all build it."""
    from hrm_core.cli.run_commands import ensure_data

    sources = dict.fromkeys(recipe.data.source for recipe in recipes)
    return {source: ensure_data(source, given).absolute() for source in sources}


def _split(folder: Path, planned: Sequence[PlannedRun]) -> tuple[list[PlannedRun], list[PlannedRun]]:
    """The runs that are still to do, and those that are finished."""
    from hrm_core.runs.reader import read_run

    done = [run for run in planned if read_run(folder / run.name).state == "finished"]
    return [run for run in planned if run not in done], done


def _ending(folder: Path, outcome: Outcome) -> str:
    """A line for a run that has ended: its score beside the trivial one, or what went wrong."""
    from hrm_core.cli.runs_words import duration, percent
    from hrm_core.runs.files import mapping, number
    from hrm_core.runs.reader import best_trivial, read_run

    head = f"{outcome.planned.name} {outcome.state} after {duration(outcome.seconds)}"
    if outcome.state != "finished":
        return f"{head}: {outcome.reason}"
    row = read_run(folder / outcome.planned.name).evaluation
    trivial = best_trivial(row, "exact")
    beside = "-" if trivial is None else percent(trivial[1])
    return f"{head}, exact {percent(number(mapping(row, 'metrics'), 'exact'))} % (trivial {beside})"


def _close(name: str, complete: bool, failures: Sequence[Outcome]) -> None:
    """The last lines, and the exit code: 0 all finished, 1 some did not, 130 interrupted."""
    if not complete:
        print_line("stopped; the same command again goes on with it")
        sys.exit(INTERRUPTED)
    for outcome in failures:
        print_line(f"not finished: {outcome.planned.name} ({outcome.state}): {outcome.reason}")
    print_line(f"verdicts: hrm compare --sweep {name}")
    if failures:
        print_line("the same command again takes up what is not finished")
        sys.exit(1)

"""`hrm run` and `hrm resume`: the trainer process, in the foreground or as a session of its own.

Command-line room: arguments -> a run folder. Everything that can be wrong is checked before the folder is made. The
heavy imports are inside the functions.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from hrm_core.cli.options import clean, print_line, progress, runs_folder, runs_option
from hrm_core.errors import UserError
from hrm_core.runs.world import World, refuse_whole_lane, world_for


def ensure_data(source: str, given: Path | None) -> Path:
    """`hrm_core.api.data_files.ensure_data` with bars on the terminal."""
    from hrm_core.api.data_files import ensure_data as ensure

    return ensure(source, given, progress)


def start_detached(folder: Path, words: list[str]) -> int:
    """Starts `hrm WORDS...` as a session of its own that outlives the terminal; returns its pid."""
    from hrm_core.runs.launch import HRM_COMMAND
    from hrm_core.runs.launch import start_detached as launch

    return launch([*HRM_COMMAND, *words], folder)


def _say_how_to_watch(name: str, folder: Path) -> None:
    print_line(f"{name} has been started; it goes on when this terminal closes")
    print_line(f"  watch it: hrm-console --runs {folder.parent}    stop it: hrm stop {name} --runs {folder.parent}")


gpus_option = click.option(
    "--gpus",
    type=click.IntRange(1, 1024),
    default=None,
    metavar="N",
    help="Train on N GPUs of this machine together (with training.device=cpu: in N processes).",
)


def _world(gpus: int | None) -> World:
    """The ranks of the run that this process is to lead; as another rank it follows, and ends with that."""
    world = world_for(gpus, os.environ)
    if world.rank:
        from hrm_core.training.follower import follow

        follow(world)
        sys.exit(0)
    return world


@click.command("run")
@click.argument("experiment")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--name", default=None, metavar="NAME", help="Name of the run (default: experiment, date and letters).")
@click.option("--detach", is_flag=True, help="Start it as a session of its own, and return.")
@gpus_option
@runs_option
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
@click.option(
    "--from",
    "source",
    default=None,
    metavar="SNAPSHOT",
    help="Begin with the evaluation weights of RUN@best, RUN@STEP, RUN@last, a promoted snapshot or a folder.",
)
def run(
    experiment: str,
    overrides: tuple[str, ...],
    name: str | None,
    detach: bool,
    gpus: int | None,
    runs: Path | None,
    data: Path | None,
    source: str | None,
) -> None:
    """Start a run of EXPERIMENT (see `hrm experiments`), with overrides such as preset=cpu training.seed=2.

    With --from only the weights are taken: step, schedule and optimizers begin anew, identity rows go by task.
    """
    from hrm_core.api.run_folders import carry_out, new_run

    world = _world(gpus)
    made = new_run(experiment, overrides, name, runs, data, source)
    refuse_whole_lane(made.resolved.recipe.techniques, world.size)
    if detach:
        folder = made.folder
        words = ["run", experiment, *overrides, "--name", folder.name, "--runs", str(folder.parent.resolve())]
        words += ["--gpus", str(gpus)] if gpus is not None else []
        words += ["--from", str(made.snapshot.resolve())] if made.snapshot is not None else []
        start_detached(folder, words + (["--data", str(data.absolute())] if data else []))
        _say_how_to_watch(folder.name, folder)
        return
    sys.exit(1 if carry_out(made, print_line, progress, world).state == "failed" else 0)


def _refuse_missing_data(name: str, began_with: str | None, given: Path | None) -> None:
    """UserError (1), without loading torch, where the data to go on with is not there."""
    if given is not None and not given.is_file():
        raise UserError(f"--data {clean(str(given))}: there is no such file; see `hrm data build`", 1)
    if given is None and began_with is not None and not Path(began_with).is_file():
        raise UserError(
            f"run {name} began with the data in {clean(began_with)}, which is not there any more.\n"
            "Give the same data with --data FILE; `hrm data build` makes it anew.",
            1,
        )


@click.command("resume")
@click.argument("run")
@click.argument("overrides", nargs=-1, metavar="[training.max_steps=N]")
@click.option("--detach", is_flag=True, help="Start it as a session of its own, and return.")
@gpus_option
@runs_option
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
def resume(
    run: str, overrides: tuple[str, ...], detach: bool, gpus: int | None, runs: Path | None, data: Path | None
) -> None:
    """Go on with RUN from its last checkpoint; training.max_steps=N makes it longer.

    With any number of GPUs, whatever it had before.
    """
    from hrm_core.runs.catalogue import find_run
    from hrm_core.runs.files import read_json_object, string
    from hrm_core.runs.formats import RUN_FORMAT, refuse_newer
    from hrm_core.runs.layout import RunFolder
    from hrm_core.runs.locks import holder

    world = _world(gpus)
    folder = find_run(runs_folder(runs), run).path
    run_json = read_json_object(RunFolder(folder).run_json)
    refuse_newer(run_json, RUN_FORMAT, f"run {folder.name}")
    pid = holder(folder)
    if pid is not None:
        raise UserError(f"run {folder.name} is running already (process {pid}); see `hrm tail {folder.name}`", 1)
    _refuse_missing_data(folder.name, string(run_json, "data"), data)
    if detach:
        words = ["resume", folder.name, *overrides, "--runs", str(folder.parent.resolve())]
        words += ["--gpus", str(gpus)] if gpus is not None else []
        start_detached(folder, words + (["--data", str(data.absolute())] if data else []))
        _say_how_to_watch(folder.name, folder)
        return
    from hrm_core.data.guard import refuse_harmful

    began_with = data or string(run_json, "data")
    if began_with is not None:
        refuse_harmful(Path(began_with))
    from hrm_core.training.session import resume_run

    sys.exit(1 if resume_run(folder, overrides, data, print_line, world) == "failed" else 0)

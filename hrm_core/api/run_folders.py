"""`train` and `runs`: a new run to its end in this process, and the runs that there are.

API room: an experiment with overrides -> a trained run folder; a folder of runs -> RunViews. Everything that can be
wrong is checked before a run's folder is made. Heavy imports are inside; `runs` loads no torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from hrm_core.api.data_files import ensure_data
from hrm_core.api.results import RunResult, RunView
from hrm_core.api.watching import Watch, disk_told, silent
from hrm_core.errors import UserError
from hrm_core.runs.text import clean
from hrm_core.runs.world import ALONE, World

if TYPE_CHECKING:
    from hrm_core.recipe.lay import ResolvedRecipe
    from hrm_core.recipe.schema import Recipe


def _unheard(line: str) -> None:
    """Nobody listens; the run's log.txt has every line."""


@final
@dataclass(frozen=True)
class NewRun:
    """A run that may begin: its folder is free, its recipe valid, `snapshot` has weights that fit."""

    folder: Path
    resolved: ResolvedRecipe
    data: Path | None
    snapshot: Path | None


def new_run(
    experiment: str,
    overrides: Sequence[str],
    name: str | None,
    runs_dir: Path | None,
    data: Path | None,
    source: str | None = None,
) -> NewRun:
    """Checks everything that can be wrong with a run, without torch and before anything is written."""
    from hrm_core.recipe.lay import build_recipe
    from hrm_core.runs.layout import check_name, default_runs_dir, new_run_id
    from hrm_core.runs.writer import refuse_existing

    resolved = build_recipe(experiment, tuple(overrides))
    name = check_name(name) if name is not None else new_run_id(experiment)
    folder = (default_runs_dir() if runs_dir is None else runs_dir) / name
    refuse_existing(folder)
    if data is not None and not data.is_file():
        raise UserError(f"--data {clean(data)}: there is no such file; see `hrm data build`", 1)
    snapshot = None if source is None else find_source(folder.parent, source, resolved.recipe)
    return NewRun(folder, resolved, data, snapshot)


def find_source(runs_dir: Path, word: str, recipe: Recipe) -> Path:
    """The snapshot that a run is to begin from; UserError, without loading torch, if its weights cannot fit."""
    from hrm_core.recipe.fitting import refuse_unfit
    from hrm_core.recipe.toml_io import from_toml
    from hrm_core.runs.files import read_small
    from hrm_core.runs.snapshot_names import find_snapshot

    snapshot = find_snapshot(runs_dir, word)
    stored = read_small(snapshot / "recipe.toml", 2**20)
    if not stored:
        raise UserError(f"--from {clean(word)} is no whole snapshot: its recipe.toml is missing.", 1)
    refuse_unfit(recipe, from_toml(stored.decode("utf-8", "replace")), word)
    return snapshot


@disk_told()
def carry_out(
    run: NewRun, say: Callable[[str], None] = _unheard, watch: Watch = silent, world: World = ALONE
) -> RunResult:
    """Trains a checked run to its end; `say` hears the lines of its log. `world`: this is rank 0 of so many."""
    if threading.current_thread() is not threading.main_thread():
        raise UserError("a run answers signals, which only the main thread gets: start it there, or use `hrm run`")
    path = ensure_data(run.resolved.recipe.data.source, run.data, watch)
    from hrm_core.runs.reader import read_run
    from hrm_core.training.session import start_run

    say(f"run {run.folder.name} in {run.folder}")
    with _process_as_it_was():
        state = start_run(run.folder, run.resolved, path, say, snapshot=run.snapshot, world=world)
    return RunResult(run.folder.name, run.folder, state, RunView(read_run(run.folder)))


@contextmanager
def _process_as_it_was() -> Iterator[None]:
    """A run sets torch's threads, its determinism and which kernels run; whoever called it gets theirs back."""
    import torch

    from triton_kernels import runtime

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with runtime.mode("auto"):
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)


def train(
    experiment: str,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    runs_dir: str | Path | None = None,
    data: str | Path | None = None,
) -> RunResult:
    """Trains a run of an experiment to its end, in this process: what `hrm run` does.

    overrides: lines such as "preset=cpu" or "training.max_steps=200". name: the run's (default: experiment, date and
    letters). data: the data file (default: the recipe's, built if it is missing). The run lies in `runs_dir` and is as
    any other: the console and `hrm stop` reach it, SIGINT, SIGTERM and SIGHUP stop it with a checkpoint. Its files have
    the modes that the process's umask gives. UserError: a wrong setting or name, not the main thread (2); data, device,
    memory or disk that are not there (1). A run that fails by itself is told by `state`, or by the error that ended it.
    """
    return carry_out(
        new_run(
            experiment,
            overrides,
            name,
            None if runs_dir is None else Path(runs_dir),
            None if data is None else Path(data),
        )
    )


@disk_told()
def runs(runs_dir: str | Path | None = None) -> tuple[RunView, ...]:
    """Every run of a folder, the newest first; none where the folder is not there. Loads no torch.

    UserError (1) where the folder cannot be read; what a run's files hold is never an error.
    """
    from hrm_core.runs.catalogue import list_runs
    from hrm_core.runs.layout import default_runs_dir

    folder = default_runs_dir() if runs_dir is None else Path(runs_dir)
    return tuple(RunView(view) for view in list_runs(folder))

"""Room `runs`: a back end by its name, as the user's settings describe it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hrm_core.errors import UserError
from hrm_core.runs.backends.base import LOCAL, NAMES, RAY, SLURM, Backend, Resources
from hrm_core.runs.text import clean
from hrm_core.runs.user_settings import UserSettings, read_settings


def check_backend(name: str) -> str:
    """The name of a back end. UserError (2) for another word."""
    if name not in NAMES:
        raise UserError(f"--on {clean(name[:40])}: choose {', '.join(NAMES)}.")
    return name


def resources_of(settings: UserSettings, gpus: int | None = None, cpus: int | None = None) -> Resources:
    """What a run is given elsewhere: by the settings, unless said."""
    wanted = Resources(int(settings.number("queue.job_gpus")), int(settings.number("queue.job_cpus")))
    wanted = wanted if gpus is None else replace(wanted, gpus=gpus)
    return wanted if cpus is None else replace(wanted, cpus=cpus)


def open_backend(
    name: str,
    runs_dir: Path,
    gpus: int | None = None,
    cpus: int | None = None,
    settings: Callable[[], UserSettings] = read_settings,
) -> Backend:
    """The back end; nothing is reached yet (`check` does)."""
    if name == LOCAL:
        from hrm_core.runs.backends.local import LocalBackend

        return LocalBackend()
    known = settings()
    wanted = resources_of(known, gpus, cpus)
    if name == SLURM:
        from hrm_core.runs.backends.slurm import SlurmBackend

        return SlurmBackend(runs_dir, wanted, known.text("queue.slurm_partition"), known.number("queue.slurm_hours"))
    assert name == RAY, "a back end's name is checked where it comes in"
    from hrm_core.runs.backends.ray_backend import RayBackend

    return RayBackend(runs_dir, wanted, known.text("queue.ray_address"))

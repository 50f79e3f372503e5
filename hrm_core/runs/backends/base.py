"""Room `runs`: what a queue or a sweep asks of the place where its runs go.

An `Order` (a command line and its run folder) -> a job's name -> `JobState`. Every back end runs the same command line
in the same kind of run folder; stop, pause and logs go through that folder. The three are in `local.py`, `slurm.py`
and `ray_backend.py`; which one is meant is in `choose.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

from hrm_core.runs.queue_records import Code

LOCAL, SLURM, RAY = "local", "slurm", "ray"
NAMES: Final = (LOCAL, SLURM, RAY)

Kind = Literal["waiting", "running", "ended", "lost", "unknown"]


@final
@dataclass(frozen=True)
class Resources:
    """What SLURM or Ray is to give one run."""

    gpus: int = 1
    cpus: int = 1


@final
@dataclass(frozen=True)
class Order:
    """A run to be started. `code`: what a node elsewhere must have, None: whatever it has; `environment` replaces the
    whole environment (on this machine only); `here`: the folder it is called in; `gpus`: on how many it trains."""

    argv: tuple[str, ...]
    folder: Path
    here: Path | None = None
    environment: Mapping[str, str] | None = None
    code: Code | None = None
    gpus: int = 1

    def gpus_of(self, given: Resources) -> int:
        """What an engine is to give it: its own number where it trains on several, else what every run is given."""
        return self.gpus if self.gpus > 1 else given.gpus


@final
@dataclass(frozen=True)
class JobState:
    """What has become of a job. ended: with its exit code, or without one and with words why it never began; lost: its
    node or its engine is gone under it; unknown: the engine does not say now, in words; `where`: its node."""

    kind: Kind
    code: int | None = None
    words: str = ""
    where: str = ""


class Backend(ABC):
    """Abstract: a place that runs command lines. UserError (1) where the engine refuses or does not answer."""

    name: str

    @abstractmethod
    def check(self) -> None:
        """UserError with the remedy if nothing could be started."""

    @abstractmethod
    def start(self, order: Order) -> str:
        """Starts or submits it; gives the job's name."""

    @abstractmethod
    def state(self, job: str) -> JobState:
        """What has become of it."""

    @abstractmethod
    def stop(self, job: str, *, at_once: bool = False) -> None:
        """Takes back a job that waits, and ends one that runs: SIGTERM, by which a run writes its checkpoint.
        `at_once`: without one, where the back end can."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of the engine; jobs go on."""

"""Room `runs`: the back end `slurm`, by submitit: `sbatch` to start, `sacct` to look.

`Order` -> a job of SLURM, named after its job folder, which holds submitit's files too (0700: it pickles our one small
function and its three words; nothing here ever loads a pickle). SLURM's own requeueing is off: who lost a node is taken
up again by the queue, and counted. `cluster="local"` is submitit's stand-in for SLURM, for tests.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import write_bytes
from hrm_core.runs.backends.base import SLURM, Backend, JobState, Order, Resources
from hrm_core.runs.backends.job import GRACE_S, run_order
from hrm_core.runs.backends.orders import JobFolder, job_folder, new_job, refuse_name, told, withdraw
from hrm_core.runs.files import read_small
from hrm_core.runs.text import clean

WAITS: Final = ("PENDING", "CONFIGURING", "UNKNOWN", "REQUEUED", "RESIZING", "SUSPENDED")
RUNS: Final = ("RUNNING", "COMPLETING", "STAGE_OUT")
GONE: Final = ("NODE_FAIL", "PREEMPTED", "TIMEOUT", "BOOT_FAIL", "INTERRUPTED")
"""SLURM's words for a job that its node, its partition or its time limit ended: such a run goes on elsewhere."""


@final
class SlurmBackend(Backend):
    """Jobs of one runs folder in SLURM."""

    name = SLURM

    def __init__(
        self, runs_dir: Path, resources: Resources, partition: str = "", hours: float = 24.0, cluster: str = SLURM
    ) -> None:
        self._runs_dir = runs_dir
        self._resources = resources
        self._partition = partition
        self._hours = hours
        self._cluster = cluster
        self._jobs: dict[str, Any] = {}  # submitit's, by the names of ours

    def check(self) -> None:
        """UserError (1): no submitit, or no SLURM on this machine."""
        _submitit()
        if self._cluster == SLURM:
            missing = [name for name in ("sbatch", "srun", "sacct") if shutil.which(name) is None]
            if missing:
                raise UserError(
                    f"--on slurm: {', '.join(missing)} not found: this machine has no SLURM.\n"
                    "Start the queue on a login node of the cluster, or use --on local.",
                    1,
                )

    def start(self, order: Order) -> str:
        """Submits it. UserError (1) with what `sbatch` said."""
        self.check()
        folder, nonce = new_job(self._runs_dir, order)
        executor = _submitit().AutoExecutor(folder=str(folder.path / "submitit"), cluster=self._cluster)
        more = {"slurm_partition": refuse_name(self._partition)} if self._partition else {}
        executor.update_parameters(
            name=folder.path.name,
            timeout_min=max(round(self._hours * 60), 1),
            gpus_per_node=order.gpus_of(self._resources),
            cpus_per_task=self._resources.cpus,
            slurm_additional_parameters={"no-requeue": True},
            slurm_signal_delay_s=round(GRACE_S) + 60,
            **more,
        )
        try:
            job = executor.submit(run_order, str(folder.path), nonce, SLURM)
        except Exception as error:  # submitit has errors of its own, and those of the processes that it calls
            withdraw(folder)
            raise UserError(f"SLURM did not take the job: {clean(' '.join(str(error).split()))[:300]}", 1) from None
        write_bytes(folder.path / "engine.txt", str(job.job_id).encode("ascii", "replace"))
        self._jobs[folder.path.name] = job
        return folder.path.name

    def state(self, job: str) -> JobState:
        """By the job's folder; where that says nothing of an end, by SLURM."""
        folder = job_folder(self._runs_dir, job)
        said = told(folder)
        if said is not None and said.kind == "lost":
            return said
        engine = self._engine_state(job, folder)
        if said is not None and said.kind == "ended":
            return JobState("lost", said.code, f"SLURM: {engine}", said.where) if engine in GONE else said
        if said is None and engine in (*WAITS, *RUNS):
            return JobState("waiting")
        if engine in (*WAITS, *RUNS):
            return said or JobState("waiting")
        again = told(folder)  # it may have ended between the two looks
        if again is not None and again.kind in ("ended", "lost"):
            return again
        if said is not None or engine in GONE:
            return JobState("lost", None, f"SLURM: {engine}", "" if said is None else said.where)
        return JobState("ended", None, f"SLURM says {engine}, and nothing of the job came to {folder.path}: {_SHARED}")

    def _engine_state(self, job: str, folder: JobFolder) -> str:
        """SLURM's word; UNKNOWN while it has none."""
        known = self._jobs.get(job)
        if known is None:
            number = (read_small(folder.path / "engine.txt", 100) or b"").decode("ascii", "replace").strip()
            if not number.isdigit():
                return "NEVER SUBMITTED"
            submitit = _submitit()
            kind = submitit.SlurmJob if self._cluster == SLURM else submitit.LocalJob
            known = self._jobs[job] = kind(folder=str(folder.path / "submitit"), job_id=number)
        return str(known.state).split(" ", maxsplit=1)[0].rstrip("+") or "UNKNOWN"

    def stop(self, job: str, *, at_once: bool = False) -> None:
        """Withdraws it; `scancel` where it was submitted."""
        withdraw(job_folder(self._runs_dir, job))
        known = self._jobs.get(job)
        if known is not None:
            known.cancel(check=False)

    def close(self) -> None:
        """Nothing is held."""


_SHARED: Final = "are the runs on a file system that the nodes share? See `scontrol show job`."


def _submitit() -> Any:
    try:
        import submitit
    except ImportError:
        raise UserError("--on slurm needs submitit: pip install 'hrm-console[slurm]'", 1) from None
    return submitit

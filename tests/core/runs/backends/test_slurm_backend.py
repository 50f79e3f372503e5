"""The queue on SLURM's back end with submitit's own stand-in for a cluster: a run, a lost node, a withdrawn job."""

from __future__ import annotations

import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from queue_stand_in import Bench
from waiting import wait_for

from hrm_core.errors import UserError
from hrm_core.runs.backends.base import Backend, Order, Resources
from hrm_core.runs.backends.orders import jobs_folder
from hrm_core.runs.backends.slurm import SlurmBackend
from hrm_core.runs.queue_status import last_log_lines
from hrm_core.runs.queue_store import read_queue
from hrm_core.runs.reader import events, read_run

BACKENDS: list[SlurmBackend] = []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for number in jobs_folder(made.runs).glob("*/engine.txt"):
        kill_tree(int(number.read_text()))
    for backend in BACKENDS:
        for job in backend._jobs.values():
            job._process.wait(10)
    BACKENDS.clear()
    made.close()


def kill_tree(pid: int) -> None:
    """Ends a node: the engine's process and all below it, the run too."""
    try:
        there = psutil.Process(pid)
        tree = [there, *there.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in tree:
        process.kill()
    psutil.wait_procs(tree, 10)


def local_cluster(name: str, runs_dir: Path) -> Backend:
    assert name == "slurm"
    BACKENDS.append(SlurmBackend(runs_dir, Resources(0, 1), cluster="local"))
    return BACKENDS[-1]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_runs_by_submitit_end_where_local_ones_do_and_a_lost_node_is_counted(bench: Bench) -> None:
    bench.put("finish", on="slurm")
    bench.put("wait", on="slurm")
    bench.put("fail", on="slurm")
    killed: list[str] = []

    def end_the_node() -> None:
        wait_for(lambda: read_run(bench.runs / "r2").step == 1, 60)
        killed.append(read_run(bench.runs / "r2").where)
        job = bench.entry("2").job
        assert job is not None
        kill_tree(int((jobs_folder(bench.runs) / job.partition(":")[2] / "engine.txt").read_text()))

    helper = threading.Thread(target=end_the_node, daemon=True)
    helper.start()
    bench.work(backend=local_cluster, code=lambda entry: None)
    helper.join(10)
    assert not helper.is_alive()
    assert bench.states() == {"1": "done", "2": "done", "3": "failed"}
    assert [(bench.entry(number).losses, bench.entry(number).attempts) for number in "123"] == [(0, 1), (1, 2), (0, 1)]
    assert bench.entry("3").reason == "as told"
    assert [event["words"][0] for event in events(bench.runs / "r2") if "words" in event] == ["run", "resume"]
    assert killed and killed[0].startswith("slurm:") and bench.entry("1").where.startswith("slurm:")
    for folder in jobs_folder(bench.runs).iterdir():
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not list((bench.runs / "r1").rglob("*.pkl"))
    assert read_queue(bench.runs).stopped == ""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_job_whose_time_is_nearly_up_writes_a_checkpoint_and_goes_on_in_another(bench: Bench) -> None:
    """SLURM's word for it goes to every process of the job."""

    def time_is_up() -> None:
        wait_for(lambda: read_run(bench.runs / "r1").step == 1, 60)
        job = bench.entry("1").job
        assert job is not None
        controller = int((jobs_folder(bench.runs) / job.partition(":")[2] / "engine.txt").read_text())
        for process in psutil.Process(controller).children(recursive=True):
            process.send_signal(signal.SIGUSR2)

    bench.put("wait", on="slurm")
    helper = threading.Thread(target=time_is_up, daemon=True)
    helper.start()
    bench.work(backend=local_cluster, code=lambda entry: None)
    helper.join(10)
    entry = bench.entry("1")
    assert (entry.state, entry.losses, entry.attempts) == ("done", 1, 2)
    log = "\n".join(last_log_lines(bench.runs, 50))
    assert "was lost at step 1: its engine left it; goes on from its last checkpoint; losses: 1" in log


def test_without_slurm_two_lines_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UserError, match=r"sbatch, srun, sacct not found: this machine has no SLURM.\nStart the queue on"
    ):
        SlurmBackend(tmp_path, Resources()).start(Order(("true",), tmp_path / "run"))
    assert not jobs_folder(tmp_path).exists()

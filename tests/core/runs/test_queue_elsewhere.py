"""The queue's worker with a back end that is not this machine: order, losses, taking back, refusals, where it says."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from queue_stand_in import Bench, settings_with
from waiting import wait_for

from hrm_core.errors import UserError
from hrm_core.runs.backends.base import Backend, JobState, Order, Resources
from hrm_core.runs.backends.local import LocalBackend
from hrm_core.runs.backends.orders import JobFolder, clean_jobs, new_job, withdraw, write_ended
from hrm_core.runs.launch import WHERE
from hrm_core.runs.queue import hold, remove
from hrm_core.runs.queue_status import ask_stop, last_log_lines, read_worker
from hrm_core.runs.queue_store import read_queue
from hrm_core.runs.queue_turns import where_words
from hrm_core.runs.reader import events, read_run


class Engine(Backend):
    """Nodes of its own on this machine; `says` may answer for a job instead of what is so."""

    name = "ray"

    def __init__(self, says: Callable[[Engine, str], JobState | None]) -> None:
        self.says = says
        self.local = LocalBackend()
        self.jobs: dict[str, str] = {}
        self.orders: list[Order] = []
        self.stopped: list[str] = []

    def check(self) -> None:
        """Always there."""

    def start(self, order: Order) -> str:
        job = f"job{len(self.jobs) + 1}"
        self.orders.append(order)
        environment = {**os.environ, WHERE: f"ray:node{len(self.jobs) + 1}"}
        self.jobs[job] = self.local.start(Order(order.argv, order.folder, None, environment))
        return job

    def state(self, job: str) -> JobState:
        found = self.says(self, job)
        if found is not None:
            return found
        state = self.local.state(self.jobs[job])
        return JobState(state.kind, state.code, "", f"ray:node{job[3:]}")

    def stop(self, job: str, *, at_once: bool = False) -> None:
        self.stopped.append(job)

    def close(self) -> None:
        """Its nodes are this test's children: each is collected."""
        for process in self.jobs.values():
            wait_for(lambda process=process: self.local.state(process).kind == "ended")  # type: ignore[misc]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    with suppress(UserError):  # a test may have damaged it
        made.close()


def work(bench: Bench, engine: Backend, **more: object) -> str:
    return bench.work(backend=lambda name, runs: engine, code=lambda entry: None, **more)  # type: ignore[arg-type]


def test_a_run_elsewhere_is_the_same_command_line_and_says_where(bench: Bench) -> None:
    engine = Engine(lambda engine, job: None)
    bench.put("finish", on="ray")
    bench.put("finish")
    assert work(bench, engine) == "nothing is left to run (2 done)"
    (order,) = engine.orders
    assert order.argv[0] == sys.executable and order.argv[2:] == (
        "run", "EXP-00", "do=finish", "--name", "r1", "--runs", str(bench.runs),
    )  # fmt: skip
    assert (bench.entry("1").where, bench.entry("1").job, bench.entry("2").where) == ("ray:node1", None, "")
    assert (read_run(bench.runs / "r1").where, read_run(bench.runs / "r2").where) == ("ray:node1", "")
    assert any("1 (EXP-00): runs on ray:node1" in line for line in last_log_lines(bench.runs, 50))


def test_a_run_of_several_gpus_is_ordered_with_them(bench: Bench) -> None:
    engine = Engine(lambda engine, job: None)
    bench.put("finish", on="ray", gpus=3)
    bench.put("finish", on="ray")
    work(bench, engine)
    assert [order.gpus_of(Resources(1, 1)) for order in engine.orders] == [3, 1]
    assert [order.gpus_of(Resources(0, 1)) for order in engine.orders] == [3, 0]
    assert engine.orders[0].argv[-2:] == ("--gpus", "3")


def test_entries_that_name_no_place_go_where_the_worker_is_told(bench: Bench) -> None:
    engine = Engine(lambda engine, job: None)
    bench.put("finish")
    bench.put("finish", on="local")
    work(bench, engine, on="ray")
    assert [order.folder.name for order in engine.orders] == ["r1"]
    assert bench.states() == {"1": "done", "2": "done"}


def test_a_lost_node_is_counted_once_and_the_run_goes_on(bench: Bench) -> None:
    def says(engine: Engine, job: str) -> JobState | None:
        if job != "job1" or read_run(bench.runs / "r1").step != 1:
            return None
        if engine.local.state(engine.jobs[job]).kind == "running":
            os.kill(int(engine.jobs[job]), signal.SIGKILL)
            wait_for(lambda: engine.local.state(engine.jobs[job]).kind == "ended")
        return JobState("lost", None, "its node is gone", "ray:node1")

    engine = Engine(says)
    bench.put("wait", on="ray")
    work(bench, engine, quick_s=60.0)
    entry = bench.entry("1")
    assert (entry.state, entry.losses, entry.attempts, entry.where) == ("done", 1, 2, "ray:node2")
    assert where_words(entry) == "ray:node2, 1 lost"
    assert [event["words"][0] for event in events(bench.runs / "r1") if "words" in event] == ["run", "resume"]
    said = "its node (ray:node1) was lost at step 1: its node is gone; goes on from its last checkpoint; losses: 1"
    assert any(said in line for line in last_log_lines(bench.runs, 50))


def test_a_run_that_still_lives_is_not_begun_twice(bench: Bench) -> None:
    looked: list[str] = []

    def says(engine: Engine, job: str) -> JobState | None:
        if job != "job1" or read_run(bench.runs / "r1").step != 1:
            return None
        looked.append(job)
        if len(looked) == 10:  # out of sight until now; it ends as one does that a signal stops
            assert len(engine.jobs) == 1
            os.kill(int(engine.jobs[job]), signal.SIGTERM)
        return JobState("lost", None, "its engine left it", "ray:node1")

    engine = Engine(says)
    bench.put("wait", on="ray")
    work(bench, engine)
    assert len(looked) > 10 and len(engine.jobs) == 2
    assert (bench.entry("1").state, bench.entry("1").losses) == ("done", 1)


def test_a_run_that_loses_node_after_node_without_getting_on_has_failed(bench: Bench) -> None:
    def says(engine: Engine, job: str) -> JobState | None:
        wait_for(lambda: engine.local.state(engine.jobs[job]).kind == "ended")
        return JobState("lost", None, "out of memory")

    bench.put("crash", on="ray")
    work(bench, Engine(says))
    entry = bench.entry("1")
    assert (entry.state, entry.losses, entry.attempts) == ("failed", 4, 4)
    assert entry.reason == "4 nodes were lost under it at step 0, the last: out of memory"


def test_a_run_that_fails_by_itself_is_no_loss_and_why_it_never_began_is_said(bench: Bench) -> None:
    words = "node x does not see this runs folder"
    bench.put("fail", on="ray")
    bench.put("finish", on="ray")
    engine = Engine(lambda engine, job: JobState("ended", None, words) if job == "job2" else None)
    work(bench, engine)
    assert (bench.entry("1").state, bench.entry("1").reason, bench.entry("1").losses) == ("failed", "as told", 0)
    assert (bench.entry("2").state, bench.entry("2").reason) == ("failed", words)


def test_only_so_many_wait_in_the_engine_and_one_that_waits_can_be_taken_back(bench: Bench) -> None:
    taken: list[str] = []

    def says(engine: Engine, job: str) -> JobState | None:
        if job == "job1":
            if not taken:
                assert len(engine.jobs) == 1 and where_words(bench.entry("1")) == "waits in ray"
                hold(bench.runs, ["1"])
                taken.append(job)
            return JobState("waiting")
        return None

    for _ in range(3):
        bench.put("finish", on="ray")
    engine = Engine(says)
    work(bench, engine, settings=lambda: settings_with(ahead=1.0))
    assert bench.states() == {"1": "held", "2": "done", "3": "done"}
    assert engine.stopped == ["job1"] and bench.entry("1").job is None
    remove(bench.runs, ["1"])
    assert bench.states() == {"2": "done", "3": "done"}


def test_an_engine_that_does_not_answer_is_waited_for(bench: Bench) -> None:
    said: list[str] = []

    def says(engine: Engine, job: str) -> JobState | None:
        said.append(read_worker(bench.runs).words)
        return JobState("unknown", None, "Ray at a:1 does not answer") if len(said) < 5 else None

    bench.put("finish", on="ray")
    work(bench, Engine(says))
    assert "Ray at a:1 does not answer" in said
    assert (bench.entry("1").state, bench.entry("1").losses) == ("done", 0)


def test_an_engine_that_does_not_take_a_run_gets_it_again_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    take = Engine.start

    def refuse(self: Engine, order: Order) -> str:
        tried.append(read_worker(bench.runs).words)
        if len(tried) < 3:
            raise UserError("no Ray answers at a:1.\nStart it.", 1)
        return take(self, order)

    monkeypatch.setattr(Engine, "start", refuse)
    bench.put("finish", on="ray")
    bench.put("finish")  # what is for this machine does not wait for Ray
    assert work(bench, Engine(lambda engine, job: None)) == "nothing is left to run (2 done)"
    assert tried[2] == "no Ray answers at a:1. Start it."
    assert (bench.entry("1").state, bench.entry("1").attempts, bench.entry("1").losses) == ("done", 1, 0)
    ended = {number: bench.entry(number).ended_s or 0.0 for number in "12"}
    assert ended["2"] < ended["1"]


def test_stopping_the_runs_takes_back_what_waits_in_an_engine(bench: Bench) -> None:
    bench.put("finish", on="ray", state="running", job="ray:job9", run_id="r1")
    assert ask_stop(bench.runs, runs_too=True) == (False, [])
    assert (bench.entry("1").state, bench.entry("1").reason) == ("held", "taken back while it waited")


def test_folders_of_jobs_that_are_over_go_after_a_day(tmp_path: Path) -> None:
    def made(name: str) -> JobFolder:
        return new_job(tmp_path, Order(("true",), tmp_path / name))[0]

    runs, ended, withdrawn = made("runs"), made("ended"), made("withdrawn")
    write_ended(ended, 0, cut=False)
    withdraw(withdrawn)
    clean_jobs(tmp_path)
    assert all(folder.path.is_dir() for folder in (runs, ended, withdrawn))
    clean_jobs(tmp_path, older_than_s=-1.0)
    assert [folder.path.is_dir() for folder in (runs, ended, withdrawn)] == [True, False, False]


def test_without_a_worker_an_entry_elsewhere_stays_as_it_is_until_its_files_say_more(bench: Bench) -> None:
    bench.put("finish", on="ray", state="running", job="ray:job9", run_id="r1")
    assert bench.states() == {"1": "running"}
    engine = Engine(lambda engine, job: JobState("lost", None, "Ray knows it no more"))
    engine.says = lambda engine, job: JobState("lost", None, "Ray knows it no more") if job == "job9" else None
    assert work(bench, engine) == "nothing is left to run (1 done)"
    assert (bench.entry("1").losses, bench.entry("1").where) == (1, "ray:node1")


@pytest.mark.parametrize(
    ("key", "value"), [("on", "moon"), ("job", "ray"), ("job", "ray:../x"), ("job", "local:1"), ("job", "ray:a/b")]
)
def test_a_place_that_the_file_cannot_mean_makes_it_damaged(bench: Bench, key: str, value: str) -> None:
    bench.put("finish", **{key: value})
    with pytest.raises(UserError, match=rf"is damaged: {key} is no word of ours"):
        read_queue(bench.runs)

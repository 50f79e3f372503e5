"""The queue on a real Ray cluster of two nodes on loopback: who listens, a node that is killed, an open cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from queue_stand_in import Bench
from ray_nodes import Nodes, kill_node, own_nodes
from waiting import wait_for

from hrm_core.errors import UserError
from hrm_core.runs.backends.base import Backend, Order, Resources
from hrm_core.runs.backends.ray_backend import RayBackend
from hrm_core.runs.backends.ray_client import takes_anybody
from hrm_core.runs.backends.ray_setup import token_path
from hrm_core.runs.control import request
from hrm_core.runs.queue_status import ask_stop
from hrm_core.runs.reader import events, read_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(170)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    yield from own_nodes(tmp_path, monkeypatch)


def listening(nodes: Nodes) -> set[str]:
    """The addresses that processes of ours listen on."""
    found = set()
    for process in nodes.everything():
        try:
            inet = process.net_connections("tcp")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        found |= {place.laddr.ip for place in inet if place.status == psutil.CONN_LISTEN}
        assert all(place.laddr.port != 8265 for place in inet if place.status == psutil.CONN_LISTEN)
    return found


def test_a_node_that_is_killed_loses_no_run(bench: Bench, nodes: Nodes) -> None:
    nodes.start(cpus=1)
    second = nodes.start(cpus=1)
    made: list[RayBackend] = []
    seen: dict[str, object] = {}

    def ray(name: str, runs_dir: Path) -> Backend:
        made.append(RayBackend(runs_dir, Resources(0, 1), nodes.address))
        return made[-1]

    def end_a_node() -> None:
        wait_for(lambda: all(read_run(bench.runs / name).step == 1 for name in ("r1", "r2")), 100)
        assert ask_stop(bench.runs) == (True, [])
        wait_for(lambda: len(made) == 2)
        seen["listening"] = listening(nodes)
        seen["anybody"] = takes_anybody(nodes.address).wait(60)
        tree = {process.pid for process in second.children(recursive=True)}
        lost, other = ("r1", "r2") if read_run(bench.runs / "r1").pid in tree else ("r2", "r1")
        assert read_run(bench.runs / lost).pid in tree
        seen["lost"], seen["where"] = lost, read_run(bench.runs / lost).where
        kill_node(second)
        wait_for(lambda: bench.entry(lost[1]).losses == 1, 60)
        request(bench.runs / other, "stop")

    bench.put("wait", on="ray")
    bench.put("wait", on="ray")
    helper = threading.Thread(target=end_a_node, daemon=True)
    helper.start()
    # The first worker leaves, the second finds what runs on the nodes.
    assert bench.work(backend=ray, code=lambda entry: None) == "stopped as asked"
    assert bench.states() == {"1": "running", "2": "running"}
    assert bench.work(backend=ray, code=lambda entry: None) == "nothing is left to run (1 done)"
    helper.join(30)
    lost = str(seen["lost"])
    entry = bench.entry(lost[1])
    assert (entry.state, entry.losses, entry.attempts) == ("done", 1, 2)
    other = bench.entry("2" if lost == "r1" else "1")
    assert (other.state, other.losses, other.reason) == ("stopped", 0, "by request")
    assert [event["words"][0] for event in events(bench.runs / lost) if "words" in event] == ["run", "resume"]
    assert str(seen["where"]).startswith("ray:") and entry.where == other.where != seen["where"]
    # Nothing listens but on loopback, no dashboard does, and who shows no token is not answered.
    listened = seen["listening"]
    assert isinstance(listened, set) and listened <= {"127.0.0.1", "::ffff:127.0.0.1"} and listened
    assert seen["anybody"] != 0
    assert token_path().stat().st_mode & 0o777 == 0o600


def test_a_cluster_without_a_token_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    nodes.start(cpus=1, RAY_AUTH_MODE="disabled")
    backend = RayBackend(tmp_path, Resources(0, 1), nodes.address)
    with pytest.raises(UserError, match=r"takes commands from anybody: it was started without a token.\nStart it with"):
        backend.start(Order(("true",), tmp_path / "run"))
    assert not (tmp_path / "queue/jobs").exists()

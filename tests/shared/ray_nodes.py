"""Nodes of a Ray cluster on loopback, as `hrm queue ray-start` makes them, and what is left of them."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from waiting import soon, wait_for

from hrm_core.runs.backends.ray_node import command
from hrm_core.runs.backends.ray_setup import TOKEN, TOKEN_PATH, make_token, ray_environment, token_path


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Nodes:
    """A head and others. Every process of theirs is known by the path of this test's own token."""

    def __init__(self, log: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.log = log
        self.processes: list[subprocess.Popen[bytes]] = []
        make_token()

    def start(self, cpus: int, **more: str) -> psutil.Process:
        """The head, or one more node; `more` of its environment."""
        argv = command(self.address, head=not self.processes, cpus=cpus, gpus=0)
        environment = {**ray_environment(os.environ), **more}
        with open(self.log, "ab") as log:
            process = subprocess.Popen(argv, env=environment, start_new_session=True, stdout=log, stderr=log)
        self.processes.append(process)
        host, _, port = self.address.partition(":")
        wait_for(lambda: _listens(host, int(port)), 60)
        return psutil.Process(process.pid)

    def everything(self) -> list[psutil.Process]:
        """Every process with this test's token: Ray's, ours on the nodes, and the runs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get(TOKEN_PATH) == str(token_path()):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def close(self) -> list[str]:
        """Ends the nodes in order, then whatever is left at once; gives what had to be killed."""
        for process in reversed(self.processes):
            process.terminate()
        soon(lambda: all(process.poll() is not None for process in self.processes) and not self.everything(), 20)
        left = self.everything()
        names = [" ".join(process.cmdline())[:80] for process in left]
        for process in left:
            process.kill()
        psutil.wait_procs(left, 10)
        for done in self.processes:
            done.wait(10)
        return names


def no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the test's own, in which there is no token for Ray yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in (TOKEN, TOKEN_PATH, "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


def own_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """A cluster for one test; nothing of it may be left afterwards. For a fixture."""
    no_token(tmp_path, monkeypatch)
    made = Nodes(tmp_path / "ray.log")
    yield made
    left = made.close()
    assert left == [], f"outlived its node: {left}"


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def kill_node(node: psutil.Process) -> None:
    """A node goes down: everything that runs on it, at once."""
    tree = [node, *node.children(recursive=True)]
    for process in tree:
        process.suspend()  # so that nobody can say goodbye
    for process in tree:
        process.kill()
    psutil.wait_procs(tree, 10)

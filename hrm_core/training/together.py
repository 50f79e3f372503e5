"""Brings the ranks of one run together on rank 0, and lets go of them when it ends.

Training room: a Crew -> the others there, with their job, within the block. Where torchrun has started them they are
met; where `--gpus N` was given they are started here, on this machine, and meet over the loopback. torchrun's own
restarts are left off (`--max-restarts 0`): `hrm resume` goes on from the last checkpoint.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from hrm_core.errors import UserError
from hrm_core.runs.world import environment_of
from hrm_core.training.crew import Crew, Order
from hrm_core.training.follower import MEETING
from hrm_core.training.step import StepParts

LOOPBACK = "127.0.0.1"


@contextmanager
def together(parts: StepParts, job: Mapping[str, Any]) -> Iterator[None]:
    """Within the block all ranks are there and build what `job` says. UserError (1) where one does not come."""
    crew = parts.crew
    if crew is None:
        yield
        return
    followers: list[subprocess.Popen[bytes]] = []
    try:
        if crew.world.own:
            store, port = _store(crew.world.size)
            followers = [_start(crew, rank, port) for rank in range(1, crew.world.size)]
            _meet(store, followers)
            crew.join(store)
        else:
            crew.join()
        crew.tell(Order.BEGIN, job)
        crew.use(parts.model.device)
        yield
        for follower in followers:
            with suppress(subprocess.TimeoutExpired):
                follower.wait(timeout=30)
    finally:
        for follower in followers:
            follower.kill()
            follower.wait()
        crew.leave()


def _store(size: int) -> tuple[TCPStore, int]:
    """Where the ranks meet, and its port. On its own torch would listen on every address of the machine."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        listening = server.detach()  # the store's from here on
    store = TCPStore(LOOPBACK, port, size, True, timeout=MEETING, wait_for_workers=False, master_listen_fd=listening)
    return store, port


def _start(crew: Crew, rank: int, port: int) -> subprocess.Popen[bytes]:
    # Of this process too: all of them are on this machine, and gloo would listen on an address that others reach.
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    world = replace(crew.world, rank=rank, local=rank)
    return subprocess.Popen(
        [sys.executable, "-m", "hrm_core.training.follower"],
        env=environment_of(world, LOOPBACK, port, os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is rank 0's alone, also before this one heeds no signals
    )


def _meet(store: TCPStore, followers: list[subprocess.Popen[bytes]]) -> None:
    """Waits until every follower has said that it is there; one that ends before has said why."""
    end = time.monotonic() + MEETING.total_seconds()
    for rank, follower in enumerate(followers, start=1):
        while not store.check([f"here-{rank}"]):
            if follower.poll() is not None or time.monotonic() > end:
                raise UserError(f"rank {rank} of {len(followers) + 1} did not start; what it said is above.", 1)
            time.sleep(0.05)

"""Room `runs`: what Ray runs on a node: an actor that carries out one job and waits to be asked how it went.

Detached, so that it outlives the queue's worker; without restarts, since the queue counts the losses. Its methods run
one after the other: `outcome` is answered when `run` is over, however often the asker has changed.
"""

from __future__ import annotations

import os
import threading
from typing import Final, final

from hrm_core.runs.backends.job import run_order

LONELY_S: Final = 120.0


@final
class Runner:
    """One job on one node."""

    def __init__(self) -> None:
        self._outcome: tuple[int | None, str] | None = None

    def run(self, place: str, nonce: str) -> tuple[int | None, str]:
        """Runs the job to its end: (exit code, "") or (None, why it did not begin)."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        try:
            self._outcome = run_order(place, nonce, "ray", node[:6])
        finally:
            # Whoever began it may be gone: nobody would end this process, and its node's places be taken for good.
            lonely = threading.Timer(LONELY_S, os._exit, (0,))
            lonely.daemon = True
            lonely.start()
        return self._outcome

    def outcome(self) -> tuple[int | None, str] | None:
        """What `run` gave."""
        return self._outcome

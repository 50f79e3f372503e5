"""Room `runs`: the back end `ray`: jobs with cores and GPUs on a Ray cluster, by a client in a process of its own.

`Order` -> job folder and a detached actor (`ray_runner.py`); the folder says what became of it, Ray only whether it is
still there. The client (`ray_client.py`) is started when it is first needed, and again when it is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import make_folder, open_append
from hrm_core.runs.backends.base import RAY, Backend, JobState, Order, Resources
from hrm_core.runs.backends.orders import job_folder, jobs_folder, new_job, told, withdraw
from hrm_core.runs.backends.ray_setup import (
    LOOPBACK,
    has_token,
    need_ray,
    parse_address,
    ray_environment,
    token_path,
)
from hrm_core.runs.files import Row, integer, mapping, parse_object, string
from hrm_core.runs.text import clean, clean_lines

ANSWER_S: Final = 60.0
REACH_S: Final = 5.0
AGAIN_S: Final = 10.0
FRESH_S: Final = 1.0
CLIENT: Final = (sys.executable, "-m", "hrm_core.runs.backends.ray_client")


@final
class RayBackend(Backend):
    """Jobs of one runs folder on a Ray cluster. `client`: the command that becomes the client (tests have another)."""

    name = RAY

    def __init__(self, runs_dir: Path, resources: Resources, address: str, client: Sequence[str] | None = None) -> None:
        self._runs_dir = runs_dir.resolve()
        self._resources = resources
        self._address = address
        self._command = client
        self._process: subprocess.Popen[bytes] | None = None
        self._left = b""
        self._tried = 0.0
        self._why: UserError | None = None  # of the last try that failed
        self._seen: dict[str, Row] = {}
        self._looked = 0.0
        self._jobs: set[str] = set()

    def check(self) -> None:
        """UserError (1): no Ray here, nothing at the address, no token, another version, a cluster open to all."""
        self._open()

    def start(self, order: Order) -> str:
        """Hands it to Ray, where it waits for room. UserError (1) if Ray does not take it."""
        self._open()
        folder, nonce = new_job(self._runs_dir, order)
        job = folder.path.name
        wanted = {"gpus": order.gpus_of(self._resources), "cpus": self._resources.cpus}
        try:
            self._ask({"do": "start", "job": job, "place": str(folder.path), "nonce": nonce, **wanted})
        except UserError:
            withdraw(folder)
            raise
        self._jobs.add(job)
        return job

    def state(self, job: str) -> JobState:
        """By the job's folder; where that says nothing of an end, by Ray."""
        folder = job_folder(self._runs_dir, job)
        self._jobs.add(job)
        said = told(folder)
        if said is not None and said.kind in ("ended", "lost"):
            self._forget(job)
            return said
        try:
            row = self._row(job)
        except UserError as error:
            return JobState("unknown", None, error.message, "" if said is None else said.where)
        kind, words = string(row, "kind"), string(row, "words", 1000) or ""
        if kind not in ("ended", "lost"):
            return said or JobState("waiting")
        again = told(folder)  # it may have ended between the two looks
        self._forget(job)
        if again is not None and again.kind in ("ended", "lost"):
            return again
        where = "" if again is None else again.where
        if kind == "lost":
            return JobState("lost", None, words, where)
        return JobState("ended", integer(row, "code"), words, where)

    def _row(self, job: str) -> Row:
        """What Ray says of a job; all are asked about at once, now and then."""
        now = time.monotonic()
        if now - self._looked > FRESH_S or job not in self._seen:
            self._open()
            self._seen = mapping(self._ask({"do": "states", "jobs": sorted(self._jobs)}), "states")
            self._looked = now
        return mapping(self._seen, job)

    def _forget(self, job: str) -> None:
        """Lets Ray have the place again, at once where a client is there."""
        self._jobs.discard(job)
        self._seen.pop(job, None)
        if self._process is not None and self._process.poll() is None:
            try:
                self._ask({"do": "stop", "job": job})
            except UserError:
                self.close()

    def stop(self, job: str, *, at_once: bool = False) -> None:
        """Withdraws it, and ends its actor: the process that watches the run then sends it SIGTERM."""
        withdraw(job_folder(self._runs_dir, job))
        self._forget(job)

    def close(self) -> None:
        """Ends the client; jobs go on."""
        process, self._process, self._left = self._process, None, b""
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        try:
            process.wait(REACH_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    # The client -------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Starts the client, unless it is there. UserError (1) with the remedy; not tried again at once."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        host, port = parse_address(self._address)
        if self._why is not None and time.monotonic() - self._tried < AGAIN_S:
            raise self._why
        try:
            self._connect(host, port)
        except UserError as error:
            self._why, self._tried = error, time.monotonic()
            self.close()
            raise

    def _connect(self, host: str, port: int) -> None:
        argv = self._command
        if argv is None:
            need_ray()
            _reach(host, port)
            argv = CLIENT
        space = "hrm-" + hashlib.sha256(os.fsencode(self._runs_dir)).hexdigest()[:12]
        make_folder(jobs_folder(self._runs_dir).parent)
        with open(open_append(jobs_folder(self._runs_dir).parent / "ray.txt"), "ab") as log:
            self._process = subprocess.Popen(
                [*argv, f"{host}:{port}", space],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=ray_environment(os.environ),
            )
        self._answer()

    def _ask(self, row: Row) -> Row:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.write(json.dumps(row).encode("ascii") + b"\n")
            process.stdin.flush()
        except OSError:
            self.close()
            raise UserError(f"Ray at {clean(self._address)} is gone, or its client is", 1) from None
        return self._answer()

    def _answer(self) -> Row:
        """The next line of the client. UserError (1): what it says went wrong, or that it says nothing."""
        process = self._process
        assert process is not None and process.stdout is not None
        end = time.monotonic() + ANSWER_S
        while b"\n" not in self._left:
            ready = select.select([process.stdout], [], [], max(end - time.monotonic(), 0.0))[0]
            part = os.read(process.stdout.fileno(), 65536) if ready else b""
            if not part:
                process.kill()
                self.close()
                raise UserError(f"Ray at {clean(self._address)} does not answer; see queue/ray.txt", 1)
            self._left += part
        line, _, self._left = self._left.partition(b"\n")
        row = parse_object(line) or {}
        error = string(row, "error", 2000)
        if error:
            raise UserError(clean_lines(error), 1)
        return row


def _reach(host: str, port: int) -> None:
    """UserError (1) if nothing listens there, or there is no token to show: Ray itself would wait for minutes."""
    try:
        socket.create_connection((host, port), REACH_S).close()
    except OSError as error:
        start = "hrm queue ray-start" + ("" if host in LOOPBACK and port == 6379 else f" --address {host}:{port}")
        raise UserError(
            f"no Ray answers at {host}:{port} ({clean(error.strerror or str(error))}).\n"
            f"Start it there with `{start}`, or set queue.ray_address to where it is.",
            1,
        ) from None
    if not has_token(os.environ):
        raise UserError(
            f"there is no token for Ray in {clean(token_path())}.\n"
            "Copy it from the machine where Ray's head was started.",
            1,
        )

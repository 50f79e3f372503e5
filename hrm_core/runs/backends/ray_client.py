"""Room `runs`: our side of Ray, in a process of its own: `python -m hrm_core.runs.backends.ray_client HOST:PORT SPACE`.

JSON lines on stdin -> JSON lines on stdout: start, states, stop. Ray's driver starts a dozen threads, takes SIGTERM and
ends its process where the cluster goes; the queue's worker must survive all that, so it is not in there. The jobs are
detached actors: the next client finds them by their names. Who speaks to it is `ray_backend.py`.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from typing import Any, Final, final

from hrm_core.runs.backends.ray_runner import Runner
from hrm_core.runs.backends.ray_setup import parse_address, stay_on_loopback
from hrm_core.runs.files import Row, integer, items, parse_object, string

PROBE_S: Final = 30.0
OPEN: Final = (
    "Ray at {0} takes commands from anybody: it was started without a token.\n"
    "Start it with `hrm queue ray-start`, or with RAY_AUTH_MODE=token."
)
# Whether a cluster answers somebody who shows no token, in a process of its own: Ray reads that setting once.
_PROBE: Final = """
import sys
from ray._raylet import GcsClient
print(len(GcsClient(address=sys.argv[1]).get_all_node_info()))
"""


def words_of(error: BaseException) -> str:
    """An error of Ray's on one line."""
    return " ".join(str(error).split())[:300]


def takes_anybody(address: str) -> subprocess.Popen[bytes]:
    """Asks without a token; exit code 0: it was answered."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    return subprocess.Popen(
        [sys.executable, "-c", _PROBE, address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**environment, "RAY_AUTH_MODE": "disabled", "RAY_gcs_rpc_server_connect_timeout_s": "3"},
    )


@final
class Client:
    """The jobs of one runs folder, in the namespace `space`."""

    def __init__(self, ray: Any, space: str) -> None:
        self.ray = ray
        self.space = space
        self.asked: dict[str, Any] = {}  # what was asked of each actor: it is answered when the job is over

    def answer(self, row: Row) -> Row:
        """One request."""
        do = string(row, "do")
        if do == "start":
            return self.start(row)
        if do == "stop":
            return self.stop(string(row, "job") or "")
        return {"states": {job: self.state(job) for job in items(row, "jobs") if isinstance(job, str)}}

    def start(self, row: Row) -> Row:
        """Makes the actor; it waits in Ray until a node has room. An error if no node ever will."""
        gpus, cpus = integer(row, "gpus") or 0, integer(row, "cpus") or 0
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(node.get("GPU", 0) >= gpus and node.get("CPU", 0) >= cpus for node in nodes):
            there = ", ".join(f"{node.get('GPU', 0):.0f} GPUs and {node.get('CPU', 0):.0f} cores" for node in nodes[:8])
            return {
                "error": f"no node of Ray's has the {gpus} GPUs and {cpus} cores that a run is given; there: {there}."
                "\nJoin a larger node, or change --gpus and --cpus (settings queue.job_gpus and queue.job_cpus)."
            }
        job = string(row, "job") or ""
        made = self.ray.remote(Runner).options(
            name=job, namespace=self.space, lifetime="detached", num_gpus=gpus, num_cpus=cpus, max_restarts=0,
            max_task_retries=0,
        )  # fmt: skip
        self.asked[job] = made.remote().run.remote(string(row, "place", 4000), string(row, "nonce"))
        return {}

    def state(self, job: str) -> Row:
        """waiting (or running: Ray does not say), ended, or lost."""
        errors = self.ray.exceptions
        try:
            if job not in self.asked:
                self.asked[job] = self.ray.get_actor(job, namespace=self.space).outcome.remote()
            if not self.ray.wait([self.asked[job]], timeout=0)[0]:
                return {"kind": "waiting"}
            found = self.ray.get(self.asked[job])
        except errors.ActorUnavailableError:
            del self.asked[job]
            return {"kind": "waiting"}
        except (errors.RayActorError, ValueError) as error:
            self.asked.pop(job, None)
            said = (
                "its node or its process is gone" if isinstance(error, errors.RayActorError) else "Ray knows it no more"
            )
            return {"kind": "lost", "words": said}
        except errors.RayError as error:
            self.stop(job)
            return {"kind": "ended", "code": None, "words": f"Ray could not run it: {words_of(error)}"}
        self.stop(job)
        code, words = found if found is not None else (None, "")
        if found is None:
            return {"kind": "lost", "words": "its process ended without a word"}
        return {"kind": "ended", "code": code, "words": words}

    def stop(self, job: str) -> Row:
        """Ends the actor: what it runs gets SIGTERM from the process that watches it."""
        self.asked.pop(job, None)
        try:
            self.ray.kill(self.ray.get_actor(job, namespace=self.space))
        except (ValueError, self.ray.exceptions.RayError):
            return {}
        return {}


def connect(address: str, space: str) -> tuple[Client | None, str]:
    """The client, or why there is none."""
    probe = takes_anybody(address)
    stay_on_loopback(parse_address(address)[0])
    import ray

    try:
        ray.init(
            address=address, namespace=space, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False
        )
    except Exception as error:  # Ray raises what it likes here: RuntimeError, ConnectionError, ValueError, its own
        probe.kill()
        probe.wait()
        words = words_of(error)
        if "ersion mismatch" in words:
            return None, f"Ray at {address} is another version: {words}\nInstall the same Ray and Python on every node."
        return None, f"Ray at {address} does not take us: {words}"
    try:
        is_open = probe.wait(PROBE_S) == 0
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.wait()
        is_open = False
    return (None, OPEN.format(address)) if is_open else (Client(ray, space), "")


def main() -> None:
    """The process: answers until stdin ends."""
    address, space = sys.argv[1:3]
    # Ray and its children print as they like: what is said to the worker goes elsewhere than stdout.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    client, error = connect(address, space)
    answers.write(json.dumps({"error": error} if error else {}) + "\n")
    answers.flush()
    if client is None:
        return
    for line in sys.stdin.buffer:
        row = parse_object(line)
        try:
            told: Row = client.answer(row or {})
        except Exception as problem:  # the worker is to hear of it, whatever it is
            told = {"error": f"Ray: {words_of(problem)}"}
        answers.write(json.dumps(told) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

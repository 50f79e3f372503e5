"""Room `runs`: a node of a Ray cluster as we want it, in the foreground: `python -m hrm_core.runs.backends.ray_node`.

address, head or not, cores, GPUs -> `ray start --block` with a token, without dashboard, on the address that is named.
It ends with all of Ray's processes on SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence

from hrm_core.runs.backends.ray_setup import parse_address, stay_on_loopback

STORE_BYTES = 80_000_000  # runs pass nothing through Ray's store; its smallest is 75 MiB


def node_words(address: str, *, head: bool, cpus: int | None, gpus: int | None, folder: str = "") -> list[str]:
    """The words of `ray start`."""
    host, port = parse_address(address)
    words = ["start", "--block", "--disable-usage-stats", f"--object-store-memory={STORE_BYTES}"]
    if head:
        words += ["--head", f"--node-ip-address={host}", f"--port={port}", "--include-dashboard=false"]
        words += [f"--temp-dir={folder}"] if folder else []
    else:
        words += [f"--address={host}:{port}"]
        words += [f"--node-ip-address={host}"] if host == "127.0.0.1" else []
    words += [] if cpus is None else [f"--num-cpus={cpus}"]
    return words + ([] if gpus is None else [f"--num-gpus={gpus}"])


def command(address: str, *, head: bool, cpus: int | None, gpus: int | None) -> list[str]:
    """The command line that becomes a node; its environment is `ray_setup.ray_environment`."""
    numbers = ["-" if number is None else str(number) for number in (cpus, gpus)]
    return [sys.executable, "-m", "hrm_core.runs.backends.ray_node", address, "head" if head else "join", *numbers]


def main(argv: Sequence[str]) -> None:
    """Becomes a node."""
    os.umask(0o077)  # sockets and logs are the user's
    address, kind, cpus, gpus = argv
    head = kind == "head"
    stay_on_loopback(parse_address(address)[0])
    from ray.scripts.scripts import main as ray

    numbers = [None if word == "-" else int(word) for word in (cpus, gpus)]
    # A name that nobody can have taken before: Ray's own, /tmp/ray, is everybody's.
    folder = tempfile.mkdtemp(prefix="hrm-ray-") if head else ""
    sys.argv = ["ray", *node_words(address, head=head, cpus=numbers[0], gpus=numbers[1], folder=folder)]
    try:
        ray()
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])

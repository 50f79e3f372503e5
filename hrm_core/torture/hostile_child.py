"""Runs commands on hostile files, each in a process of its own with little memory, little time and nothing to read.

Torture room. JSON lines on standard input (module, words, folder, output, memory, seconds, environment) -> a JSON line
each: how the command ended, what memory it took beyond this process, how long it took. The heavy imports are done once
here and every command is a fork of that: a second less for each. Judging what it did is `hostile.py`'s affair.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import runpy
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, NoReturn

# The commands lie above this room; they are named here, and run by name below.
PRELOADED = ("rich.progress", "safetensors.torch", "hrm_core.cli.main", "hrm_core.training.session")


def preload() -> None:
    """What commands import, so that no fork has to."""
    for name in PRELOADED:
        importlib.import_module(name)


def address_space() -> int:
    """Bytes of address space of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def private_kib() -> int:
    """Memory of this process that a fork begins with: what is no file's. Pages of libraries count as the fork's own."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def become(case: dict[str, Any]) -> NoReturn:
    """In the fork: limits, no terminal, output to a file; then the command, as `python -m MODULE WORDS`."""
    os.setsid()
    output = os.open(case["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    empty = os.open(os.devnull, os.O_RDONLY)
    for wanted, descriptor in ((0, empty), (1, output), (2, output)):
        os.dup2(descriptor, wanted)
    os.chdir(case["folder"])
    os.environ.update(case["environment"])
    limit = address_space() + int(case["memory_bytes"])
    for what, most in (
        (resource.RLIMIT_AS, limit),
        (resource.RLIMIT_CPU, int(case["seconds"]) + 1),
        (resource.RLIMIT_FSIZE, 2**30),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    sys.argv = [case["module"], *case["words"]]
    warnings.simplefilter("ignore")  # a module run anew under another name
    code = 70
    try:
        runpy.run_module(case["module"], run_name="__main__", alter_sys=False)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def watch(pid: int, seconds: float) -> dict[str, Any]:
    """Waits for a fork, at most so long; then it and its group are killed."""
    began, late = time.monotonic(), False
    before = private_kib()
    while True:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            break
        if not late and time.monotonic() - began > seconds:
            late = True
            os.killpg(pid, signal.SIGKILL)
        time.sleep(0.005)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "late": late,
        "seconds": time.monotonic() - began,
        "memory_mib": max(0, used.ru_maxrss - before) / 1024,
    }


def main() -> None:
    """Serves until the end of standard input."""
    preload()
    for line in sys.stdin:
        case = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(case)
        sys.stdout.write(json.dumps(watch(pid, case["seconds"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

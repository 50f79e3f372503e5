"""A fault at the n-th call that changes a file: the library of `shim.c`, made on this machine, and how it is told.

Torture room. C source -> a library for LD_PRELOAD -> a process in which call n kills, or fails. A process that was
started with it arms itself (`arm`), so that one process which has imported torch can fork a child for each n.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

from hrm_core.errors import UserError

OFF, COUNT, KILL, FAIL, FAIL_ONCE = range(5)  # as in shim.c
SOURCE: Final = Path(__file__).with_name("shim.c")


@final
@dataclass(frozen=True)
class Fault:
    """What happens at call `at`. mode: one of the five; error: errno of a failure; half: a write does half first;
    part: only calls whose path has this in it are counted; log: a file that gets a line for each call."""

    mode: int = OFF
    at: int = 0
    error: int = errno.ENOSPC
    half: bool = False
    part: str = ""
    log: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def build_shim(folder: Path) -> Path:
    """Compiles the library into `folder`. UserError (1) where there is no C compiler, or it refuses."""
    library = folder / "shim.so"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise UserError(
            "there is no C compiler (cc, gcc or clang), and faults at system calls need one.\n"
            "Install one, for instance with `apt install gcc`.",
            1,
        )
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{SOURCE.name} does not compile here: {last}\nFaults at system calls need Linux and glibc.", 1)
    return library


def shim_environment(library: Path, root: Path) -> dict[str, str]:
    """What a process needs in its environment to be able to arm itself for files under `root`."""
    before = os.environ.get("LD_PRELOAD", "")
    return {"LD_PRELOAD": f"{library}:{before}" if before else str(library), "HRM_SHIM_ROOT": str(root.resolve())}


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def arm(fault: Fault) -> None:
    """From here on this process is struck as `fault` says; its count begins at 0."""
    words = (fault.part.encode(), os.fsencode(fault.log))
    # ctypes has no signature for it: the number of calls is a C long.
    _library().hrm_shim_arm(fault.mode, ctypes.c_long(fault.at), fault.error, int(fault.half), *words)


def counted() -> int:
    """Calls since `arm`."""
    ask = _library().hrm_shim_count
    ask.restype = ctypes.c_long
    return int(ask())

"""The process that reads a data file before any other does: bounded memory and time, an exit code and a line.

Data room. `python -m hrm_core.data.guard_child PATH MEMORY CPU`: bytes of address space, seconds of processor -> exit
code `GOOD` with the sha256 of what was read on stdout, `REFUSED` with the loader's own words, `NO_MEMORY`; or it dies,
of a fault in HDF5 or at its limit of time, which is what it is for. The checks are the loader's; torch is not imported.
Who asks is `guard.py`. Source: h5py #2891 and Keras' CVE-2026-1669, which leave foreign HDF5 to whoever reads it.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from hrm_core.data.file import BUILD_IT, parse_file, read_bytes
from hrm_core.errors import UserError

GOOD: Final = 0
REFUSED: Final = 10  # 1 and 2 are the interpreter's own
NO_MEMORY: Final = 11

Read = Callable[[Path], str]


def read_file(path: Path) -> str:
    """The sha256 of a file whose every group, column and value the loader accepts; else its UserError."""
    raw, digest = read_bytes(path, BUILD_IT)
    parse_file(path, raw, BUILD_IT)
    return digest


def _limit(kind: int, soft: int, hard: int) -> None:
    highest = resource.getrlimit(kind)[1]
    if highest != resource.RLIM_INFINITY:
        soft, hard = min(soft, highest), min(hard, highest)
    with suppress(OSError, ValueError):  # a system that knows no such limit: the waiting has an end all the same
        resource.setrlimit(kind, (soft, hard))


def bounded(path: Path, memory: int, cpu_s: int, read: Read = read_file) -> tuple[int, str]:
    """Binds this process for good, reads, and gives its exit code and what it has to say."""
    _limit(resource.RLIMIT_AS, memory, memory)
    _limit(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_FSIZE, 0, 0)  # it has nothing to write but its answer, which goes into a pipe
    try:
        return GOOD, read(path)
    except UserError as refused:
        return REFUSED, refused.message
    except MemoryError:
        return NO_MEMORY, ""


def main(words: list[str], read: Read = read_file) -> int:
    """The exit code; the answer is on stdout."""
    code, said = bounded(Path(words[0]), int(words[1]), int(words[2]), read)
    sys.stdout.buffer.write(said.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

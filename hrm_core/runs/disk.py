"""Room `runs`: a disk that takes nothing more: which errors mean that, what is said of it, and whether it is so now.

OSError or folder -> a sentence. A run that meets such an error waits for room (`hrm_core/training/trouble.py`) and says
so in its status as soon as that can be written; until then a reader sees it by looking at the disk itself. Standard
library only.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from hrm_core.runs.text import clean

ALARM: Final = "disk_full"
ADVICE: Final = (
    "Make room (`hrm archive prune`, `hrm remove RUN`): the run goes on by itself within seconds, and nothing is lost. "
    "Or end it: `hrm stop RUN --now`; its last checkpoint stays."
)
_WORDS: Final = {
    errno.ENOSPC: "No space is left on the disk",
    errno.EDQUOT: "The disk quota is used up",
    errno.EROFS: "The disk is read-only",
    errno.EIO: "The disk reports an error",
}
_LEAST_BYTES: Final = 2**20  # of free space; a status and a few rows need less


def is_trouble(error: OSError) -> bool:
    """Whether an error means that the disk takes nothing now and may do so later."""
    return error.errno in _WORDS


def trouble_words(error: OSError) -> str:
    """What is wrong, in half a sentence, with the place where it was met."""
    known, said = _WORDS.get(error.errno or 0), clean(error.strerror or error)
    words = said if known is None else known if said == os.strerror(error.errno or 0) else f"{known}: {said}"
    named = isinstance(error.filename, (str, bytes, os.PathLike))
    return f"{words} ({clean(os.fsdecode(error.filename))})" if named else words


def no_room(folder: Path) -> str:
    """The sentence of an alarm where the disk of `folder` is read-only or has less than 1 MiB free; else empty."""
    try:
        found = os.statvfs(folder)
    except (OSError, ValueError):
        return ""
    if found.f_flag & os.ST_RDONLY:
        return "The disk of this run is read-only."
    free = found.f_bavail * found.f_frsize
    return f"The disk of this run is full: {free / 1024:.0f} KiB are free." if free < _LEAST_BYTES else ""

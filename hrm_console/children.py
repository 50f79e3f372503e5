"""Child processes that are run to their end, with what they say in files, so that they cannot block on us.

argv (a list, never a shell line) -> `Ended`. Called in a thread. A child has no terminal and is a session of its own.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hrm_core.runs.text import clean


@final
@dataclass(frozen=True)
class Ended:
    """How a child ended. status: its exit code; None where there is none, `trouble` then says why. out: what it said,
    at most so many bytes; complaints: the lines of its standard error, cleaned."""

    status: int | None
    out: bytes = b""
    complaints: tuple[str, ...] = ()
    trouble: str = ""


def run_child(argv: Sequence[str], patience_s: float, most_bytes: int, together: bool = False) -> Ended:
    """Run a child. together: standard error goes where standard output goes."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        try:
            status = subprocess.run(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said if together else complained,
                start_new_session=True,
                timeout=patience_s,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return Ended(None, trouble=f"no answer after {patience_s:.0f} s")
        except OSError as error:
            return Ended(None, trouble=clean(f"cannot start the hrm command: {error.strerror}"))
        said.seek(0)
        complained.seek(0)
        return Ended(status, said.read(most_bytes), tuple(lines_of(complained.read(most_bytes))))


def lines_of(data: bytes) -> list[str]:
    """The lines of what a child said that are not blank, cleaned."""
    return [clean(line) for line in data.decode("utf-8", "replace").splitlines() if line.strip()]

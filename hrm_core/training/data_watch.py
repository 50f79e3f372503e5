"""Whether the data file that a run was begun with is still there: a resume will ask for it, the run itself does not.

Training room. A run holds its data in memory, so a file that is removed or replaced changes nothing
in it; months later a resume is refused. So the run says so when it happens, once, and once more when the file is back.
Looked at now and then, by its name and size and dates; the bytes are read only where these have changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from hrm_core.data.file import digest_path, recorded_digest
from hrm_core.runs.snapshots import file_digest
from hrm_core.runs.text import clean
from hrm_core.runs.writer import RunWriter

EVERY_S: Final = 10.0
REMEDY: Final = "Put it back, or give the same data to `hrm resume` with --data FILE (`hrm data build` makes it anew)."

# Device, number, size and time of change of each file; None where one is not there.
Identity = tuple[tuple[int, int, int, int], ...] | None


def _identity(paths: tuple[Path, ...]) -> Identity:
    try:
        found = [os.stat(path) for path in paths]
    except OSError:
        return None
    return tuple((state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns) for state in found)


def _recorded(path: Path) -> str:
    """The sha256 beside the file; empty where there is none to be read."""
    with suppress(OSError):
        return recorded_digest(path)
    return ""


def _is_whole(path: Path, digest: str) -> bool:
    found = file_digest(path.resolve())
    return found is not None and _recorded(path) == digest == found[0]


@final
class DataWatch:
    """`look` tells `tell(kind, sentence)` of `data_missing`, `data_changed` and `data_back`, each when it begins."""

    def __init__(self, path: Path, tell: Callable[[str, str], None]) -> None:
        self.path = path.absolute()
        self._tell = tell
        self._files = (self.path, digest_path(self.path))
        self._seen: Identity = _identity(self._files) or ()  # gone since it was read: the first look says so
        self._digest = _recorded(self.path)
        self._state = "data_back"
        self._looked_at = time.monotonic()

    def look(self, force: bool = False) -> None:
        """What has become of the file since the last look, unless that was within the last ten seconds."""
        now = time.monotonic()
        if not force and now - self._looked_at < EVERY_S:
            return
        self._looked_at = now
        identity = _identity(self._files)
        if identity == self._seen:
            return
        if identity is None:
            state = "data_missing"
        else:
            state = "data_back" if _is_whole(self.path, self._digest) else "data_changed"
        if state != self._state:
            self._tell(state, self._sentence(state))
        self._state, self._seen = state, identity

    def _sentence(self, state: str) -> str:
        name = clean(self.path)
        if state == "data_back":
            return f"The data file {name} is there again, the same as before."
        if state == "data_changed":
            return f"The data file {name} was changed or replaced; a resume refuses other data than the run began with."
        gone = next((path for path in self._files if not path.exists()), self.path)
        return f"The data file {clean(gone)} is not there any more; a resume needs it."


def watch_data(path: Path, writer: RunWriter, step: Callable[[], int], say: Callable[[str], None]) -> DataWatch:
    """A watch that writes events and lines."""

    def tell(kind: str, sentence: str) -> None:
        remedy = "" if kind == "data_back" else REMEDY
        writer.event(kind, step(), sentence=sentence, advice=remedy)
        goes_on = "" if kind == "data_back" else f" The run has read it and goes on. {remedy}"
        say(f"step {step()}: {sentence}{goes_on}")

    return DataWatch(path, tell)

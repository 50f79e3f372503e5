"""Room `runs`: the only way to speak to a run.

A request is one small file in `control/`, written atomically by anybody and consumed by the trainer between two steps:
so a console that crashes changes nothing, and there is no socket to guard. kind + text -> file -> Request. What the
run does about it is seen in its status and events.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final, get_args

from hrm_core.runs.atomic import is_leftover, refuse_link, write_json
from hrm_core.runs.files import modified_s, read_json_object, string
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.records import utc_now

Kind = Literal["stop", "stop-now", "pause", "continue", "checkpoint", "note"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_MAX_BYTES: Final = 64 * 1024


@final
@dataclass(frozen=True)
class Request:
    """One request: what is wanted, a note's text, when it was written, and its file name."""

    kind: Kind
    text: str
    time_utc: str
    name: str


def request(folder: Path | RunFolder, kind: Kind, text: str = "") -> Path:
    """Leaves a request for the run; gives the file, which is gone once the run has taken it. OSError if it cannot."""
    if kind not in KINDS:
        raise ValueError(f"request {kind!r} is not one of {', '.join(KINDS)}")
    layout = RunFolder.of(folder)
    refuse_link(layout.control)
    layout.control.mkdir(exist_ok=True)
    # Zero-padded time first, so that names sort in the order of the requests.
    path = layout.control / f"{time.time_ns():020d}-{kind}-{secrets.token_hex(3)}.json"
    write_json(path, {"kind": kind, "text": text[: _MAX_BYTES // 16], "time_utc": utc_now(), "pid": os.getpid()})
    return path


@final
class Inbox:
    """The trainer's side. `poll` between steps costs one stat while nothing has come."""

    def __init__(self, folder: Path | RunFolder) -> None:
        self._control = RunFolder.of(folder).control
        self._seen_ns = -1

    def poll(self) -> list[Request]:
        """The requests since the last poll, oldest first; their files are removed. Files that are no request too."""
        try:
            changed_ns = os.stat(self._control).st_mtime_ns
            # A folder changed in this very moment may change again within the clock's grain: look once more then.
            settled = time.time_ns() - changed_ns > 50_000_000
            if changed_ns == self._seen_ns:
                return []
            names = sorted(os.listdir(self._control))
        except OSError:
            return []
        requests = []
        for name in names:
            if is_leftover(name):
                continue
            found = self._consume(name)
            if found is not None:
                requests.append(found)
        self._seen_ns = changed_ns if settled and not requests else -1
        return requests

    def _consume(self, name: str) -> Request | None:
        path = self._control / name
        content = read_json_object(path, _MAX_BYTES)
        try:
            path.unlink()
        except OSError:
            # A folder, or not ours to delete: it would come again at every step.
            return None
        wanted = string(content, "kind")
        for kind in KINDS:
            if kind == wanted:
                return Request(kind, string(content, "text") or "", string(content, "time_utc") or "", name)
        return None

    def drop_older_than(self, moment_s: float) -> int:
        """Removes requests written before `moment_s` (seconds since the epoch), meant for an earlier process."""
        dropped = 0
        try:
            names = os.listdir(self._control)
        except OSError:
            return 0
        for name in names:
            written = modified_s(self._control / name)
            if written is not None and written < moment_s:
                try:
                    (self._control / name).unlink()
                    dropped += 1
                except OSError:
                    continue
        return dropped

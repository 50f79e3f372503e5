"""Room `runs`: whether a run is still what was written, file by file.

run folder -> `Finding`s: seals of the files that steer it, the crc of every row and of the status, rows that are gone
(`written.py`), sha256 of every file of checkpoints and archive. A run that goes on may be looked at too. The recipe's
digest is looked at by the command, since recipes are another room. Nothing is mended here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hrm_core.runs import predictions
from hrm_core.runs.files import read_json_object
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import steps_kept
from hrm_core.runs.reader import read_status
from hrm_core.runs.snapshots import newest_first, verify_folder
from hrm_core.runs.written import EVALUATIONS, EVENTS, METRICS, look_through

_TRIES: Final = 5
_WRITING_S: Final = 0.25


@final
@dataclass(frozen=True)
class Finding:
    """One file or folder of a run, and what is wrong with it; no problems: whole. `note`: what cannot be said."""

    what: str
    problems: tuple[str, ...] = ()
    note: str = ""


def verify_run(layout: RunFolder) -> Iterator[Finding]:
    """Every file of the run, as it is looked at; snapshots are read whole (1.9 GB/s)."""
    yield _sealed(layout.run_json, needed=True)
    for path in (layout.policy, layout.result, layout.launch_json):
        if os.path.lexists(path):
            yield _sealed(path)
    yield _status(layout)
    yield from _rows(layout)
    for step in steps_kept(layout):
        if (found := _predictions(layout, step)) is not None:
            yield found
    for place in (layout.checkpoints, layout.archive):
        for folder in newest_first(place):
            problems = tuple(verify_folder(folder))
            if os.path.lexists(folder):  # pruned meanwhile: not there is not damaged
                yield Finding(f"{place.name}/{folder.name}", problems)


def _sealed(path: Path, needed: bool = False) -> Finding:
    if read_json_object(path) is not None:
        return Finding(path.name)
    if os.path.lexists(path):
        return Finding(path.name, ("it is not what was written",))
    return Finding(path.name, ("it is missing",) if needed else ())  # taken away meanwhile


def _status(layout: RunFolder) -> Finding:
    return Finding(layout.status_json.name, () if read_status(layout) else ("it is missing, or not what was written",))


def _rows(layout: RunFolder) -> Iterator[Finding]:
    lines = look_through(layout)
    note = "" if lines.known else "no checkpoint says how many rows there were"
    for name in (METRICS, EVALUATIONS, EVENTS):
        bad = lines.damaged.get(name, 0)
        problems = [f"{bad} damaged line{'s' * (bad != 1)}"] * (bad > 0)
        problems += [lack.sentence.removeprefix(f"{name}: ") for lack in lines.missing if lack.file == name]
        yield Finding(name, tuple(problems), note)


def _predictions(layout: RunFolder, step: int) -> Finding | None:
    """None where they were pruned meanwhile."""
    for _ in range(_TRIES):
        if step not in steps_kept(layout):
            return None
        if predictions.whole(layout, step):
            return Finding(f"predictions of step {step}")
        time.sleep(_WRITING_S / _TRIES)  # a run that writes them just now has not yet written their index
    return Finding(f"predictions of step {step}", ("they are not those that their index was written for",))

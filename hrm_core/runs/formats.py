"""Room `runs`: files that a newer version made are refused in one line, before anything in them is misread.

A row with a format number, the largest number that this version reads, and what it is -> nothing, or a UserError. The
number of run folders is here, those of other files where they are written: snapshots' meta.json in `snapshots.py`, the
queue in `queue_records.py`, and so on. A file without a number is of the first format.
"""

from __future__ import annotations

from typing import Final

from hrm_core.errors import UserError
from hrm_core.runs.files import integer
from hrm_core.runs.text import clean

RUN_FORMAT: Final = 1  # of a run folder, as its run.json says
REMEDY: Final = "it was made by a newer version; update hrm-console"


def is_newer(row: object, known: int) -> bool:
    """Whether a row says `format` and a number above `known`."""
    return (integer(row, "format") or 0) > known


def refuse_newer(row: object, known: int, what: object) -> None:
    """UserError (1) that names `what`, a path or a phrase, if its row is of a newer format than `known`."""
    if is_newer(row, known):
        found = integer(row, "format")
        raise UserError(f"{clean(what)} has format {found}, this version reads up to {known}: {REMEDY}.", 1)

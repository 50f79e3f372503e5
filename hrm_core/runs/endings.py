"""Room `runs`: how a run came to its end that left no result: what its last event, its status and its disk say.

run folder -> what stands in for result.json, or a sentence beside the state `lost`. A process that is asked to stop
while its disk is full may find room for a line of events and none for a file. Standard library only.
"""

from __future__ import annotations

from typing import Final

from hrm_core.runs import disk
from hrm_core.runs.files import Row, integer, last_bytes, string
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.records import decode_row

# A run that says "finished" and left no result is taken up once more, which writes it.
_SAID: Final = ("stopped", "failed")
_TAIL_BYTES: Final = 16 * 1024


def said_at_the_end(layout: RunFolder) -> Row | None:
    """{state, reason, step} of the last event, where that says that the run stopped or failed; else None."""
    lines = last_bytes(layout.events, _TAIL_BYTES).split(b"\n")
    row = decode_row(lines[-2]) if len(lines) > 1 else None  # after the last whole line comes nothing, or a torn one
    state = string(row, "kind", 20)
    if state not in _SAID:
        return None
    return {"state": state, "reason": string(row, "reason") or "", "step": integer(row, "step")}


def full_disk_words(layout: RunFolder, alarms: list[Row]) -> str:
    """Half a sentence for a lost run whose disk may be why it left no word; `alarms` are those of its status."""
    if any(alarm.get("name") == disk.ALARM for alarm in alarms):
        return " When it last wrote, it waited for room on a full disk."
    return " Its disk is full now, so that it may have had no room to say why." if disk.no_room(layout.path) else ""

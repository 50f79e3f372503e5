"""Part `calls`: kill -9 in place of every system call of each kind of write, and after half of every write.

Torture room. Bench -> a row for each kind. What a write is: write_kinds.py; how the n-th call is met: shim.c.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from hrm_core.errors import UserError
from hrm_core.torture.bench import Bench, Row
from hrm_core.torture.sweep import Calls, Tally, kill_at, some, untouched
from hrm_core.torture.write_kinds import KINDS
from hrm_core.torture.writes import Writes

BAR = "the last good state loads, every file old or new, leftovers cleaned at the next start, done again it succeeds"
SHORT = {False: 3, True: 1}  # places of a kind in the short form; by half: True


def trials(bench: Bench) -> Iterator[Row]:
    """A row for each kind of write."""
    try:
        writes = Writes(bench)
    except UserError as error:
        yield Row(
            "kill -9 at every system call", "a library that counts calls", 0, BAR, f"not run: {error}", "-", False
        )
        return
    with writes:
        for kind in KINDS:
            yield kill_everywhere(bench, writes, kind)


def kill_everywhere(bench: Bench, writes: Writes, kind: str) -> Row:
    """The row of one kind."""
    started = time.monotonic()
    calls = untouched(bench, writes, kind)
    tally = Tally()
    for half, numbers in ((False, list(range(1, len(calls.log) + 1))), (True, calls.writes)):
        for number in some(numbers, SHORT[half]) if bench.short else numbers:
            kill_at(writes, calls, number, half, tally)
    bench.say(f"{kind}: {tally.struck} kills in {time.monotonic() - started:.0f} s")
    return killed_row(calls, tally)


def killed_row(calls: Calls, tally: Tally) -> Row:
    """What a tally says."""
    mixed = tally.struck - tally.old - tally.new
    found = f"{tally.old} x as before it, {tally.new} x as after it, {mixed} x some files of each, all whole"
    lost = "nothing"
    if tally.wrong:
        found = f"{len(tally.wrong)} faults in {tally.struck} kills"
        lost = "; ".join(tally.wrong[:3])
    return Row(
        f"kill -9 in the middle of writing {KINDS[calls.kind].words}",
        f"in place of each of {len(calls.log)} system calls, and after half of each of {len(calls.writes)} writes",
        tally.struck,
        BAR,
        found,
        lost,
        tally.struck > 0 and not tally.wrong,
    )

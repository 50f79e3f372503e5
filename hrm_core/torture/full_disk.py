"""Part `full-disk`: the n-th call of each kind of write fails (no space, quota, read-only), and a real small disk.

Torture room. Bench -> a row for each kind, and one for a run on a tmpfs that fills up in the middle. What a write is:
write_kinds.py; how calls fail: shim.c; the run on a small disk: small_disk.py.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from hrm_core.errors import UserError
from hrm_core.runs.atomic import is_leftover
from hrm_core.torture.bench import Bench, Row
from hrm_core.torture.shim import FAIL, FAIL_ONCE, Fault
from hrm_core.torture.small_disk import full_run
from hrm_core.torture.sweep import Calls, Tally, between, home, some, untouched
from hrm_core.torture.write_kinds import KINDS
from hrm_core.torture.writes import Outcome, Writes

BAR = (
    "an error that names the file, old files intact, nothing half-written, no death by a signal; with room it succeeds"
)
SPACE: Final = {errno.ENOSPC, errno.EDQUOT}
# Words, fault and whether the short form has it. But for one, a disk that fails goes on failing until there is room.
FAULTS: tuple[tuple[str, Fault, bool], ...] = (
    ("no space", Fault(FAIL, error=errno.ENOSPC), True),
    ("no space after half a write", Fault(FAIL, error=errno.ENOSPC, half=True), False),
    ("no space, once", Fault(FAIL_ONCE, error=errno.ENOSPC), False),
    ("quota", Fault(FAIL, error=errno.EDQUOT), False),
    ("read-only", Fault(FAIL, error=errno.EROFS), False),
)
SHORT = 3  # places of a kind in the short form


def trials(bench: Bench) -> Iterator[Row]:
    """A row for each kind of write, and the run on a small disk."""
    try:
        writes = Writes(bench)
    except UserError as error:
        yield Row("full disk at every write", "a library that counts calls", 0, BAR, f"not run: {error}", "-", False)
    else:
        with writes:
            for kind in KINDS:
                yield fail_everywhere(bench, writes, kind)
    yield full_run(bench)


def fail_everywhere(bench: Bench, writes: Writes, kind: str) -> Row:
    """The row of one kind."""
    started = time.monotonic()
    calls = untouched(bench, writes, kind)
    tally, passed = Tally(), 0
    for words, fault, is_short in FAULTS:
        numbers = calls.writes if fault.half else list(range(1, len(calls.log) + 1))
        if bench.short:
            numbers = some(numbers, SHORT) if is_short else []
        for number in numbers:
            passed += fail_at(writes, calls, words, replace(fault, at=number), tally)
    bench.say(f"{kind}: {tally.struck} failures in {time.monotonic() - started:.0f} s")
    return failed_row(calls, tally, passed, [words for words, _, is_short in FAULTS if is_short or not bench.short])


def fail_at(writes: Writes, calls: Calls, words: str, fault: Fault, tally: Tally) -> bool:
    """Lets the write fail there, then do it again with room; whether it needed none (a removal on a full disk)."""
    kind = calls.kind
    where = f"{kind}, {words} at call {fault.at} ({calls.log[fault.at - 1]})"
    place = home(writes, f"{kind}-{fault.mode}-{fault.error}-{fault.at}-{int(fault.half)}")
    outcome = writes.ask("twice", kind, place, replace(fault, part=KINDS[kind].part))
    tally.struck += 1
    problems = problems_of(outcome, calls, fault)
    tally.add(where, problems)
    if outcome.said and not problems:
        tally.old += outcome.said["found"] == calls.before
        tally.new += outcome.said["found"] == calls.after
    shutil.rmtree(place)
    return bool(outcome.said) and outcome.said.get("error") is None


def problems_of(outcome: Outcome, calls: Calls, fault: Fault) -> list[str]:
    """What is wrong with a failure, in words."""
    said = outcome.said
    if outcome.signal or outcome.code or "found_again" not in said:
        return [f"the process ends with signal {outcome.signal}, code {outcome.code}: {said}"[:600]]
    problems, error = [], said["error"]
    if error is not None:
        if not error["told"]:
            problems.append(f"a {error['type']}: {error['text']}; {error['where']}"[:600])
        elif not names_its_file(error["text"]):
            problems.append(f"the error does not name the file: {error['text']}")
    problems += between(said["found"], calls.before, calls.after)
    # What cannot be removed on a disk that is only read goes at the next start; see `calls.py`.
    left = [name for name in said["leftovers"] if not holds_the_old(name)]
    if left and fault.error in SPACE:
        problems.append(f"left behind: {', '.join(left)}")
    if said["again"] is not None:
        problems.append(f"with room it fails again: {said['again']['text']}")
    return problems + [f"with room, {text}" for text in between(said["found_again"], calls.after, calls.after)]


def names_its_file(text: str) -> bool:
    """Whether an error's text begins with a path, and not with that of a temporary file, which nobody knows."""
    path = Path(text.split(":", 1)[0])
    return path.is_absolute() and not any(map(is_leftover, path.parts))


def holds_the_old(name: str) -> bool:
    """Whether a temporary name is a good folder moved aside that could not be moved back: a start puts it back."""
    return ".old-" in name


def failed_row(calls: Calls, tally: Tally, passed: int, faults: list[str]) -> Row:
    """What a tally says."""
    failed = tally.struck - passed
    found = (
        f"{failed} errors, each with its file, {passed} x not needed; {tally.old} x as before, {tally.new} x as after"
    )
    lost = "nothing"
    if tally.wrong:
        found = f"{len(tally.wrong)} faults in {tally.struck} failures"
        lost = "; ".join(tally.wrong[:3])
    return Row(
        f"a disk that takes nothing while writing {KINDS[calls.kind].words}",
        f"{', '.join(faults)}: at each of {len(calls.log)} system calls and those after it, then room",
        tally.struck,
        BAR,
        found,
        lost,
        failed > 0 and not tally.wrong,
    )

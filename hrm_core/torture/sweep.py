"""One kind of write struck at call 1, 2, 3, ... until it passes untouched, and what was wrong each time.

Torture room. A kind and a fault -> for each n a copy of the prepared home, a child that is struck there, and a look at
what is left: every value that a reader finds is the one before the write or the one after it. `calls.py` kills,
`full_disk.py` lets calls fail.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from hrm_core.torture.bench import Bench
from hrm_core.torture.shim import COUNT, Fault
from hrm_core.torture.write_kinds import GOING, KINDS
from hrm_core.torture.writes import Outcome, Writes

STATUS = "one: status.json"
Found = dict[str, Any]


@final
@dataclass(frozen=True)
class Calls:
    """An untouched write. log: "write state.safetensors" and so on, call 1 first; before, after: what readers find."""

    kind: str
    log: tuple[str, ...]
    before: Found
    after: Found

    @property
    def writes(self) -> list[int]:
        """Calls that can be done by half."""
        return [number for number, line in enumerate(self.log, 1) if "write" in line.split(" ")[0]]


@final
@dataclass
class Tally:
    """Trials of a kind: how many, how they ended, and sentences on what was wrong."""

    struck: int = 0
    old: int = 0
    new: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, where: str, problems: Iterable[str]) -> None:
        """Problems of a trial."""
        self.wrong += [f"{where}: {problem}" for problem in problems]


def between(found: Found, before: Found, after: Found) -> list[str]:
    """Values that are neither those before a write nor those after it, in words."""
    wrong = []
    for name in sorted({*found, *before, *after}):
        value, old, new = found.get(name), before.get(name), after.get(name)
        # A removal cut short: what goes is not whole any more, and nothing takes it for whole.
        if value not in (old, new) and not (value == GOING and new is None):
            wrong.append(f"{name} is {str(value)[:80]}")
    return wrong


def home(writes: Writes, name: str) -> Path:
    """A fresh copy of the prepared home."""
    place = writes.root / name
    shutil.copytree(writes.root / "base", place, symlinks=True)
    return place


def untouched(bench: Bench, writes: Writes, kind: str) -> Calls:
    """The write without a fault: its calls, and what readers find before and after."""
    log = bench.folder / f"{kind}.calls"
    log.unlink(missing_ok=True)
    first, second = home(writes, f"{kind}-before"), home(writes, f"{kind}-after")
    before = writes.ask("begin", kind, first)
    done = writes.ask("twice", kind, second, Fault(COUNT, part=KINDS[kind].part, log=str(log)))
    for outcome in (before, done):
        failed = outcome.said.get("failed") or outcome.said.get("error")
        if outcome.signal or not outcome.said or failed:
            raise RuntimeError(f"{kind}: the write fails without a fault: {outcome}")
    names = [line.split(" ", 2)[1:] for line in log.read_text(encoding="utf-8").splitlines()]
    calls = tuple(f"{call} {Path(path).name}" for call, path in names)
    assert len(calls) == done.said["calls"] > 0
    for place in (first, second):
        shutil.rmtree(place)
    return Calls(kind, calls, before.said["found"], done.said["found"])


def some(numbers: list[int], most: int) -> list[int]:
    """At most so many of the numbers, spread evenly, the first and the last among them."""
    if len(numbers) <= most:
        return numbers
    if most == 1:
        return [numbers[len(numbers) // 2]]
    return sorted({numbers[round(place * (len(numbers) - 1) / (most - 1))] for place in range(most)})


def kill_at(writes: Writes, calls: Calls, number: int, half: bool, tally: Tally) -> None:
    """Kills the write at call `number`, looks at what is left, takes the run up and does the write again."""
    kind = calls.kind
    where = f"{kind}, call {number} ({calls.log[number - 1]}{', by half' if half else ''})"
    place = home(writes, f"{kind}-{number}-{int(half)}")
    fault = Fault(at=number, half=half, part=KINDS[kind].part)
    outcome = writes.ask("strike", kind, place, replace(fault, mode=2))
    tally.struck += 1
    if outcome.signal != signal.SIGKILL:
        tally.add(where, [f"not killed there: {outcome}"])
    _judge(writes.ask("take up", kind, place), calls, where, tally)
    shutil.rmtree(place)


def _judge(outcome: Outcome, calls: Calls, where: str, tally: Tally) -> None:
    """What was found after a kill, and after the write was done again."""
    if outcome.signal or not outcome.said or "failed" in outcome.said:
        tally.add(where, [f"it cannot be taken up: {outcome}"[:600]])
        return
    found, again = outcome.said["found"], outcome.said["found_again"]
    tally.old += found == calls.before
    tally.new += found == calls.after
    tally.add(where, between(found, calls.before, calls.after))
    # Taking the run up writes its status, also where the write that was struck is another.
    expected = (
        calls.after if calls.before.get(STATUS) != calls.after.get(STATUS) else calls.after | {STATUS: again[STATUS]}
    )
    tally.add(where, [f"done again, {problem}" for problem in between(again, expected, expected)])
    left = outcome.said["leftovers_again"]
    tally.add(where, [f"left after a start: {', '.join(left)}"] if left else [])

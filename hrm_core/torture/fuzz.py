"""Part `fuzz`: mutants of every format that is read, in processes with bounded memory and time.

Torture room. A format -> a row: how many mutants were accepted and refused; bar: no crash, no hang, nothing wrong. The
child (`fuzz_child.py`) prints a line for each case, so that one that dies or hangs is known by its number and the rest
goes on in a new one.
"""

from __future__ import annotations

import selectors
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, final

from hrm_core.torture.bench import Bench, Row
from hrm_core.torture.fuzz_formats import FORMATS

SILENCE_S: Final = 300.0  # a start under load takes some; a case is stopped long before, by its own timer or its bounds
MOST_DEATHS: Final = 20
AT_ONCE: Final = 2
_BAD: Final = ("crash", "hang", "wrong")


@final
@dataclass
class Tally:
    """What came of a format's mutants: how many of each outcome, and the first few that must not be."""

    counts: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many were read."""
        return sum(self.counts.values())

    def take(self, line: str) -> int:
        """A line of the child; gives the number after that case."""
        number, code, *words = line.split(" ")
        self.note(int(number), code, " ".join(words).strip())
        return int(number) + 1

    def note(self, number: int, code: str, words: str = "") -> None:
        """One case."""
        self.counts[code] += 1
        if code in _BAD:
            self.bad.append(f"{number} {code}: {words}")


def run_child(command: Sequence[str], environment: Mapping[str, str], first: int, tally: Tally) -> tuple[int, str]:
    """Reads a child's lines to its end; gives the number of the next case, and how the child ended, "" for well."""
    child = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None and child.stderr is not None
    following, rest, last = first, b"", time.monotonic()
    said = b""
    with selectors.DefaultSelector() as selector:
        for stream in (child.stdout, child.stderr):
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(timeout=1.0)
            if not ready and time.monotonic() - last > SILENCE_S:
                child.kill()
                child.communicate()
                return following, "hang"
            for key, _ in ready:
                data = key.fileobj.read1(65536)  # type: ignore[union-attr]
                last = time.monotonic()
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is child.stderr:
                    said = (said + data)[-2000:]
                else:
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        following = tally.take(line.decode("ascii"))
    code = child.wait()
    child.stdout.close()
    child.stderr.close()
    words = said.decode("utf-8", "replace").strip().split("\n")[-1]
    return following, "" if code == 0 else f"ended with {code}: {words[:200]}"


def fuzz(bench: Bench, name: str, count: int) -> Tally:
    """All cases of a format; after a death the next process begins behind the case that killed it."""
    tally, first = Tally(), 0
    own = {f"XDG_{kind}_HOME": str(bench.folder / kind.lower()) for kind in ("CONFIG", "CACHE")}
    environment = bench.environment(**own, PYTHONHASHSEED="0")
    for attempt in range(MOST_DEATHS):
        folder = bench.folder / f"{name}-{attempt}"
        words = [name, str(folder), str(bench.seed), str(first), str(count)]
        command = [*bench.command()[:1], "-m", "hrm_core.torture.fuzz_child", *words]
        following, ending = run_child(command, environment, first, tally)
        if not ending or following >= count:
            break
        tally.note(following, "hang" if ending == "hang" else "crash", f"the process {ending}")
        first = following + 1
        if first >= count:
            break
    return tally


def row_of(name: str, tally: Tally, wanted: int) -> Row:
    """The row of a format."""
    counts = tally.counts
    words = [f"{counts['accepted']} accepted, {counts['refused']} refused"]
    for code in _BAD:
        first = next((bad for bad in tally.bad if f" {code}:" in bad), "")
        words += [f"{counts[code]} {code}, such as case {first[:160]}"] if counts[code] else []
    if tally.cases < wanted:
        words.append(f"{wanted - tally.cases} not run")
    bad = sum(counts[code] for code in _BAD)
    return Row(
        fault=f"fuzzed: {FORMATS[name].what}",
        how=f"bits, runs of bytes, cuts, copies, splices, values of other types; {FORMATS[name].how}",
        times=tally.cases,
        bar="no traceback, no hang, no wrong data",
        found="; ".join(words),
        lost="nothing" if not bad else f"{bad} cases",
        passed=bad == 0 and tally.cases == wanted and counts["accepted"] > 0 and counts["refused"] > 0,
    )


def trials(bench: Bench) -> Iterator[Row]:
    """A row for each format, two formats at once."""
    count = bench.times(10_000, 200)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {name: pool.submit(fuzz, bench, name, count) for name in FORMATS}
        for name, future in waiting.items():
            tally = future.result()
            for bad in tally.bad[:20]:
                bench.say(f"{name} {bad}")
            yield row_of(name, tally, count)

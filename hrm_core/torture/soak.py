"""Hours of everything at once: console, trainer, queue, resumes and archives; nothing may grow.

Torture room. bench -> rows: memory, handles and threads of a trainer and of a console that live all the time, how long
a key takes to be answered and a reader to read. Medians of the second quarter are held against those of the last, so
that what is filled once at the start counts for nothing. Two hours, two minutes in the short form, or as many as
HRM_SOAK_MINUTES says. What keeps them busy: `soak_load.py`, `soak_console.py`.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, final

import psutil

from hrm_core.errors import UserError
from hrm_core.runs.reader import read_run
from hrm_core.runs.records import encode_row
from hrm_core.torture.bench import Bench, Row
from hrm_core.torture.soak_console import Key, Walk
from hrm_core.torture.soak_load import LONG, Load

MINUTES: Final = "HRM_SOAK_MINUTES"
MOST_GROWTH: Final = 0.02
# In two minutes caches still fill that have a bound, and one screen or file more at a moment is a large share.
MOST_GROWTH_SHORT: Final = 0.1
MORE_HANDLES_SHORT: Final = 1
MOST_SLOWER: Final = 1.5
_HOW: Final = "console walks all screens of a folder with a live run, a queue works, runs are stopped and resumed"
WARM_UP_ROUNDS: Final = 1
_SAMPLE_S: Final = 5.0


@final
@dataclass(frozen=True)
class Process:
    """What a process holds: memory of its own in bytes (USS: what ending it would free), open files, threads."""

    memory: int
    files: int
    threads: int


@final
@dataclass(frozen=True)
class Sample:
    """One look at everything; `read_s`: how long `read_run` of the long run took."""

    at_s: float
    trainer: Process
    console: Process
    read_s: float


@final
@dataclass
class Soaked:
    """What was seen between `began_s` and `ended_s` (time.monotonic)."""

    began_s: float
    ended_s: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)

    def quarter(self, at_s: float) -> int:
        """0 to 3: the quarter of the soak that a moment lies in."""
        return min(3, int(4 * (at_s - self.began_s) / max(1e-9, self.ended_s - self.began_s)))

    def medians(self, points: Sequence[tuple[float, float]]) -> tuple[float, float]:
        """(median of the second quarter, of the last). UserError (1) where there are none: it was too short."""
        second = [value for at_s, value in points if self.quarter(at_s) == 1]
        last = [value for at_s, value in points if self.quarter(at_s) == 3]
        if not second or not last:
            raise UserError("soak: a quarter of it has no measurement; make it longer.", 1)
        return statistics.median(second), statistics.median(last)


def minutes(bench: Bench) -> float:
    """How long. UserError (2) for a length that is none."""
    word = os.environ.get(MINUTES, "")
    try:
        asked = float(word) if word else float(bench.times(120, 2))
    except ValueError:
        asked = 0.0
    if not 0.0 < asked <= 10_000.0:
        raise UserError(f"{MINUTES}={word}: give minutes, such as 40.", 2)
    return asked


def look(pid: int) -> Process:
    """A process now."""
    process = psutil.Process(pid)
    with process.oneshot():
        return Process(process.memory_full_info().uss, process.num_fds(), process.num_threads())


def trials(bench: Bench) -> Iterator[Row]:
    """The rows, when the time is over."""
    seconds = 60.0 * minutes(bench)
    with Load(bench, seconds) as load:
        _until_it_trains(load, bench)
        walk = Walk(load.runs, bench.environment())
        try:
            bench.say("soak: once through all screens, before anything is measured")
            while walk.rounds < WARM_UP_ROUNDS:
                walk.press()
            soaked = _soak(load, walk, seconds, bench)
            rounds = walk.rounds
        finally:
            code = walk.close()
    short = seconds < 1200.0
    yield from rows(soaked, MOST_GROWTH_SHORT if short else MOST_GROWTH, MORE_HANDLES_SHORT if short else 0)
    yield work_row(load, rounds, code, len(soaked.samples), soaked.ended_s - soaked.began_s)


def _until_it_trains(load: Load, bench: Bench) -> None:
    bench.say("soak: waiting for the long run's first row")
    end = time.monotonic() + 180.0
    while read_run(load.runs / LONG).metrics is None:
        assert load.trainer and time.monotonic() < end, "the long run wrote no row in 180 s"
        time.sleep(0.2)


def _soak(load: Load, walk: Walk, seconds: float, bench: Bench) -> Soaked:
    """Keys, samples and turns of the queue until the time is over."""
    soaked = Soaked(time.monotonic())
    soaked.ended_s = soaked.began_s + seconds
    # A round through all screens has to fit the first quarter.
    between_s = min(3.0, 0.15 * seconds / len(walk.keys))
    sample_s, next_sample, said = min(_SAMPLE_S, seconds / 80), soaked.began_s, 0.0
    while (now := time.monotonic()) < soaked.ended_s:
        if now >= next_sample:
            soaked.samples.append(_sample(load, walk))
            with open(bench.folder / "samples.jsonl", "ab") as file:  # to see where growth began
                file.write(encode_row(asdict(soaked.samples[-1])))
            load.turn()
            next_sample = now + sample_s
        soaked.keys.append(walk.press())
        walk.read_for(between_s)
        if now - said > 60.0:
            said, last = now, soaked.samples[-1]
            bench.say(
                f"soak: {(now - soaked.began_s) / 60:.0f} min, trainer {last.trainer.memory / 2**20:.1f} MiB, "
                f"console {last.console.memory / 2**20:.1f} MiB, {load.finished} runs ended, {load.resumed} resumed"
            )
    return soaked


def _sample(load: Load, walk: Walk) -> Sample:
    began = time.perf_counter()
    read_run(load.runs / LONG)
    took = time.perf_counter() - began
    return Sample(time.monotonic(), look(load.trainer), look(walk.pid), took)


def rows(soaked: Soaked, most_growth: float = MOST_GROWTH, more_handles: int = 0) -> Iterator[Row]:
    """What the numbers say. most_growth: of memory, as a share; more_handles: files or threads that may be more."""
    count = len(soaked.samples)
    for who in ("trainer", "console"):
        seen = [(sample.at_s, sample.trainer if who == "trainer" else sample.console) for sample in soaked.samples]
        memory = soaked.medians([(at_s, process.memory) for at_s, process in seen])
        grown = memory[1] / memory[0] - 1.0
        yield Row(
            f"soak: memory of the {who}",
            _HOW,
            count,
            f"grows by no more than {most_growth:.0%}",
            f"{memory[0] / 2**20:.1f} MiB in the second quarter, {memory[1] / 2**20:.1f} in the last ({grown:+.1%})",
            "nothing" if grown <= most_growth else "memory",
            grown <= most_growth,
        )
        files = soaked.medians([(at_s, process.files) for at_s, process in seen])
        threads = soaked.medians([(at_s, process.threads) for at_s, process in seen])
        flat = files[1] <= files[0] + more_handles and threads[1] <= threads[0] + more_handles
        yield Row(
            f"soak: open files and threads of the {who}",
            _HOW,
            count,
            f"{f'at most {more_handles}' if more_handles else 'no'} more in the last quarter than in the second",
            f"files {files[0]:g} and {files[1]:g}, threads {threads[0]:g} and {threads[1]:g}",
            "nothing" if flat else "handles",
            flat,
        )
    answered = [(key.at_s, key.took_s) for key in soaked.keys if key.took_s is not None]
    yield _slower("soak: a key of the console until its frame", "ms", soaked.medians(answered), len(answered))
    reads = soaked.medians([(sample.at_s, sample.read_s) for sample in soaked.samples])
    yield _slower("soak: reading the long run", "ms", reads, count)


def _slower(fault: str, unit: str, medians: tuple[float, float], count: int) -> Row:
    second, last = (1000 * value for value in medians)
    met = last <= MOST_SLOWER * second
    found = f"{second:.2f} {unit} in the second quarter, {last:.2f} in the last"
    bar = f"the median grows by no more than a factor of {MOST_SLOWER:g}"
    return Row(fault, _HOW, count, bar, found, "nothing" if met else "speed", met)


def work_row(load: Load, rounds: float, code: int | None, samples: int, seconds: float) -> Row:
    """That there was something to bear: runs ended, were resumed and archived, and the console lived to be left."""
    bests = load.bests + load.long_bests
    done = load.finished and load.resumed and bests and rounds >= 1.0 + WARM_UP_ROUNDS
    lost = [*load.failures[:3], *([] if code == 0 else [f"the console ended with {code}"])]
    return Row(
        "soak: what went on meanwhile",
        _HOW,
        samples,
        "every run of the queue ends well, some after a resume; the console is left by its own key",
        f"{seconds / 60:.1f} min: {load.finished} short runs ended, {load.resumed} resumes, {bests} bests archived, "
        f"{load.removed} runs removed, {rounds:.1f} rounds through the screens",
        "; ".join(lost)[:300] or "nothing",
        bool(done) and not lost,
    )

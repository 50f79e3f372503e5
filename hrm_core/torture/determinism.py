"""Part `determinism`, and what `hrm doctor --determinism` asks: what of a run is the same when it is made again.

Torture room. Small trainings in processes of their own, on the device that a run would take -> `Check` values. With
`training.deterministic=true` two runs must be the same in every byte; without it a slot's n-th sample must be the same,
whenever it is admitted. The comparison of two run folders is `kills_compare.py`'s.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hrm_core.runs.layout import RunFolder
from hrm_core.torture.bench import SMALL_RUN, Bench, Row
from hrm_core.torture.kills import overrides
from hrm_core.torture.kills_compare import differences

STEPS: Final = 40
LIMIT_S: Final = 900
# (canvas, slot, count) -> (step at which it was admitted, digest of the sample)
Admissions = dict[tuple[int, int, int], tuple[int, str]]


@final
@dataclass(frozen=True)
class Check:
    """One promise looked at: `times` runs or samples compared, whether all were the same, and in words what was."""

    name: str
    how: str
    times: int
    same: bool
    text: str


@final
@dataclass(frozen=True)
class Again:
    """One training of a check. `place`: its folder, which differs; `hashes`: PYTHONHASHSEED, which differs."""

    place: Path
    name: str
    hashes: str
    recipe: tuple[str, ...]
    faults: tuple[str, ...] = ()

    @property
    def run(self) -> RunFolder:
        """Where it lies."""
        return RunFolder(self.place / self.name)


def _recipe(*more: str) -> tuple[str, ...]:
    """The small run in the number format that a run would take, without the GPU's lock: several are made at once."""
    kept = [line for line in SMALL_RUN if not line.startswith(("training.dtype", "training.threads"))]
    return (*kept, f"training.max_steps={STEPS}", "training.share_device=true", *more)


def train(bench: Bench, several: Sequence[Again]) -> str:
    """Trains these, side by side; gives what went wrong, "" for nothing."""
    children = []
    for again in several:
        again.place.mkdir(parents=True, exist_ok=True)
        words = ["run", *again.recipe, "--name", again.name, "--runs", str(again.place), "--data", str(bench.data)]
        command = [sys.executable, "-m", "hrm_core.torture.inject", *again.faults, "--", *words]
        children.append(
            subprocess.Popen(
                command,
                env=bench.environment(PYTHONHASHSEED=again.hashes),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        )
    problem = ""
    for again, child in zip(several, children, strict=True):
        try:
            _, said = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            said = child.communicate()[1]
        if child.returncode != 0:
            problem = problem or f"{again.name} ended with {child.returncode}: {' '.join(said.split())[-300:]}"
    return problem


def same_bytes(bench: Bench, name: str, how: str, recipe: tuple[str, ...], steps: Sequence[int]) -> Check:
    """Two deterministic trainings that differ in folder, name and the seed of Python's hashes."""
    place = bench.folder / name.replace(" ", "-")
    one = Again(place / "one", "first", "1", recipe)
    other = Again(place / "elsewhere" / "deeper", "second-of-them", "4242", recipe)
    problem = train(bench, (one, other))
    found = [problem] if problem else differences(one.run, other.run, steps)
    text = "weights, state, archive and predictions equal in every byte, rows in all but clocks"
    if found:
        text = f"{len(found)} differences, first: {found[0]}"
    return Check(name, how, 1, not found, text)


def read_admissions(path: Path) -> Admissions:
    """What `inject.written_admissions` wrote."""
    found: Admissions = {}
    for line in path.read_text(encoding="ascii").splitlines():
        side, slot, count, step, sample = json.loads(line)
        found[side, slot, count] = (step, hashlib.sha256(json.dumps(sample).encode()).hexdigest())
    return found


def same_samples(bench: Bench, threads: tuple[int, int]) -> Check:
    """Three trainings in fast mode: two numbers of threads, and one whose halting is turned round on the way."""
    name, place = "samples", bench.folder / "samples"
    place.mkdir(parents=True)
    kinds = (("few", threads[0], ()), ("more", threads[1], ()), ("changed", threads[0], ("halting=5",)))
    runs = [
        Again(
            place / word,
            word,
            str(number),
            ("demo", *_recipe("training.deterministic=false", f"training.threads={count}", "training.graph=off")),
            (f"admissions={place / word}.jsonl", *faults),
        )
        for number, (word, count, faults) in enumerate(kinds, 1)
    ]
    how = f"{threads[0]} and {threads[1]} threads, and once with the halting head turned round at step 5"
    problem = train(bench, runs)
    if problem:
        return Check(name, how, 0, False, problem)
    few, *others = (read_admissions(place / f"{word}.jsonl") for word, _, _ in kinds)
    return compare_admissions(name, how, few, others)


def compare_admissions(name: str, how: str, first: Admissions, others: Sequence[Admissions]) -> Check:
    """Whether a slot's n-th sample is the same wherever it was admitted at all."""
    common = [(key, first[key], other[key]) for other in others for key in first if key in other]
    odd = [key for key, one, other in common if one[1] != other[1]]
    moved = sum(one[0] != other[0] for _, one, other in common)
    text = f"{len(common)} samples compared, {len(odd)} differ; {moved} were admitted at another step"
    if odd:
        text += "; first: canvas {}, slot {}, sample {}".format(*odd[0])
    return Check(name, how, len(common), not odd and bool(common), text)


def checks(bench: Bench) -> Iterator[Check]:
    """The checks, as they are made: bytes with 1 thread (and 2, in the whole form with techniques), then samples."""
    rows = range(5, STEPS + 1, 5)
    how = "two processes with other PYTHONHASHSEED, run name and folder"
    plain = ("demo", *_recipe("training.threads=1"))
    yield same_bytes(bench, "same bytes", f"{how}, 1 thread", plain, rows)
    if not bench.short:
        two = ("demo", *_recipe("training.threads=2"))
        yield same_bytes(bench, "same bytes on 2 threads", f"{how}, 2 threads each", two, rows)
        all_on = ("EXP-02", *overrides(STEPS), "training.share_device=true")
        words = f"{how}; replay, averaged tail, curriculum and Lion swap"
        yield same_bytes(bench, "same bytes with techniques", words, all_on, range(1, STEPS + 1))
    yield same_samples(bench, (1, 2))


def device_words(bench: Bench) -> str:
    """The device of the last run that was trained, in words."""
    described: Mapping[str, object] = {}
    for path in sorted(bench.folder.rglob("run.json")):
        described = json.loads(path.read_text(encoding="utf-8"))
    return f"{described.get('device', 'no run')}, {described.get('dtype', '-')}"


def trials(bench: Bench) -> Iterator[Row]:
    """A row for each check."""
    for check in checks(bench):
        fast = check.name == "samples"
        yield Row(
            f"the same run again: {check.name}{' in fast mode' if fast else ''}",
            f"training.deterministic={'false' if fast else 'true'}, {check.how}; {device_words(bench)}",
            check.times,
            "a slot's n-th sample is the same; when it is admitted may differ" if fast else "the same bytes",
            check.text,
            "nothing" if check.same else "the promise",
            check.same,
        )

"""Part `power`: the power goes at every moment of every kind of durable write, and what was not synced is gone.

Torture room. A small real run and writes of the queue, the settings and exports are recorded (`disk.py`); the order of
fsync, rename and fsync of the folder is checked for each, and every state in which the disk may then be
(`disk_states.py`) is laid out as a folder and read by those who read it after a restart. Nothing is mounted for it.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.runs.archive import read_entry
from hrm_core.runs.archive_details import Details
from hrm_core.runs.archive_export import export_snapshot
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.queue import add
from hrm_core.runs.queue_store import read_queue
from hrm_core.runs.reader import read_status
from hrm_core.runs.snapshots import latest_good, newest_first
from hrm_core.runs.user_settings import read_settings, write_settings
from hrm_core.runs.writer import RunWriter
from hrm_core.torture.bench import SMALL_RUN, Bench, Row
from hrm_core.torture.disk import Recorder, Recording
from hrm_core.torture.disk_states import lay_out, states
from hrm_core.torture.power_checks import (
    KINDS,
    broken_orders,
    kind_of,
    puts,
    wrong_exports,
    wrong_files,
    wrong_rows,
    wrong_snapshots,
)

RUN: Final = "powered"
_BAR_ORDER: Final = "content synced, then renamed, then the folder synced"
_BAR_STATE: Final = "the state last synced loads, or a newer one"


def record_run(bench: Bench) -> Recording:
    """A small run in a process of its own, recorded."""
    runs, kept = bench.folder / "runs", bench.folder / "recorded"
    runs.mkdir()
    steps = ("training.max_steps=20", "training.full_validation_every=10") if bench.short else ()
    words = ["run", "demo", *SMALL_RUN, *steps, "training.keep_checkpoints=2", "--name", RUN]
    words += ["--runs", str(runs), "--data", str(bench.data)]
    command = [sys.executable, "-m", "hrm_core.torture.inject", f"disk={runs}:{kept}", "--", *words]
    done = subprocess.run(
        command, env=bench.environment(), capture_output=True, text=True, errors="replace", timeout=900, check=False
    )
    if done.returncode != 0:
        raise UserError(f"the recorded run ended with {done.returncode}: {done.stderr[-400:]}", 1)
    return Recording.load(kept)


def record_others(bench: Bench) -> Recording:
    """The queue, the settings and two exports of the run's best, recorded in this process."""
    root = bench.folder / "others"
    for name in ("runs", "out"):
        (root / name).mkdir(parents=True)
    best = newest_first(RunFolder(bench.folder / "runs" / RUN).archive)[0]
    details = Details(entry=read_entry(best, "best"))
    with Recorder(root).installed() as recording:
        for seed in range(3):
            add(root / "runs", "demo", [f"training.seed={seed}"], name=f"queued-{seed}")
        for seconds in (1.0, 2.0):
            write_settings({"console.refresh_s": seconds}, root / "config" / "settings.toml")
        export_snapshot(details, root / "out" / "folder")
        export_snapshot(details, root / "out" / "one.tar")
    return recording


def _loads(folder: Path) -> Iterator[tuple[str, str]]:
    """(kind, phrase) where a run that is taken up on this disk does not come up; changes the folder."""
    try:
        with RunWriter.open(folder) as writer:
            good = latest_good(writer.layout.checkpoints)
            if not read_status(folder):
                yield "status", "no status after the run was opened"
            if good is not None:
                from hrm_core.training.checkpoint import load_tensors

                load_tensors(good / "state.safetensors")
                writer.cut(int(good.name.rpartition("-")[2]))
    except (UserError, OSError) as error:
        yield "run", f"the run cannot be opened: {error}"


def _loads_others(folder: Path) -> Iterator[tuple[str, str]]:
    settings = read_settings(folder / "config" / "settings.toml")
    if settings.problems:
        yield "settings", settings.problems[0]
    try:
        read_queue(folder / "runs")
    except UserError as error:
        yield "queue", error.message


def cut_points(recording: Recording, share: float, seed: int) -> list[int]:
    """Moments at which the power goes: every one, or a share of each kind of write chosen by chance."""
    chance, by_kind = random.Random(seed), defaultdict(list)
    for time, call in enumerate(recording.calls, 1):
        by_kind[kind_of(call.target or call.path)].append(time)
    chosen = [chance.sample(times, max(1, round(share * len(times)))) for times in by_kind.values()]
    return sorted({time for times in chosen for time in times})


@final
@dataclass
class Outcome:
    """What was found: moments by kind of write, states laid out, runs opened, and what was wrong by kind."""

    cuts: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def note(self, found: Iterable[tuple[str, str]], where: str) -> None:
        """Takes what is wrong with a state in."""
        for kind, phrase in found:
            self.wrong.setdefault(kind, []).append(f"{where}: {phrase}")


def try_states(recording: Recording, folder: Path, times: list[int], opened_every: int, outcome: Outcome) -> None:
    """Lays out and reads all states at these times; the run in one of so many is also taken up by the writer."""
    folder.mkdir()
    listed, count, pool = puts(recording), 0, dict[bytes, Path]()
    for time in times:
        call = recording.calls[time - 1]
        kind = kind_of(call.target or call.path)
        outcome.cuts[kind] += 1
        for state in states(recording, time):
            place, where = folder / f"state-{count}", f"after {call.name} {call.path}, {state.loss}"
            lay_out(state, place, pool)
            outcome.note(wrong_files(recording, listed, state), where)
            outcome.note(wrong_rows(recording, state), where)
            outcome.note(wrong_snapshots(recording, listed, state, place), where)
            outcome.note(wrong_exports(recording, listed, state, place), where)
            if "out/" in state.folders:
                outcome.note(_loads_others(place), where)
            elif count % opened_every == 0 and f"{RUN}/run.json" in state.files:
                outcome.opened += 1
                outcome.note(_loads(place / RUN), where)
            shutil.rmtree(place)
            outcome.states[kind] += 1
            count += 1


def order_row(recordings: Iterable[Recording]) -> Row:
    """The row for the order of the calls."""
    found: dict[str, list[str]] = {}
    for recording in recordings:
        for kind, phrases in broken_orders(recording).items():
            found.setdefault(kind, []).extend(phrases)
    wrong = [phrase for phrases in found.values() for phrase in phrases if phrase]
    kinds = ", ".join(f"{name} {len(phrases)}" for name, phrases in found.items())
    times = sum(map(len, found.values()))
    return Row(
        "lost power: order of the calls",
        "every rename that puts a file or folder in its place, seen in a recorded run, queue, settings and exports",
        times,
        _BAR_ORDER,
        f"{times - len(wrong)} of {times} in order ({kinds})" + (f"; {wrong[0]}" if wrong else ""),
        "nothing" if not wrong else f"{len(wrong)} writes could be lost or found empty",
        not wrong and times > 0,
    )


def state_rows(outcome: Outcome) -> Iterator[Row]:
    """A row for each kind of write."""
    for kind, words in KINDS.items():
        cuts, states, wrong = outcome.cuts[kind], outcome.states[kind], outcome.wrong.get(kind, [])
        opened = f"; {outcome.opened} runs of all kinds taken up again" if kind == "run" else ""
        yield Row(
            f"lost power: {kind}",
            f"{words}: the power goes after each call, unsynced names kept up to any point, unsynced content missing, "
            f"halved, zeros or whole; {lazyfs()}",
            cuts,
            _BAR_STATE,
            f"{states} states of the disk read back, {len(wrong)} wrong{opened}" + (f"; {wrong[0]}" if wrong else ""),
            "nothing" if not wrong else f"{len(wrong)} times",
            not wrong and cuts > 0,
        )


def _quick_disk(folder: Path) -> Path:
    """Where states are laid out to be read: in memory where there is such a place, else in `folder`."""
    memory = Path("/dev/shm")  # nosec B108 - a folder of a random name is made in it
    room = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**28
    return memory if room else folder


def lazyfs() -> str:
    """Why LazyFS was not mounted."""
    here = shutil.which("lazyfs")
    fuse = "/dev/fuse is there" if Path("/dev/fuse").exists() else "there is no /dev/fuse"
    return f"simulated, not LazyFS ({'not used' if here else 'not installed'}; {fuse})"


def trials(bench: Bench) -> Iterator[Row]:
    """The rows: one for the order, one for each kind of write."""
    recordings = [record_run(bench), record_others(bench)]
    yield order_row(recordings)
    outcome, share = Outcome(), 0.15 if bench.short else 1.0
    for number, recording in enumerate(recordings):
        times = cut_points(recording, share, bench.seed)
        bench.say(f"{len(times)} moments of {len(recording.calls)}")
        with tempfile.TemporaryDirectory(prefix="hrm-torture-", dir=_quick_disk(bench.folder)) as place:
            try_states(recording, Path(place) / f"states-{number}", times, 40 if bench.short else 10, outcome)
    yield from state_rows(outcome)

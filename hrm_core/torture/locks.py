"""Two trainers on one run, two on one device, a forked worker that outlives its trainer: who goes on, and what is said.

Torture room. Pairs of processes started for one moment of the monotonic clock -> rows. Most pairs are small processes
that call the writer (`_CHILD`), some are whole `hrm run` and `hrm resume`. Nothing here takes a lock itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from hrm_core.runs.layout import RunFolder
from hrm_core.runs.locks import holder, lock_holder
from hrm_core.runs.reader import read_run, read_status
from hrm_core.torture.bench import SMALL_RUN, Bench, Row

PATIENCE_S: Final = 180.0
BAR: Final = "exactly one goes on; the other ends with 1 or 2 and a line that says who holds it"

# argv: what to take, where. Says "ready", waits for the moment it is told, tries, says what came of it as JSON, and
# holds what it has until it is killed or its input ends. "forked": a worker of it lives on and holds nothing.
_CHILD: Final = """
import json, os, sys, time
from pathlib import Path
from hrm_core.errors import UserError
from hrm_core.runs.locks import device_lock
from hrm_core.runs.writer import RunWriter

what, where = sys.argv[1], Path(sys.argv[2])
print("ready", flush=True)
moment = float(sys.stdin.readline())
while time.monotonic() < moment:
    pass
try:
    if what == "create":
        held = RunWriter.create(where, "", {})
    elif what == "device":
        held = device_lock("torture", where).acquire()
    else:
        held = RunWriter.open(where)
    said = {"code": 0, "line": ""}
except UserError as error:
    said = {"code": error.exit_code, "line": error.message}
worker = os.fork() if what == "forked" and not said["code"] else None
if worker == 0:
    time.sleep(600)
    os._exit(0)
print(json.dumps({**said, "worker": worker}), flush=True)
if said["code"]:
    sys.exit(said["code"])
sys.stdin.read()
"""
# `hrm WORDS` in this process; a forked worker of it begins as soon as the trainer runs. argv: run folder, words.
_WITH_WORKER: Final = r"""
import os, sys, threading, time
from pathlib import Path
from hrm_core.cli.main import main
from hrm_core.runs.reader import read_status

folder, sys.argv[:] = Path(sys.argv[1]), ["hrm", *sys.argv[2:]]

def fork():
    while True:
        status = read_status(folder)
        if status.get("state") == "running" and status["process"]["pid"] == os.getpid():
            break
        time.sleep(0.01)
    worker = os.fork()
    if worker == 0:
        time.sleep(600)
        os._exit(0)
    os.write(1, f"\nworker {worker}\n".encode())

threading.Thread(target=fork, daemon=True).start()
main()
"""


@final
@dataclass(frozen=True)
class Said:
    """What came of one of the two. code None: it goes on."""

    pid: int
    code: int | None
    line: str


@final
@dataclass
class Tally:
    """Times done, codes of those refused, and what was not as it must be."""

    times: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def judge(self, pair: tuple[Said, Said], held_by: int | None) -> None:
        """One pair: one goes on and holds it, the other names it."""
        self.times += 1
        on = [said for said in pair if said.code is None]
        off = [said for said in pair if said.code is not None]
        if len(on) != 1:
            self.problems.append(f"{len(on)} go on ({'; '.join(said.line for said in off)})")
            return
        self.codes[off[0].code or 0] += 1
        if held_by != on[0].pid:
            self.problems.append(f"held by {held_by}, not by the one that goes on")
        if off[0].code not in (1, 2) or not re.search(rf"\b{on[0].pid}\b", off[0].line):
            self.problems.append(f"ended with {off[0].code} and does not say who holds it: {off[0].line[:160]}")

    def row(self, fault: str, how: str, bar: str = BAR) -> Row:
        """What was found."""
        codes = ", ".join(f"{count} ended with {code}" for code, count in sorted(self.codes.items()))
        return Row(
            fault,
            how,
            self.times,
            bar,
            f"{self.times - len(self.problems)} of {self.times} so" + (f"; {codes}" if codes else ""),
            "; ".join(self.problems[:5]) or "nothing",
            not self.problems and self.times > 0,
        )


def trials(bench: Bench) -> Iterator[Row]:
    """The four faults."""
    whole = bench.times(5, 1)
    small = bench.times(50, 3) - whole
    runs = bench.folder / "runs"
    runs.mkdir(exist_ok=True)
    yield two_new(bench, runs, small, whole)
    yield two_resumed(bench, runs, small, whole)
    yield two_on_a_device(bench, small + whole)
    yield worker_outlives(bench, runs, small, whole)


def two_new(bench: Bench, runs: Path, small: int, whole: int) -> Row:
    """`hrm run --name X` twice at once."""
    tally = Tally()
    for number in range(small):
        folder = runs / f"new-{number}"
        _small_pair(bench, tally, "create", folder, RunFolder(folder).lock)
    for number in range(whole):
        name = f"trained-{number}"
        _whole_pair(bench, tally, RunFolder(runs / name), new_run(bench, runs, name))
    how = f"{small} pairs of processes that make the run with the writer, {whole} of `hrm run --name X`"
    return tally.row("two trainers begin one run at once", how)


def new_run(bench: Bench, runs: Path, name: str) -> list[str]:
    """argv of a small run that does not end by itself."""
    settings = [line for line in SMALL_RUN if not line.startswith("training.max_steps")]
    words = ("run", "demo", *settings, "training.max_steps=1000000", "training.early_stop=false", "--name", name)
    return bench.command(*words, "--runs", str(runs), "--data", str(bench.data))


def resumed_run(bench: Bench, runs: Path, name: str) -> tuple[str, ...]:
    """Words that take it up."""
    return ("resume", name, "--runs", str(runs), "--data", str(bench.data))


def two_resumed(bench: Bench, runs: Path, small: int, whole: int) -> Row:
    """`hrm resume X` twice at once."""
    tally = Tally()
    for number in range(small):
        folder = runs / f"new-{number}"
        _small_pair(bench, tally, "open", folder, RunFolder(folder).lock)
    for _ in range(whole):
        argv = bench.command(*resumed_run(bench, runs, "trained-0"))
        _whole_pair(bench, tally, RunFolder(runs / "trained-0"), argv)
    how = f"{small} pairs of processes that open the run with the writer, {whole} of `hrm resume X`"
    return tally.row("two trainers resume one run at once", how)


def two_on_a_device(bench: Bench, times: int) -> Row:
    """The lock of a GPU."""
    tally = Tally()
    for number in range(times):
        folder = bench.folder / f"device-{number}"
        folder.mkdir()
        _small_pair(bench, tally, "device", folder, folder / "device-torture.lock")
    return tally.row(
        "two trainers on one GPU at once", "pairs of processes; the lock was taken by name, no GPU computed"
    )


def worker_outlives(bench: Bench, runs: Path, small: int, whole: int) -> Row:
    """kill -9 of a trainer while a process that it forked lives."""
    tally = Tally()
    for number in range(small):
        folder = runs / f"new-{number}"
        child = _Child(bench, "forked", folder)
        said, worker = child.go(time.monotonic())
        child.kill()
        _judge_left(tally, folder, said.code is None, worker, partial(_reopens, bench, folder))
    for _ in range(whole):
        _whole_worker(bench, tally, RunFolder(runs / "trained-0"))
    how = f"{small} small processes with the run open, {whole} of `hrm resume X`, each killed while its worker lives"
    bar = "the lock is free, nobody is named as its holder, the run can be resumed"
    return tally.row("a forked worker outlives its trainer", how, bar)


def _judge_left(tally: Tally, folder: Path, held: bool, worker: int | None, resumes: Callable[[], bool]) -> None:
    """The parent is dead: the worker must live, and hold nothing."""
    tally.times += 1
    alive = worker is not None and _lives(worker)
    found = [
        "the trainer did not hold it" * (not held),
        "its worker did not outlive it" * (not alive),
        "the lock is held" * (holder(folder) is not None),
        "the list says that it runs" * read_run(folder).is_live,
    ]
    problems = [word for word in found if word]
    if not problems and not resumes():
        problems = ["it cannot be resumed"]
    if problems:
        tally.problems.append(", ".join(problems))
    if worker is not None and alive:
        os.kill(worker, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def _reopens(bench: Bench, folder: Path) -> bool:
    child = _Child(bench, "open", folder)
    said, _ = child.go(time.monotonic())
    child.kill()
    return said.code is None


@final
class _Child:
    """One process of `_CHILD`."""

    def __init__(self, bench: Bench, what: str, where: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, what, str(where)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(bench.environment()),
            text=True,
        )

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def wait_until_ready(self) -> None:
        """It has imported what it needs."""
        if self._line() != "ready\n":
            raise AssertionError("a process of the torture did not begin")

    def tell(self, moment: float) -> None:
        """When to try."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{moment}\n")
        self._process.stdin.flush()

    def answer(self) -> tuple[Said, int | None]:
        """What came of it, and its worker's pid."""
        line = self._line()
        said: dict[str, Any] = json.loads(line) if line else {"code": -1, "line": "it said nothing", "worker": None}
        return Said(self._process.pid, said["code"] or None, said["line"]), said["worker"]

    def go(self, moment: float) -> tuple[Said, int | None]:
        """All three."""
        self.wait_until_ready()
        self.tell(moment)
        return self.answer()

    def kill(self) -> None:
        """kill -9."""
        with self._process:
            self._process.kill()


def _small_pair(bench: Bench, tally: Tally, what: str, where: Path, lock: Path) -> None:
    children = (_Child(bench, what, where), _Child(bench, what, where))
    try:
        for child in children:
            child.wait_until_ready()
        moment = time.monotonic() + 0.02
        for child in children:
            child.tell(moment)
        first, second = (child.answer()[0] for child in children)
        tally.judge((first, second), lock_holder(lock))
    finally:
        for child in children:
            child.kill()


def _started(bench: Bench, argv: list[str], said: Path) -> subprocess.Popen[bytes]:
    with said.open("wb") as output:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=dict(bench.environment())
        )


def _last_line(path: Path) -> str:
    return " ".join(path.read_text(encoding="utf-8", errors="replace").split("\n")[-3:]).strip()


def _trains(layout: RunFolder, pids: Set[int]) -> bool:
    """Whether one of these processes has the lock and says that it runs. One killed before said so for ever."""
    status, pid = read_status(layout), holder(layout)
    return pid in pids and status.get("state") == "running" and status["process"]["pid"] == pid


def _whole_pair(bench: Bench, tally: Tally, layout: RunFolder, argv: list[str]) -> None:
    """Two whole commands. Judged once one has ended and the other trains; that one is killed then."""
    outputs = [bench.folder / f"said-{number}.txt" for number in (1, 2)]
    processes = [_started(bench, argv, output) for output in outputs]
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        running = _trains(layout, {process.pid for process in processes})
        if all(process.poll() is not None for process in processes):
            break
        if running and any(process.poll() is not None for process in processes):
            break
        time.sleep(0.02)
    first, second = (
        Said(process.pid, process.poll(), _last_line(output))
        for process, output in zip(processes, outputs, strict=True)
    )
    tally.judge((first, second), holder(layout))
    for process in processes:
        process.kill()
        process.wait()


def _whole_worker(bench: Bench, tally: Tally, layout: RunFolder) -> None:
    """`hrm resume` with a forked worker, killed; and resumed until it trains again."""
    words = resumed_run(bench, layout.path.parent, layout.run_id)
    output = bench.folder / "worker.txt"
    argv = [sys.executable, "-c", _WITH_WORKER, str(layout.path), *words]
    trainer = _started(bench, argv, output)
    worker, until = None, time.monotonic() + PATIENCE_S
    while worker is None and trainer.poll() is None and time.monotonic() < until:
        match = re.search(r"^worker (\d+)$", output.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        worker = int(match[1]) if match else None
        time.sleep(0.02)
    held = holder(layout) == trainer.pid
    trainer.kill()
    trainer.wait()
    _judge_left(tally, layout.path, held, worker, lambda: _trains_again(bench, layout, words))


def _trains_again(bench: Bench, layout: RunFolder, words: tuple[str, ...]) -> bool:
    process = _started(bench, bench.command(*words), bench.folder / "again.txt")
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        if _trains(layout, {process.pid}):
            break
        time.sleep(0.02)
    trains = process.poll() is None and _trains(layout, {process.pid})
    process.kill()
    process.wait()
    return trains

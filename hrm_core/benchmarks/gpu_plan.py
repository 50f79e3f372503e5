"""`hrm bench gpu-all`: its stages, each a process of its own with a limit of time, and how they are run.

Benchmarks room: a folder -> `Stage`s -> `Result`s, a log and a JSON file for each. Checks, and what compiles ahead for
the speeds, run at the same time; speeds follow one by one on a GPU that does nothing else. A stage that fails, hangs
or dies does not stop the others. What a stage does is in `gpu_children.py`, what is made of it in `gpu_summary.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from hrm_core.benchmarks.checks import CHECKOUT
from hrm_core.errors import UserError

# The whole command has to end within this.
LIMIT_S = 230.0
LEAST_S = 5.0
# Of stages that run together.
TOGETHER_S = 110.0
# How much time a stage has, for those that can do less.
SECONDS_VARIABLE = "HRM_STAGE_SECONDS"

Status = Literal["passed", "failed", "out of time", "not here"]
Say = Callable[[str], None]
# Of a log's last line.
WORDS = 400


# The files with tests marked gpu; none of them imports a plugin of pytest.
KERNEL_TESTS = ("tests/kernels/test_kernels_gpu.py",)
STEP_TESTS = (
    "tests/core/data/test_streams.py",
    "tests/core/training/test_graphs.py",
    "tests/core/training/test_memory.py",
    "tests/core/training/test_saving.py",
)


@final
@dataclass(frozen=True)
class Stage:
    """needs: a program without which the stage is left out; it then counts neither way. alone: nothing else runs
    meanwhile. counts: whether the command fails with it."""

    name: str
    title: str
    command: tuple[str, ...]
    budget_s: float
    needs: str | None = None
    alone: bool = True
    counts: bool = True


@final
@dataclass(frozen=True)
class Result:
    """`words`: the last line that the stage printed."""

    stage: Stage
    status: Status
    seconds: float
    words: str

    @property
    def fine(self) -> bool:
        """Passed, or does not count."""
        return self.status in ("passed", "not here") or not self.stage.counts


def plan(out: Path) -> list[Stage]:
    """All stages, those that run together first."""

    def child(name: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "hrm_core.benchmarks.gpu_children", name, str(out / f"{name}.json"))

    def tests(files: Sequence[str]) -> tuple[str, ...]:
        # A configuration of their own: that of the project asks for plugins that a lent machine may not have.
        options = ("-q", "-p", "no:cacheprovider", "-c", "tests/gpu.ini", "--rootdir", ".", "-m", "gpu")
        return (sys.executable, "-m", "pytest", *options, *files)

    def together(
        name: str, title: str, command: tuple[str, ...], needs: str | None = None, counts: bool = True
    ) -> Stage:
        return Stage(name, title, command, TOGETHER_S, needs, alone=False, counts=counts)

    sanitizer = ("compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9")
    ahead = [
        together(f"ahead-{name}", f"torch.compile ahead: {title}", child(f"ahead-{name}"), counts=False)
        for name, title in (
            ("attention", "attention's peers"),
            ("operations", "the other peers"),
            ("step", "the step"),
        )
    ]
    return [
        together("correctness", "every operation in bf16: error under 1e-2, equal calls equal", child("correctness")),
        together("tests", "pytest -m gpu: kernels", tests(KERNEL_TESTS)),
        together("graphs", "pytest -m gpu: captured steps equal eager ones", tests(STEP_TESTS)),
        together("repeat", "the captured step from one start, again and again", child("repeat")),
        together("training", "200 steps with kernels (twice) against references (twice)", child("training")),
        together("sanitized", "compute-sanitizer memcheck", (*sanitizer, *child("sanitized")), "compute-sanitizer"),
        *ahead,
        Stage("device", "device, driver, versions, measured peaks", child("device"), 20),
        Stage("memory", "peak memory within 10 % of the plan", child("memory"), 25),
        Stage("profile", "where the captured step's time goes", child("profile"), 30),
        Stage("steps", "the training step against eager and compiled torch", child("steps"), 75),
        Stage("kernels", "every operation against its peers", child("kernels"), 75),
    ]


def chosen(stages: Sequence[Stage], only: Sequence[str]) -> list[Stage]:
    """The stages named, in the plan's order; all where none is. UserError for a name that is none."""
    names = [stage.name for stage in stages]
    for name in only:
        if name not in names:
            raise UserError(f"--only {name}: there is no such stage; there are {', '.join(names)}")
    return [stage for stage in stages if not only or stage.name in only]


def longest(stages: Sequence[Stage]) -> float:
    """Seconds that they take at most if none is cut by the whole's limit."""
    crowd = max((stage.budget_s for stage in stages if not stage.alone), default=0.0)
    return crowd + sum(stage.budget_s for stage in stages if stage.alone)


def environment(limit_s: float) -> dict[str, str]:
    """For children: lines at once, no interpreter, and the time they have."""
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return {**kept, "PYTHONUNBUFFERED": "1", SECONDS_VARIABLE: f"{limit_s:.1f}"}


def last_line(log: Path) -> str:
    """What a log ends with."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip()[:WORDS] if lines else ""


@final
@dataclass(frozen=True)
class Running:
    """A stage's process, when it began and when it is ended."""

    stage: Stage
    child: subprocess.Popen[bytes]
    log: Path
    begin: float
    limit_s: float

    def result(self) -> Result | None:
        """None while it runs."""
        seconds = time.monotonic() - self.begin
        code = self.child.poll()
        if code is not None:
            return Result(self.stage, "passed" if code == 0 else "failed", seconds, last_line(self.log))
        if seconds < self.limit_s:
            return None
        self.kill()
        return Result(self.stage, "out of time", seconds, f"after: {last_line(self.log)}")

    def kill(self) -> None:
        """Ends it with what it has started: the stage leads a group of its own."""
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()


def start(stage: Stage, out: Path, limit_s: float) -> Running:
    """Starts it in a session of its own with its output in a log."""
    log = out / f"{stage.name}.log"
    with log.open("wb") as stream:
        child = subprocess.Popen(
            stage.command,
            cwd=CHECKOUT,
            env=environment(limit_s),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Running(stage, child, log, time.monotonic(), limit_s)


def run_together(stages: Sequence[Stage], out: Path, limit_s: float, say: Say) -> list[Result]:
    """At the same time, each within its budget and `limit_s`; results in the order given, told as they come."""
    results: dict[str, Result] = {}
    running: list[Running] = []

    def done(result: Result) -> None:
        results[result.stage.name] = result
        say(f"  {result.stage.name}: {result.status} in {result.seconds:.1f} s: {result.words}")

    try:
        for stage in stages:
            if stage.needs is not None and shutil.which(stage.needs) is None:
                done(Result(stage, "not here", 0.0, f"{stage.needs} is not on PATH"))
            elif limit_s < LEAST_S:
                done(Result(stage, "out of time", 0.0, "the stages before it have used up the time"))
            else:
                running.append(start(stage, out, min(stage.budget_s, limit_s)))
        while running:
            time.sleep(0.02)
            for one in list(running):
                result = one.result()
                if result is not None:
                    running.remove(one)
                    done(result)
    finally:
        for one in running:
            one.kill()
    return [results[stage.name] for stage in stages]


def run_stages(stages: Sequence[Stage], out: Path, say: Say, limit_s: float = LIMIT_S) -> list[Result]:
    """Those that may run together first, then one after the other, within what is left of the whole."""
    begin = time.monotonic()
    crowd = [stage for stage in stages if not stage.alone]
    groups = [*([crowd] if crowd else []), *([stage] for stage in stages if stage.alone)]
    results: list[Result] = []
    for group in groups:
        left = max(limit_s - (time.monotonic() - begin), 0.0)
        for stage in group:
            number = len(results) + group.index(stage) + 1
            say(f"{number} of {len(stages)}: {stage.title} (at most {min(stage.budget_s, left):.0f} s)")
        results += run_together(group, out, left, say)
    return results

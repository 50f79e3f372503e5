"""`hrm bench gpu-all`: its stages, each a process of its own with a limit of time, and how they are run.

Benchmarks room: a folder -> `Stage`s -> `Result`s, a log and a JSON file for each. Stages follow one another; one that
fails, hangs or dies does not stop the others. What a stage does is in `gpu_children.py`, what is made of the findings
in `gpu_summary.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from hrm_core.benchmarks.checks import CHECKOUT

# The whole command has to end within this.
LIMIT_S = 480.0
LEAST_S = 5.0

Status = Literal["passed", "failed", "out of time", "not here"]
Say = Callable[[str], None]


# The files with tests marked gpu; none of them imports a plugin of pytest.
KERNEL_TESTS = ("tests/kernels/test_kernels_gpu.py",)
STEP_TESTS = (
    "tests/core/data/test_streams.py",
    "tests/core/training/test_graphs.py",
    "tests/core/training/test_memory.py",
)


@final
@dataclass(frozen=True)
class Stage:
    """`needs`: a program without which the stage is left out; it then counts neither way."""

    name: str
    title: str
    command: tuple[str, ...]
    budget_s: float
    needs: str | None = None


@final
@dataclass(frozen=True)
class Result:
    """`words`: the last line that the stage printed."""

    stage: Stage
    status: Status
    seconds: float
    words: str


def plan(out: Path) -> list[Stage]:
    """All stages, the checks before the speeds; budgets add up to less than the limit."""

    def child(name: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "hrm_core.benchmarks.gpu_children", name, str(out / f"{name}.json"))

    def tests(files: Sequence[str]) -> tuple[str, ...]:
        # A configuration of their own: that of the project asks for plugins that a lent machine may not have.
        options = ("-q", "-p", "no:cacheprovider", "-c", "tests/gpu.ini", "--rootdir", ".", "-m", "gpu")
        return (sys.executable, "-m", "pytest", *options, *files)

    sanitizer = ("compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9")
    return [
        Stage("device", "device, driver, versions, measured peaks", child("device"), 20),
        Stage("correctness", "every operation in bf16: error under 1e-2, two calls equal", child("correctness"), 70),
        Stage("tests", "pytest -m gpu: kernels", tests(KERNEL_TESTS), 45),
        Stage("graphs", "pytest -m gpu: captured steps equal eager ones", tests(STEP_TESTS), 40),
        Stage("training", "200 steps with kernels (twice) against references", child("training"), 60),
        Stage("memory", "peak memory within 10 % of the plan", child("memory"), 25),
        Stage("steps", "the training step against eager and compiled torch", child("steps"), 85),
        Stage("kernels", "every operation against its peers", child("kernels"), 105),
        Stage("sanitized", "compute-sanitizer memcheck", (*sanitizer, *child("sanitized")), 25, "compute-sanitizer"),
    ]


def environment() -> dict[str, str]:
    """For children: lines at once, no interpreter, and the checkout's modules and tests."""
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def last_line(log: Path) -> str:
    """What a log ends with."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip()[:200] if lines else ""


def _kill(child: subprocess.Popen[bytes]) -> None:
    # The stage leads a group of its own: what it has started goes with it.
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def run_stage(stage: Stage, out: Path, limit_s: float) -> Result:
    """Runs it in a session of its own with its output in a log, and ends it at its limit."""
    if stage.needs is not None and shutil.which(stage.needs) is None:
        return Result(stage, "not here", 0.0, f"{stage.needs} is not on PATH")
    log = out / f"{stage.name}.log"
    begin = time.monotonic()
    with log.open("wb") as stream:
        child = subprocess.Popen(
            stage.command,
            cwd=CHECKOUT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = child.wait(limit_s)
        except subprocess.TimeoutExpired:
            _kill(child)
            return Result(stage, "out of time", time.monotonic() - begin, f"after: {last_line(log)}")
        except BaseException:
            _kill(child)
            raise
    return Result(stage, "passed" if code == 0 else "failed", time.monotonic() - begin, last_line(log))


def run_stages(stages: Sequence[Stage], out: Path, say: Say, limit_s: float = LIMIT_S) -> list[Result]:
    """One after the other, each within its own budget and what is left of the whole."""
    begin = time.monotonic()
    results = []
    for number, stage in enumerate(stages, 1):
        left = limit_s - (time.monotonic() - begin)
        say(f"{number} of {len(stages)}: {stage.title} (at most {min(stage.budget_s, max(left, 0.0)):.0f} s)")
        if left < LEAST_S:
            result = Result(stage, "out of time", 0.0, "the stages before it have used up the time")
        else:
            result = run_stage(stage, out, min(stage.budget_s, left))
        say(f"  {result.status} in {result.seconds:.1f} s: {result.words}")
        results.append(result)
    return results

"""What the stages of `hrm bench gpu-all` run: `python -m hrm_core.benchmarks.gpu_children`, a process for each.

Benchmarks room: a stage's name and the file for its findings -> JSON there, a line for each thing done on stdout, exit
code 1 where a check failed. A stage that hangs, crashes the device or runs out of memory takes no other with it.
Which stages there are, their order and their time: `gpu_plan.py`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from hrm_core.benchmarks.checks import Verdict, check_on_gpu
from hrm_core.benchmarks.equality import compare_trainings, look_for_repeats
from hrm_core.benchmarks.gpu_plan import SECONDS_VARIABLE
from hrm_core.benchmarks.kernels import LEFT_OUT, SLOW_TO_START, Report, measure_operations, to_json
from hrm_core.benchmarks.machine import device_report, require_gpu
from hrm_core.benchmarks.profiling import profile_step
from hrm_core.benchmarks.steps import SHAPES, VARIANTS, measure_memory, measure_steps, measure_variant
from hrm_core.benchmarks.tune import forced
from hrm_core.runs.atomic import write_json
from triton_kernels.benchmarking import specimens_of
from triton_kernels.runtime import OPERATIONS

# Time for each peer, and for all that are not slow to start.
PEER_S = 0.05
FAST_PEERS_S = 25.0


def say(text: str) -> None:
    """A line for the stage's log, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def gpu() -> torch.device:
    """The CUDA device; these stages have no other."""
    return require_gpu("hrm bench gpu-all", "use --dry-run to see its plan and compile what it would launch")


def device(out: Path) -> bool:
    """What the machine is, and its measured peaks."""
    report = device_report(gpu())
    write_json(out, report)
    peaks = report["peaks"]
    say(f"{report['machine']['device']}: {peaks['flops'] / 1e12:.0f} TFLOP/s, {peaks['bytes'] / 1e9:.0f} GB/s measured")
    return True


def correctness(out: Path) -> bool:
    """Every operation in bf16 against its reference, and twice the same bits."""
    found: dict[str, Any] = {}
    with forced():
        for op in OPERATIONS:
            first, again = (specimens_of(op, gpu(), torch.bfloat16) or [] for _ in range(2))
            found[op] = asdict(check_on_gpu(first, again))
            say(f"{op}: {found[op]['words']}")
            write_json(out, found)
            torch.cuda.empty_cache()
    failed = [op for op, row in found.items() if not row["passed"]]
    say(
        f"{len(found) - len(failed)} of {len(found)} operations right"
        + (f"; not: {', '.join(failed)}" if failed else "")
    )
    return not failed


def sanitized(out: Path) -> bool:
    """One call of every kernel at its smallest shape, for `compute-sanitizer` to look at."""
    called = []
    with forced():
        for op in OPERATIONS:
            specimens = [s for s in specimens_of(op, gpu(), torch.bfloat16) or [] if "kernel" in s.peers]
            least = min((specimen.bytes for specimen in specimens if specimen.direction == "forward"), default=0.0)
            smallest = {specimen.shape for specimen in specimens if specimen.bytes <= least}
            for specimen in specimens:
                if specimen.shape in smallest:
                    specimen.peers["kernel"]()
                    torch.cuda.synchronize()
                    called.append(f"{op} {specimen.shape} {specimen.direction}")
    write_json(out, called)
    say(f"{len(called)} kernels called")
    return bool(called)


def training(out: Path) -> bool:
    """Training with kernels, twice, and with references, twice."""
    found = compare_trainings(gpu(), say)
    write_json(out, asdict(found))
    say(found.words)
    return found.passed


def repeat(out: Path) -> bool:
    """The captured and the eager step from one start; the first thing that differs."""
    gpu()
    found = look_for_repeats(say)
    write_json(out, asdict(found))
    return found.passed


def checked(out: Path) -> dict[str, Verdict]:
    """What the correctness stage of the same run has found, so that it is not asked again."""
    path = out.with_name("correctness.json")
    if not path.exists():
        return {}
    return {op: Verdict(**row) for op, row in json.loads(path.read_text(encoding="utf-8")).items()}


def kernels(out: Path) -> bool:
    """The table of operations and peers; what is there so far is in the file after each operation."""
    slow_until = time.monotonic() + float(os.environ.get(SECONDS_VARIABLE, "75")) - FAST_PEERS_S
    # The most peers that torch compiles come last, so that nobody else goes without.
    ops = sorted(OPERATIONS, key=lambda op: op == "recurrent_attention")

    def keep(report: Report) -> None:
        write_json(out, to_json(report))
        torch.cuda.empty_cache()

    with forced():
        report = measure_operations(
            ops, gpu(), torch.bfloat16, say, PEER_S, keep, verdicts=checked(out), slow_until=slow_until
        )
    keep(report)
    left = sum(row.problem == LEFT_OUT for row in report.rows)
    say(f"{len(report.rows)} rows, {left} left out; no speed for {', '.join(report.refused) or 'none'}")
    return not report.refused


def ahead(ops: Sequence[str]) -> Callable[[Path], bool]:
    """Calls what torch compiles of these operations once, so that its cache on disk has it when speeds are measured."""

    def run(out: Path) -> bool:
        done: list[str] = []
        with forced():
            for op in ops:
                for specimen in specimens_of(op, gpu(), torch.bfloat16) or []:
                    call = specimen.peers.get(SLOW_TO_START)
                    if call is None:
                        continue
                    with suppress(Exception):  # its turn to complain comes when it is timed
                        call()
                    done.append(f"{op} {specimen.shape} {specimen.direction}")
                    say(done[-1])
        write_json(out, done)
        say(f"{len(done)} peers compiled")
        return True

    return run


def ahead_step(out: Path) -> bool:
    """The same for the step."""
    name = next(iter(SHAPES))
    row = measure_variant(name, VARIANTS[-1], SHAPES[name], gpu(), 0.0)
    write_json(out, row)
    say(row["problem"] or "the step compiled")
    return True


def profile(out: Path) -> bool:
    """Kernels of the captured step by time, at the shapes that have targets."""
    gpu()
    found = []
    for name, lines in SHAPES.items():
        found.append(profile_step(name, lines))
        write_json(out, found)
        top = ", ".join(f"{row['kernel']} {100 * row['share']:.0f} %" for row in found[-1]["kernels"][:4])
        say(f"{name}: {found[-1]['step_ms']:.1f} ms, {found[-1]['calls']:.0f} kernels: {top}")
    return all(row["kernels"] for row in found)


def steps(out: Path) -> bool:
    """The training step against its peers at the shapes that have targets."""
    found = measure_steps(gpu(), say, lambda rows: write_json(out, rows))
    say(f"{len(found)} rows")
    return all(row.get("problem") is None for row in found)


def memory(out: Path) -> bool:
    """Peak memory against the plan's prediction."""
    rows = measure_memory(gpu(), say)
    write_json(out, rows)
    off = [row["recipe"] for row in rows if not row["within"]]
    say(f"{len(rows) - len(off)} of {len(rows)} within 10 % of the plan" + (f"; not: {', '.join(off)}" if off else ""))
    return not off


CHILDREN: dict[str, Callable[[Path], bool]] = {
    "device": device,
    "correctness": correctness,
    "sanitized": sanitized,
    "training": training,
    "repeat": repeat,
    "ahead-attention": ahead(["recurrent_attention"]),
    "ahead-operations": ahead([op for op in OPERATIONS if op != "recurrent_attention"]),
    "ahead-step": ahead_step,
    "profile": profile,
    "kernels": kernels,
    "steps": steps,
    "memory": memory,
}


def main(arguments: Sequence[str]) -> int:
    """NAME FILE -> exit code."""
    name, out = arguments
    return 0 if CHILDREN[name](Path(out)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`hrm bench tune`: tries other tiles, warps and stages for each kernel's launch row, and writes the best ones.

Benchmarks room: launch tables -> candidates around the present rows (halved, doubled, one stage more or less), those
left that compile ahead of time within the limits, timed on the GPU by replaying captured graphs of the operations'
specimens, and a rewritten `launch.json`. A row is replaced only by one that is right and faster by more than noise,
and it then counts as unverified until `hrm bench gpu-all` has been green with it. Only rows that the specimens are
launched with can be timed. Without a GPU candidates are listed and compiled, nothing is written.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hrm_core.benchmarks.checks import BF16_ERROR
from hrm_core.runs.atomic import write_bytes
from triton_kernels import launch, runtime
from triton_kernels.aot import SHARED_LIMIT
from triton_kernels.aot_gate import row_complaints
from triton_kernels.benchmarking import Specimen, specimens_of, time_cuda
from triton_kernels.launch import Meta, RowName

MIN_BLOCK, MAX_BLOCK = 16, 256
WARPS = (1, 2, 4, 8, 16)
STAGES = range(1, 6)
# Medians of replays differ by about this much from run to run.
LEAST_GAIN = 1.02

Say = Callable[[str], None]


class Target(NamedTuple):
    """A row that may be improved."""

    op: str
    kernel: str
    row: Meta

    @property
    def name(self) -> str:
        """For a line of output."""
        shape = " ".join(f"{key}={value}" for key, value in self.row.shape.items())
        return f"{self.op}.{self.kernel} sm_{self.row.arch}{' ' + shape if shape else ''}"


class Outcome(NamedTuple):
    """What became of a target: `speedup` of the best row over the present one, 1 where nothing was better."""

    target: Target
    best: Meta
    speedup: float
    tried: int


def options_text(row: Meta) -> str:
    """Tiles, warps and stages in a few characters."""
    blocks = " ".join(f"{name}={value}" for name, value in row.blocks.items())
    return f"{blocks} warps={row.num_warps} stages={row.num_stages}".strip()


def candidates(row: Meta) -> list[Meta]:
    """Rows one move away: a tile halved or doubled (with and without the warps), warps, stages; none twice."""
    moved: list[Meta] = []

    def add(blocks: dict[str, int], warps: int, stages: int) -> None:
        other = row._replace(blocks=blocks, num_warps=warps, num_stages=stages, verified=None)
        within = all(size == row.blocks[name] or MIN_BLOCK <= size <= MAX_BLOCK for name, size in blocks.items())
        if within and warps in WARPS and stages in STAGES and other not in moved and other.options() != row.options():
            moved.append(other)

    for name, size in row.blocks.items():
        for grow, shrink in ((2, 1), (1, 2)):
            blocks = {**row.blocks, name: size * grow // shrink}
            add(blocks, row.num_warps, row.num_stages)
            add(blocks, row.num_warps * grow // shrink, row.num_stages)
    for warps in (row.num_warps // 2, row.num_warps * 2):
        add(row.blocks, warps, row.num_stages)
    for stages in (row.num_stages - 1, row.num_stages + 1):
        add(row.blocks, row.num_warps, stages)
    return moved


def targets(ops: Sequence[str], arch: int, used: set[RowName] | None = None, hidden: int = 256) -> list[Target]:
    """Rows for this architecture: those recorded as used, or all that hold for `hidden`; older ones stand in for it."""
    found = []
    for op in ops:
        for kernel, rows in launch.table(op).items():
            newest: dict[tuple[tuple[str, int], ...], Meta] = {}
            for row in sorted(rows, key=lambda row: row.arch):
                if row.arch <= arch and row.shape.get("D", hidden) == hidden:
                    newest[tuple(sorted(row.shape.items()))] = row
            rows_here = [row for row in newest.values() if used is None or launch.row_name(op, kernel, row) in used]
            found += [Target(op, kernel, row) for row in rows_here]
    return found


def compile_candidates(
    wanted: Sequence[Target], processes: int, notify: Callable[[int, int], None] | None = None
) -> list[list[tuple[Meta, list[str]]]]:
    """For each target its candidates with what the compiler has against them (an empty list: worth timing)."""
    plan = [(number, row) for number, target in enumerate(wanted) for row in candidates(target.row)]
    results: list[list[tuple[Meta, list[str]]]] = [[] for _ in wanted]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        jobs = [pool.submit(row_complaints, wanted[number].op, wanted[number].kernel, row) for number, row in plan]
        for done, ((number, row), job) in enumerate(zip(plan, jobs, strict=True), 1):
            results[number].append((row, job.result()))
            if notify is not None:
                notify(done, len(plan))
    return results


@contextmanager
def forced() -> Iterator[None]:
    """Kernels run although no row is verified."""
    with runtime.mode("force"):
        yield


def rows_used(specimen: Specimen) -> set[RowName]:
    """The launch rows of one call of the specimen's kernel."""
    with launch.recording() as used:
        specimen.peers["kernel"]()
    return set(used)


def relative_time(specimens: Sequence[Specimen], baseline: Sequence[float]) -> float:
    """Geometric mean of time over baseline; infinite where a kernel is wrong or does not launch."""
    ratios = []
    for specimen, before in zip(specimens, baseline, strict=True):
        try:
            if specimen.check is None or not specimen.check() < BF16_ERROR:
                return math.inf
            ratios.append(time_cuda(specimen.peers["kernel"], 0.05).median_ms / before)
        except Exception:
            # Out of shared memory or registers at launch: this candidate is not for this device.
            return math.inf
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def tune_target(
    target: Target,
    rows: Sequence[Meta],
    specimens: Sequence[Specimen],
    arch: int,
    say: Say,
    until: float = math.inf,
) -> Outcome:
    """Times the rows that compile; the present row stays unless another is faster by more than noise.

    until: monotonic time after which no candidate is started.
    """
    baseline = [time_cuda(specimen.peers["kernel"], 0.05).median_ms for specimen in specimens]
    best, shortest = target.row, 1 / LEAST_GAIN
    tried = 0
    for row in rows:
        if time.monotonic() > until:
            say(f"  {len(rows) - tried} candidates are left out: the time is used up")
            break
        tried += 1
        with launch.override(target.op, target.kernel, arch, row):
            relative = relative_time(specimens, baseline)
        say(f"  {options_text(row)}: {'refused' if math.isinf(relative) else f'{1 / relative:.3f} x as fast'}")
        if relative < shortest:
            best, shortest = row, relative
    return Outcome(target, best, 1.0 if best is target.row else 1 / shortest, tried)


def compilable(target: Target, arch: int, processes: int) -> list[Meta]:
    """Candidates that the compiler has nothing against; all of them on an architecture whose limits are not known."""
    if arch not in SHARED_LIMIT or target.row.arch != arch:
        return candidates(target.row)
    return [row for row, wrong in compile_candidates([target], processes)[0] if not wrong]


def tune_operation(op: str, device: torch.device, processes: int, say: Say, until: float = math.inf) -> list[Outcome]:
    """Every row that the operation's specimens use, one after the other; the table is written after each gain."""
    arch = runtime.arch_of(device)
    specimens = specimens_of(op, device, torch.bfloat16)
    outcomes: list[Outcome] = []
    if specimens is None:
        say(f"{op}: missing, it has no benchmark.py")
        return outcomes
    with forced():
        usable = [specimen for specimen in specimens if "kernel" in specimen.peers]
        users = [(specimen, rows_used(specimen)) for specimen in usable]
        for target in targets([op], arch, {name for _, names in users for name in names}):
            if time.monotonic() > until:
                say(f"{target.name}: left out, the time is used up")
                continue
            name = launch.row_name(op, target.kernel, target.row)
            affected = [specimen for specimen, names in users if name in names]
            rows = compilable(target, arch, processes)
            say(f"{target.name}: {options_text(target.row)}, {len(rows)} candidates at {len(affected)} shapes")
            outcome = tune_target(target, rows, affected, arch, say, until)
            outcomes.append(outcome)
            if outcome.best is not target.row:
                put_row(op, target.kernel, outcome.best._replace(arch=arch))
    return outcomes


def rows_text(rows: dict[str, Sequence[Meta]]) -> str:
    """A launch table as JSON, a line for each row."""
    kernels = []
    for kernel, metas in rows.items():
        lines = ",\n".join("    " + json.dumps(meta._asdict()) for meta in metas)
        kernels.append(f"  {json.dumps(kernel)}: [\n{lines}\n  ]")
    return "{\n" + ",\n".join(kernels) + "\n}\n"


def put_row(op: str, kernel: str, row: Meta, root: Path | None = None) -> None:
    """Writes one row into the operation's table, in place of the one for the same architecture and shape."""
    path = (root or launch.ROOT) / op / "launch.json"
    raw: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    rows: dict[str, Sequence[Meta]] = {name: [Meta(**old) for old in olds] for name, olds in raw.items()}
    same = [i for i, old in enumerate(rows[kernel]) if (old.arch, old.shape) == (row.arch, row.shape)]
    new = list(rows[kernel])
    if same:
        new[same[0]] = row
    else:
        new.append(row)
    write_bytes(path, rows_text({**rows, kernel: new}).encode())
    launch.forget()

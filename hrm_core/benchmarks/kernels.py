"""`hrm bench kernels`: each operation against its peers, on the shapes that its `benchmark.py` names.

Benchmarks room: operations, device, dtype -> rows of medians with percentiles, the share of the roofline that this
machine was measured to have, and the ratio to the reference. An operation whose check fails gets no speed, and one
without `benchmark.py` is named as missing. How an operation is checked: `checks.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, final

import torch

from hrm_core.benchmarks.checks import Verdict, check_operation
from hrm_core.benchmarks.machine import Machine, Peaks, measure_peaks, this_machine
from triton_kernels.benchmarking import Specimen, Timing, specimens_of, time_cpu, time_cuda
from triton_kernels.launch import recording

Say = Callable[[str], None]


@final
@dataclass(frozen=True)
class Row:
    """One peer of a specimen. `problem`: why it was not timed; then there is no timing."""

    op: str
    shape: str
    direction: str
    peer: str
    timing: Timing | None
    roofline_share: float | None
    against_reference: float | None
    problem: str | None = None


@final
@dataclass(frozen=True)
class Report:
    """All rows of one run of the command. `used`: launch rows that the timed kernels were launched with."""

    machine: Machine
    peaks: Peaks
    dtype: str
    verdicts: dict[str, Verdict]
    rows: list[Row] = field(default_factory=list)
    used: list[list[Any]] = field(default_factory=list)

    @property
    def refused(self) -> dict[str, str]:
        """Operations without speeds, and why."""
        return {op: verdict.words for op, verdict in self.verdicts.items() if not verdict.passed}


# Peers that are compiled by torch take seconds each before their first call.
SLOW_TO_START = "compile"
LEFT_OUT = "left out: the time for slow peers was used up"


def time_peer(call: Callable[[], object], cuda: bool, seconds: float) -> Timing | str:
    """The timing; or in words why this peer does not run here (a library's own kernel may refuse a shape)."""
    try:
        return time_cuda(call, seconds) if cuda else time_cpu(call, seconds)
    except Exception as error:
        first = str(error).strip().splitlines()
        return f"{type(error).__name__}: {first[0][:120] if first else ''}"


def time_specimen(
    specimen: Specimen, peaks: Peaks, cuda: bool, seconds: float, slow_until: float = math.inf
) -> list[Row]:
    """A row for each peer, the kernel first. slow_until: monotonic time after which no slow peer is started."""
    names = sorted(specimen.peers, key=lambda name: (name != "kernel", name != "reference", name))
    timed: dict[str, Timing | str] = {}
    for name in names:
        late = name == SLOW_TO_START and time.monotonic() > slow_until
        timed[name] = LEFT_OUT if late else time_peer(specimen.peers[name], cuda, seconds)
    reference = timed.get("reference")
    least_ms = peaks.least_ms(specimen.flops, specimen.bytes)
    rows = []
    for name, timing in timed.items():
        place = (specimen.op, specimen.shape, specimen.direction, name)
        if isinstance(timing, str):
            rows.append(Row(*place, None, None, None, timing))
            continue
        ratio = reference.median_ms / timing.median_ms if isinstance(reference, Timing) else None
        rows.append(Row(*place, timing, least_ms / timing.median_ms, ratio))
    return rows


def measure_operations(
    ops: Sequence[str],
    device: torch.device,
    dtype: torch.dtype,
    say: Say,
    seconds: float = 0.3,
    keep: Callable[[Report], None] = lambda report: None,
    verdicts: dict[str, Verdict] | None = None,
    slow_until: float = math.inf,
) -> Report:
    """Checks, then times. An operation that fails its check, or has nothing to time, is only named.

    `keep` sees the report after each operation that was timed: so far as it is then. verdicts: of operations that have
    been checked already. slow_until: see `time_specimen`.
    """
    cuda = device.type == "cuda"
    say("peaks: a large matrix product and a large copy")
    peaks = measure_peaks(device, dtype)
    report = Report(this_machine(device), peaks, str(dtype).removeprefix("torch."), {})
    for number, op in enumerate(ops, 1):
        place = f"{op} ({number} of {len(ops)})"
        specimens = specimens_of(op, device, dtype)
        if specimens is None:
            report.verdicts[op] = Verdict(False, "missing: it has no benchmark.py")
            say(f"{place}: missing, it has no benchmark.py")
            continue
        verdict = (verdicts or {}).get(op)
        if verdict is None:
            say(f"{place}: check")
            verdict = check_operation(op, specimens, device, dtype)
        report.verdicts[op] = verdict
        if not verdict.passed:
            say(f"{place}: no speed, {verdict.words}")
            continue
        with recording() as used:
            for specimen in specimens:
                say(f"{place}: {specimen.shape}, {specimen.direction}")
                report.rows.extend(time_specimen(specimen, peaks, cuda, seconds, slow_until))
        report.used.extend([name, kernel, arch, dict(shape)] for name, kernel, arch, shape in sorted(used))
        keep(report)
    return report


COLUMNS = ["operation", "shape", "direction", "peer", "median ms", "20 to 80 %", "of the roofline", "x reference"]


def table_row(row: Row) -> list[str]:
    """The row of a printed table."""
    place = [row.op, row.shape, row.direction, row.peer]
    if row.timing is None or row.roofline_share is None:
        return [*place, "-", "-", "-", row.problem or ""]
    timing = row.timing
    ratio = f"{row.against_reference:.2f}" if row.against_reference is not None else "-"
    spread = f"{timing.low_ms:.4g} to {timing.high_ms:.4g}"
    return [*place, f"{timing.median_ms:.4g}", spread, f"{100 * row.roofline_share:.0f} %", ratio]


def to_json(report: Report) -> dict[str, Any]:
    """Plain values."""
    return asdict(report)


HOW_TIMED = {
    True: "GPU time of calls replayed from a captured graph.",
    False: "Wall time. There is no GPU here, so no kernel is timed: forms of the reference against each other.",
}


def page(report: Report) -> str:
    """The page for `docs/benchmarks`."""
    machine, peaks = report.machine, report.peaks
    lines = [
        f"# Operations on {machine.device}",
        "",
        "Written by `hrm bench kernels --report`. Time of one call: median, 20th and 80th percentile. "
        f"{HOW_TIMED[machine.kind == 'cuda']} Share of the roofline: the larger of FLOPs over the measured matrix "
        "product and bytes over the measured copy, against the median; caches can take a small case above 100 %. "
        "`x reference`: how many times as fast as the reference in the same run.",
        "",
        f"{machine.line()}; {report.dtype}; load average {machine.load:.1f} at the start.",
        "",
        f"Measured peaks: {peaks.flops / 1e12:.3g} TFLOP/s (matrix product, {peaks.dtype}), "
        f"{peaks.bytes / 1e9:.3g} GB/s (copy, read and written).",
        "",
    ]
    for op, verdict in report.verdicts.items():
        lines += [f"## {op}", "", f"Check: {verdict.words}.", ""]
        rows = [row for row in report.rows if row.op == op]
        if rows:
            lines += ["| " + " | ".join(COLUMNS[1:]) + " |", "|" + "---|" * (len(COLUMNS) - 1)]
            lines += ["| " + " | ".join(cell.replace("|", "/") for cell in table_row(row)[1:]) + " |" for row in rows]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"

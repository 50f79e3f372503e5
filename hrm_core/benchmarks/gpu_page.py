"""The page of a run of `hrm bench gpu-all`, as it is kept under `docs/benchmarks`.

Benchmarks room: the stages' results and findings -> `summary.md`: device, driver, versions, date and commit; targets
beside measured values; stages; operations against their peers; where a step's time goes. What counts as proven is
decided in `gpu_summary.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrm_core.benchmarks.gpu_plan import Result
from hrm_core.benchmarks.gpu_summary import GOALS, Findings, Goal
from hrm_core.benchmarks.profiling import TOP

VERSIONS = ("python", "torch", "triton", "cuda")
DRIVER = (
    "driver_version",
    "power.limit",
    "clocks.max.sm",
    "clocks_event_reasons.active",
    "clocks_throttle_reasons.active",
    "ecc.mode.current",
)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; a bar within a cell would end it."""
    cells = [[cell.replace("|", "/").replace("\n", " ") for cell in row] for row in rows]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in cells), ""]


def number(value: float, unit: str) -> str:
    """With two places below 100, else whole."""
    return f"{value:,.2f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def machine_of(found: Findings) -> dict[str, Any]:
    """The machine, from whichever stage has told of it."""
    for stage in ("device", "kernels"):
        machine: dict[str, Any] | None = found.get(stage, {}).get("machine")
        if machine is not None:
            return machine
    return {}


def title(found: Findings) -> str:
    """Name of the device, or that none has told its name."""
    return str(machine_of(found).get("device", "an unknown device"))


def head(found: Findings) -> list[str]:
    """Device, versions, commit, driver and peaks."""
    machine, device = machine_of(found), found.get("device", {})
    lines = [f"# Measured on {title(found)}", "", "Written by `hrm bench gpu-all`.", ""]
    if not machine:
        return lines
    versions = machine["versions"]
    said = ", ".join(f"{name} {versions[name]}" for name in VERSIONS if versions.get(name))
    commit = machine["commit"] or "unknown"
    changed = " with changes that are not committed" if commit.endswith("+") else ""
    lines += [f"sm_{machine['arch']}; {said}; {machine['date']}; commit {commit.rstrip('+')[:12]}{changed}.", ""]
    driver = device.get("driver", {})
    told = [f"{key} {value}" for key, value in driver.items() if key.partition(" ")[0] in DRIVER]
    if told:
        lines += [f"Driver: {'; '.join(told)}.", ""]
    peaks = device.get("peaks")
    if peaks:
        lines += [
            f"Measured peaks: {peaks['flops'] / 1e12:.0f} TFLOP/s ({peaks['dtype']}), {peaks['bytes'] / 1e9:.0f} GB/s.",
            "",
        ]
    return lines


def value_of(goal: Goal, found: Findings) -> str:
    """The measured value in words."""
    value = goal.read(found)
    return "not measured" if value is None else number(value, goal.unit)


def steps_part(found: Findings) -> list[str]:
    """The training step by other means."""
    rows = []
    for row in found.get("steps", []):
        speed = row["problem"] if row.get("problem") else f"{row['segments_per_s']:,.0f}"
        spread = "" if row.get("problem") else f"{row['low']:,.0f} to {row['high']:,.0f}"
        peak = "" if row.get("problem") else f"{row['peak_memory_gib']:.2f}"
        rows.append([row["shape"], row["variant"], speed, spread, peak])
    columns = ["shape", "variant", "segments/s", "20 to 80 %", "peak GiB"]
    return ["## The step", "", *table(columns, rows)] if rows else []


def profile_part(found: Findings) -> list[str]:
    """Where a step's time goes."""
    lines: list[str] = []
    for shape in found.get("profile", []):
        rest = shape["kernels"][TOP:]
        rows = [
            [f"`{row['kernel']}`", f"{row['ms']:.2f}", f"{row['calls']:.0f}", f"{100 * row['share']:.1f} %"]
            for row in shape["kernels"][:TOP]
        ]
        if rest:
            spent, calls, share = (sum(row[name] for row in rest) for name in ("ms", "calls", "share"))
            rows.append([f"{len(rest)} others", f"{spent:.2f}", f"{calls:.0f}", f"{100 * share:.1f} %"])
        lines += [
            f"`{shape['shape']}`, kernels, captured: {shape['step_ms']:.2f} ms a step, of which kernels run "
            f"{shape['busy_ms']:.2f} ms; {shape['calls']:.0f} kernels in {shape['graphs']} graphs.",
            "",
            *table(["kernel", "ms a step", "calls", "share"], rows),
        ]
    return ["## Where the step's time goes", "", *lines] if lines else []


def by_place(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, dict[str, Any]]]:
    """(operation, shape, direction) -> peer -> row."""
    places: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        places.setdefault((row["op"], row["shape"], row["direction"]), {})[row["peer"]] = row
    return places


def operations_part(found: Findings) -> list[str]:
    """Each kernel's time, its share of the roofline, and how many times its time each peer takes."""
    rows = []
    for (op, shape, direction), peers in by_place(found.get("kernels", {}).get("rows", [])).items():
        kernel = peers.get("kernel", {}).get("timing")
        share = peers.get("kernel", {}).get("roofline_share")
        others, problems = [], []
        for name, row in peers.items():
            if name == "kernel":
                continue
            if row["timing"] is None:
                problems.append(f"{name}: {(row.get('problem') or 'not timed')[:60]}")
            elif kernel is not None:
                others.append(f"{name} {row['timing']['median_ms'] / kernel['median_ms']:.2f}")
        told = f"{kernel['median_ms']:.4g}" if kernel is not None else "-"
        roof = f"{100 * share:.0f} %" if share is not None else "-"
        rows.append([op, shape, direction, told, roof, ", ".join(others), "; ".join(problems)])
    columns = ["operation", "shape", "direction", "kernel ms", "of the roofline", "peers, times as long", "not timed"]
    return ["## Operations", "", *table(columns, rows)] if rows else []


def summary(results: Sequence[Result], found: Findings, verified: str) -> str:
    """The page."""
    goals = [[goal.measure, value_of(goal, found), goal.h100, goal.laptop] for goal in GOALS]
    stages = [[result.stage.title, result.status, f"{result.seconds:.1f}", result.words] for result in results]
    lines = [
        *head(found),
        "## Targets",
        "",
        *table(["measure", "measured here", "H100 target", "laptop target (by model)"], goals),
        f"Launch rows: {verified}.",
        "",
        *steps_part(found),
        *profile_part(found),
        *operations_part(found),
        "## Stages",
        "",
        *table(["stage", "outcome", "seconds", "last line"], stages),
    ]
    return "\n".join(lines)

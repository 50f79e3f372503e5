"""What `hrm bench gpu-all` found: values that targets ask for, and which launch rows it proves.

Benchmarks room: the stages' results and JSON files -> values, and launch rows that may be marked verified: those of an
operation whose kernel was faster than the reference, which would run in its place, at every shape and direction, in a
run of all stages that all passed and whose captured step was faster with kernels, on exactly this architecture, from a
checkout without changes. The page is written in `gpu_page.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from hrm_core.benchmarks.gpu_plan import Result, plan
from hrm_core.benchmarks.steps import OURS, VARIANTS
from hrm_core.benchmarks.tune import put_row
from triton_kernels.launch import Meta, find

Findings = dict[str, Any]


@final
@dataclass(frozen=True)
class Goal:
    """A target of the issue and how its measured value is read from the findings."""

    measure: str
    h100: str
    laptop: str
    read: Callable[[Findings], float | None]
    unit: str


def read_findings(out: Path, results: Sequence[Result]) -> Findings:
    """The stages' JSON files that are there and whole."""
    found: Findings = {}
    for result in results:
        path = out / f"{result.stage.name}.json"
        try:
            found[result.stage.name] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return found


def step_speed(found: Findings, shape: str, variant: str = OURS) -> float | None:
    """Segments/s of a row; None where it was not measured."""
    for row in found.get("steps", []):
        if row["shape"] == shape and row["variant"] == variant:
            speed: float | None = row.get("segments_per_s")
            return speed
    return None


def _ratio(found: Findings, shape: str, variant: str) -> float | None:
    ours, other = step_speed(found, shape), step_speed(found, shape, variant)
    return ours / other if ours is not None and other is not None else None


def medians(found: Findings) -> dict[tuple[str, str, str], dict[str, float]]:
    """(operation, shape, direction) -> peer -> median milliseconds."""
    places: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in found.get("kernels", {}).get("rows", []):
        peers = places.setdefault((row["op"], row["shape"], row["direction"]), {})
        if row["timing"] is not None:
            peers[row["peer"]] = row["timing"]["median_ms"]
    return places


def attention_ratio(found: Findings) -> float | None:
    """The least of best SDPA (with the turn) over our kernel, of the head dims at 901 tokens; None without both."""
    ratios = []
    for (op, shape, direction), peers in medians(found).items():
        fused = [value for name, value in peers.items() if "sdpa" in name.lower()]
        alone = op == "recurrent_attention" and "attention alone" in shape and "901 tokens" in shape
        if alone and direction == "forward" and fused and "kernel" in peers:
            ratios.append(min(fused) / peers["kernel"])
    return min(ratios, default=None)


def _memory(found: Findings, name: str) -> float | None:
    for row in found.get("memory", []):
        if row["recipe"] == name:
            measured: float | None = row["measured_gib"]
            return measured
    return None


FULL, MIX = "hrm256-916-noboot-b64", "exp00-arc1-s384"
EAGER, COMPILED = VARIANTS[2].name, VARIANTS[3].name
GOALS = (
    Goal(f"step, `{FULL}`", "2,300", "250", lambda found: step_speed(found, FULL), "segments/s"),
    Goal("step, EXP-00 on ARC-AGI-1, S = 384", "7,500", "800", lambda found: step_speed(found, MIX), "segments/s"),
    Goal(f"step against eager, `{FULL}`", "3.0", "2.5", lambda found: _ratio(found, FULL, EAGER), "x"),
    Goal(f"step against compile, `{FULL}`", "1.5", "1.3", lambda found: _ratio(found, FULL, COMPILED), "x"),
    Goal("attention forward against the best SDPA, 901 tokens", "1.15", "1.15", attention_ratio, "x"),
    Goal(
        "peak memory, 916 tokens, batch 256",
        "under 10",
        "under 10",
        lambda f: _memory(f, "916 tokens, batch 256"),
        "GiB",
    ),
    Goal("peak memory, EXP-00, 64 x 5", "", "under 2.5", lambda f: _memory(f, "EXP-00 as planned, 64 x 5"), "GiB"),
)


def beaten(found: Findings) -> dict[str, bool]:
    """Operation -> whether its kernel was faster, wherever timed, than the reference that would run in its place.

    The other peers stand in the table and decide nothing: `torch.compile` of a step is a row of its own, and the choice
    at run time is between kernel and reference.
    """
    verdicts: dict[str, bool] = {}
    for (op, _, _), peers in medians(found).items():
        wins = "kernel" in peers and "reference" in peers and peers["kernel"] < peers["reference"]
        verdicts[op] = verdicts.get(op, True) and wins
    refused = {op for op, row in found.get("kernels", {}).get("verdicts", {}).items() if not row["passed"]}
    return {op: wins and op not in refused for op, wins in verdicts.items()}


def faster_step(found: Findings) -> bool:
    """Whether the captured step with kernels was faster than the one with references, at every shape."""
    captured = VARIANTS[1].name
    speeds = [(step_speed(found, shape), step_speed(found, shape, captured)) for shape in (FULL, MIX)]
    return all(ours is not None and other is not None and ours > other for ours, other in speeds)


def verifiable(found: Findings, results: Sequence[Result]) -> tuple[list[tuple[str, str, Meta]], str]:
    """(operation, kernel, row with `verified`) that this run proves, and why there are none where there are none."""
    ran = {result.stage.name for result in results}
    missing = [stage.name for stage in plan(Path()) if stage.counts and stage.name not in ran]
    if missing:
        return [], f"nothing is verified: {', '.join(missing)} did not run"
    open_stages = [result.stage.name for result in results if not result.fine]
    if open_stages:
        return [], f"nothing is verified: {', '.join(open_stages)} did not pass"
    machine = found["kernels"]["machine"]
    if machine["commit"] is None:
        return [], "nothing is verified: no commit is known (git, or the checkout's .git, is missing)"
    if machine["commit"].endswith("+"):
        return [], "nothing is verified: the checkout has changes that are not committed"
    stamp = {"commit": machine["commit"], "date": machine["date"]}
    if not faster_step(found):
        return [], "nothing is verified: the captured step was not faster with kernels than with references"
    wins = beaten(found)
    rows = []
    for op, kernel, arch, shape in found["kernels"]["used"]:
        row = find(op, kernel, arch, **shape) if wins.get(op) and arch == machine["arch"] else None
        if row is not None and row.arch == arch:
            rows.append((op, kernel, row._replace(verified=stamp)))
    lost = sorted(op for op, won in wins.items() if not won)
    return rows, f"not faster than the reference everywhere: {', '.join(lost)}" if lost else ""


def mark_verified(rows: Sequence[tuple[str, str, Meta]], root: Path | None = None) -> None:
    """Writes them into the launch tables."""
    for op, kernel, row in rows:
        put_row(op, kernel, row, root)

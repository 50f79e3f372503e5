"""Writes docs/benchmarks/demo.md from finished runs of the demonstration: each seed, and the seeds pooled.

Usage: python scripts/demo_page.py RUN_FOLDER... --out docs/benchmarks/demo.md
Every figure is read from the run folders' last full validation (the last step's evaluation weights).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from hrm_core.evaluation.families import wilson_interval
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import best_trivial, evaluation_rows, metrics_rows


def percent(value: float) -> str:
    """0.1159 -> "11.6 %"."""
    return f"{100 * value:.1f} %"


def read(folder: Path) -> dict[str, Any]:
    """What the page needs of one run."""
    full = [row for row in evaluation_rows(folder) if row["kind"] == "full"]
    rows = metrics_rows(folder)
    return {
        "run": json.loads(RunFolder(folder).run_json.read_text(encoding="utf-8")),
        "last": full[-1],
        "loss": (rows[0]["loss"], rows[-1]["loss"]),
        "seconds": rows[-1]["elapsed_s"],
        "validation_s": sum(row["elapsed_s"] for row in evaluation_rows(folder)),
    }


def table(found: list[dict[str, Any]]) -> list[str]:
    """One line for each seed, then the pooled one."""
    lines = [
        "| seed | exact | pass@2 | cell accuracy (copy input) | changed cells (best trivial) | input sensitivity | "
        "input gain | training loss | training s + validations s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for item in found:
        last, metrics = item["last"], item["last"]["metrics"]
        copy = last["trivial"]["cell_accuracy"]["copy"]
        changed = best_trivial(last, "changed_cell_accuracy")
        lines.append(
            f"| {item['run']['seed']} | {percent(metrics['exact'])} | {percent(metrics['pass_at_2'])} | "
            f"{percent(metrics['cell_accuracy'])} ({percent(copy)}) | {percent(metrics['changed_cell_accuracy'])} "
            f"({percent(changed[1]) if changed else '-'}) | {last['input_sensitivity']:.2f} | "
            f"{100 * last['input_gain']:.1f} points | {item['loss'][0]:.2f} to {item['loss'][1]:.2f} | "
            f"{item['seconds']:.0f} + {item['validation_s']:.0f} |"
        )
    return lines


def pooled(found: list[dict[str, Any]]) -> str:
    """The pooled share of exact test pairs, with its interval, beside the best trivial predictor."""
    pairs = sum(item["last"]["pairs"] for item in found)
    right = sum(round(item["last"]["metrics"]["exact"] * item["last"]["pairs"]) for item in found)
    low, high = wilson_interval(right, pairs)
    trivial = max(max(item["last"]["trivial"]["exact"].values()) for item in found)
    lift = sum(
        item["last"]["metrics"]["cell_accuracy"] - item["last"]["trivial"]["cell_accuracy"]["copy"] for item in found
    ) / len(found)
    return (
        f"Pooled over {len(found)} seeds: **{right} of {pairs} held-out test pairs exactly right, "
        f"{percent(right / pairs)}** (95 % Wilson interval {percent(low)} to {percent(high)}; the pairs of different "
        f"seeds are the same 69, so the interval is for these tasks); the best trivial predictor gets "
        f"{percent(trivial)}. Cell accuracy is {100 * lift:.1f} points above copying the input, on the mean."
    )


def main() -> int:
    """Write the page; exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found = sorted((read(folder) for folder in options.folders), key=lambda item: item["run"]["seed"])
    run = found[0]["run"]
    commits = {item["run"]["commit"] for item in found}
    lines = [
        "# The demonstration: five seeds, fixed beforehand",
        "",
        "`hrm run demo training.seed=N training.threads=1`, two runs at once on two cores. Written by "
        "`scripts/demo_page.py` from the run folders: the last step's evaluation weights (EMA 0.99) on the 69 test "
        "pairs of the 60 tasks, never trained on. Transductive: the tasks' demonstrations are the training pairs. The "
        "machine did other work meanwhile, so the times are upper bounds.",
        "",
        *table(found),
        "",
        pooled(found),
        "",
        f"Device {run['device'] or 'CPU'} ({run['device_kind']}), {run['threads']} thread a run, {run['dtype']}; "
        f"Python {run['versions']['python']}, torch {run['versions']['torch']}; {run['created_utc'][:10]}; commit "
        f"{', '.join(sorted(str(commit)[:12] for commit in commits))}.",
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

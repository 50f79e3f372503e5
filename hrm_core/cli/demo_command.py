"""`hrm demo`: data, a small real run and the console on it; without a terminal, progress lines and a result table.

Command-line room. The run is an ordinary run of the experiment `demo`; in a terminal it is a session of its own, so
that leaving the console does not end it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from hrm_core.cli.options import print_line, print_table, runs_folder, runs_option
from hrm_core.cli.run_commands import ensure_data, start_detached

METRICS = ("exact", "pass_at_2", "cell_accuracy", "color_accuracy", "changed_cell_accuracy", "shape_accuracy")


def _percent(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else "-"


def _interval(row: dict[str, Any]) -> str:
    from hrm_core.evaluation.families import wilson_interval

    low, high = wilson_interval(row["metrics"]["exact"] * row["pairs"], row["pairs"])
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def result_lines(folder: Path) -> None:
    """The table at the end: the last full validation, each number beside the best trivial predictor's."""
    from hrm_core.runs.reader import best_trivial, evaluation_rows, metrics_rows

    full = [row for row in evaluation_rows(folder) if row["kind"] == "full"]
    if not full:
        print_line("no full validation yet")
        return
    row = full[-1]
    rows = []
    for name in METRICS:
        value, trivial = row["metrics"].get(name), best_trivial(row, name)
        if value is not None:
            shown = f"{_percent(trivial[1])} ({trivial[0]})" if trivial else "-"
            rows.append([name, _percent(value), shown])
    print_line()
    print_line(
        f"step {row['step']}, {row['pairs']} held-out test pairs of {row['tasks']} tasks, {row['weights']} weights"
    )
    print_table(["metric", "model", "best trivial predictor"], rows)
    print_line(f"exact: 95 % interval {_interval(row)} (Wilson)")
    for name in ("input_sensitivity", "input_gain", "identity_sensitivity", "identity_gain"):
        if row.get(name) is not None:
            print_line(f"{name}: {row[name]:.3f}")
    losses = [found["loss"] for found in metrics_rows(folder) if found.get("loss") is not None]
    if losses:
        print_line(f"training loss: {losses[0]:.2f} at first, {losses[-1]:.2f} at the end")
    for note in row["notes"]:
        print_line(note)
    for alarm in row["alarms"]:
        print_line(f"alarm {alarm['name']}: {alarm['sentence']}")


def _watch(folder: Path) -> int:
    """The console on the run; returns its exit code."""
    runs = str(folder.parent.resolve())
    code = subprocess.run([sys.executable, "-m", "hrm_console", "--runs", runs, folder.name], check=False).returncode
    from hrm_core.runs.reader import read_run

    state = read_run(folder).state
    print_line(f"run {folder.name}: {state}" + ("; it goes on" if state == "running" else ""))
    print_line(f"  again: hrm-console --runs {runs}    result: hrm show {folder.name} --runs {runs}")
    return code


@click.command("demo")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--plain", is_flag=True, help="Progress lines and a table, also in a terminal.")
@runs_option
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
def demo(overrides: tuple[str, ...], plain: bool, runs: Path | None, data: Path | None) -> None:
    """Train a small real model on ARC-AGI-1 and watch it: a few minutes on 2 CPU cores."""
    from hrm_core.recipe.lay import build_recipe
    from hrm_core.runs.layout import new_run_id

    resolved = build_recipe("demo", overrides)
    path = ensure_data(resolved.recipe.data.source, data)
    folder = runs_folder(runs) / new_run_id("demo")
    if not plain and sys.stdin.isatty() and sys.stdout.isatty():
        words = ["run", "demo", *overrides, "--name", folder.name, "--runs", str(folder.parent.resolve())]
        start_detached(folder, [*words, "--data", str(path.absolute())])
        sys.exit(_watch(folder))
    from hrm_core.training.session import start_run

    print_line(f"run {folder.name} in {folder}")
    started = time.monotonic()
    state = start_run(folder, resolved, path, print_line)
    result_lines(folder)
    print_line(f"{state} after {time.monotonic() - started:.0f} s")
    sys.exit(1 if state == "failed" else 0)

"""`hrm bench console`: how quick the console is with two hundred long runs.

Command-line room; the measuring is `hrm_core/benchmarks/console.py`, imported when called.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

from hrm_core.cli.bench_pages import checkout
from hrm_core.cli.options import json_option, print_json, print_line, print_table


@click.command("console")
@click.option("--runs", "num_runs", type=click.IntRange(8, 1440), default=200, show_default=True, help="How many runs.")
@click.option("--rows", type=click.IntRange(1000, 10_000_000), default=100_000, show_default=True, help="Rows of each.")
@click.option("--quick", is_flag=True, help="Fewer keys and ticks, shorter waits: to see that it works.")
@click.option(
    "--load",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    metavar="DIR",
    help="Make the runs in this folder and leave them there, or use those that are there.",
)
@click.option("--report", is_flag=True, help="Also write docs/benchmarks/console-DEVICE.md in the checkout.")
@json_option
def console(num_runs: int, rows: int, quick: bool, load: Path | None, report: bool, as_json: bool) -> None:
    """Measure the console in a terminal of its own: start, list, curves, keys, ticks, rest, a line that stalls.

    Takes five minutes and 300 MB of disk. Other work on the machine shows in every number.
    """
    folder = checkout() / "docs/benchmarks" if report else None
    from hrm_core.benchmarks.console import Bench, Effort

    effort = Effort(num_runs, rows)
    if quick:
        effort = Effort(num_runs, rows, starts=2, opens=2, keys=10, ticks=5, idle_s=3.0, stall_s=5.0)
    home = Path(tempfile.mkdtemp(prefix="hrm-bench-console-"))
    try:
        runs_dir = load.absolute() if load is not None else home / "runs"
        measured = Bench(runs_dir, home, effort, _say).run()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    import torch  # after the measuring, which wants both cores

    from hrm_core.benchmarks.console_page import COLUMNS, lines, page, to_json
    from hrm_core.benchmarks.machine import this_machine
    from hrm_core.runs.atomic import write_bytes

    machine = this_machine(torch.device("cpu"))
    if folder is not None:
        written = folder / f"console-{machine.slug}.md"
        write_bytes(written, page(measured, machine).encode())
        _say(f"written: {written}")
    if as_json:
        print_json(to_json(measured, machine))
        return
    rows_of_table = [(*line[:-1], "yes" if line.met else "no") for line in lines(measured)]
    print_table(COLUMNS, rows_of_table)
    print_line(f"{machine.line()}; load {measured.load_before:.1f} before and {measured.load_after:.1f} after")


def _say(line: str) -> None:
    """Progress goes to stderr."""
    click.echo(line, err=True)

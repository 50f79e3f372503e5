"""`hrm torture`: faults done on purpose to runs of its own, and a table of what was lost.

Command-line room; the faults are in `hrm_core/torture/`, imported when called. Exit code 1 if a bar was not met.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from hrm_core.cli.options import json_option, print_json, print_line


@click.command()
@click.argument("parts", nargs=-1)
@click.option("--short", is_flag=True, help="Fewer of each: minutes instead of an hour. Without the two hours of soak.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of what is random.")
@click.option("--list", "listing", is_flag=True, help="List the parts, do nothing.")
@click.option("--write", is_flag=True, help="Put the rows into docs/reliability.md of the checkout.")
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    metavar="DIR",
    help="Work in this folder and leave everything there.",
)
@json_option
def torture(
    parts: tuple[str, ...], short: bool, seed: int, listing: bool, write: bool, work: Path | None, as_json: bool
) -> int:
    """Kill, damage, fill, fuzz: see what survives. All PARTS, or those named; `--list` says which there are.

    Works on runs of its own in an empty folder; your runs and settings are not touched.
    """
    from hrm_core.torture.page import kept_rows, write_page
    from hrm_core.torture.parts import PARTS, check_parts

    chosen = check_parts(parts)
    if listing:
        for name, part in PARTS.items():
            print_line(f"{name:12} {part.help}")
        return 0
    from hrm_core.cli.bench_pages import checkout

    page = checkout() / "docs/reliability.md" if write else None
    home = (work or Path(tempfile.mkdtemp(prefix="hrm-torture-"))).absolute()
    try:
        found = {name: _part(name, home, short, seed) for name in chosen}
    finally:
        if work is None:
            shutil.rmtree(home, ignore_errors=True)
    if page is not None:
        write_page(page, {**kept_rows(page.with_suffix(".json")), **found})
        click.echo(f"written: {page}", err=True)
    if as_json:
        print_json(found)
    return 0 if all(row["passed"] for part in found.values() for row in part["rows"]) else 1


def _part(name: str, home: Path, short: bool, seed: int) -> dict[str, Any]:
    """Runs a part and prints its rows as they come."""
    from hrm_core.runs.records import utc_now
    from hrm_core.torture.bench import Bench, built_data
    from hrm_core.torture.page import result
    from hrm_core.torture.parts import trials
    from hrm_core.training.session import commit

    folder = home / name
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(folder, built_data(home), short, seed, lambda line: click.echo(f"  {line}", err=True))
    about = {"when": utc_now(), "commit": commit() or "-", "machine": _machine(), "seed": seed, "short": short}
    click.echo(f"== {name}", err=True)
    began, rows = time.monotonic(), []
    for row in trials(name, bench):
        rows.append(row)
        print_line(f"{'ok  ' if row.passed else 'FAIL'} {row.fault}, {row.times} x: {row.found}; lost: {row.lost}")
    return result(rows, time.monotonic() - began, about)


def _machine() -> str:
    import torch

    from hrm_core.benchmarks.machine import this_machine

    return this_machine(torch.device("cpu")).line()

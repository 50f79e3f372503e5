"""`hrm bench techniques`: what each technique adds to the time of a step.

Command-line room; the measuring is `hrm_core/benchmarks/techniques.py`, imported when called.
"""

from __future__ import annotations

from pathlib import Path

import click

from hrm_core.cli.bench_pages import checkout
from hrm_core.cli.options import json_option, print_json, print_line, print_table
from hrm_core.cli.run_commands import ensure_data
from hrm_core.errors import UserError


@click.command("techniques")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--technique", "names", multiple=True, metavar="NAME", help="Only this one; may be given more than once.")
@click.option("--seconds", type=click.FloatRange(0.1, 3600), default=20.0, show_default=True, help="Time for each.")
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
@click.option("--report", is_flag=True, help="Also write docs/benchmarks/techniques-DEVICE.md in the checkout.")
@json_option
def techniques(
    overrides: tuple[str, ...], names: tuple[str, ...], seconds: float, data: Path | None, report: bool, as_json: bool
) -> None:
    """Time a step with each technique over one of EXP-00, in turn. Without a preset: h100 on a GPU, else cpu."""
    folder = checkout() / "docs/benchmarks" if report else None
    import torch

    from hrm_core.benchmarks.techniques import ARMS, COLUMNS, measure_techniques, page, table_row, to_json
    from hrm_core.recipe.lay import build_recipe
    from hrm_core.runs.atomic import write_bytes

    for name in names:
        if name not in ARMS:
            raise UserError(f"--technique {name}: there is no such; choose from {', '.join(ARMS)}")
    if not any(override.startswith("preset=") for override in overrides):
        overrides = (f"preset={'h100' if torch.cuda.is_available() else 'cpu'}", *overrides)
    path = ensure_data(build_recipe("EXP-00", list(overrides)).recipe.data.source, data)
    measured = measure_techniques(tuple(dict.fromkeys(names)) or tuple(ARMS), overrides, path, seconds, _say)
    if folder is not None:
        written = folder / f"techniques-{measured.machine.slug}.md"
        write_bytes(written, page(measured).encode())
        _say(f"written: {written}")
    if as_json:
        print_json(to_json(measured))
        return
    print_table(COLUMNS, [table_row(cost) for cost in measured.costs])
    for name, reason in measured.left_out.items():
        print_line(f"no cost of {name}: {reason}")
    print_line(f"{measured.control}; {measured.machine.line()}")


def _say(line: str) -> None:
    """Progress goes to stderr."""
    click.echo(line, err=True)

"""The group `hrm bench`, and `hrm bench step`: how fast a recipe's training step is on this machine.

Command-line room. The other commands of the group are in modules of their own. A row says what it was measured with;
speeds are compared as ratios within one run of the command.
"""

from __future__ import annotations

from pathlib import Path

import click

from hrm_core.cli.bench_console_command import console
from hrm_core.cli.bench_deploy_command import deploy
from hrm_core.cli.bench_gpu_command import gpu_all
from hrm_core.cli.bench_kernels_commands import aot, kernels, tune
from hrm_core.cli.bench_memory_command import memory
from hrm_core.cli.bench_saving_command import saving
from hrm_core.cli.bench_scale_command import scale
from hrm_core.cli.bench_techniques_command import techniques
from hrm_core.cli.options import json_option, print_json, print_line, print_table
from hrm_core.cli.run_commands import ensure_data


@click.group("bench")
def bench() -> None:
    """Measure speed on this machine."""


for command in (kernels, tune, gpu_all, aot, memory, techniques, saving, scale, console, deploy):
    bench.add_command(command)


@bench.command("step")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME",
    help="hrm256-901-boot-b8, arc, or an experiment's name; may be given more than once (default: both shapes).",
)
@click.option("--threads", type=click.IntRange(1, 1024), default=None, help="CPU threads (default: the recipe's).")
@click.option("--seconds", type=click.FloatRange(1, 3600), default=30.0, show_default=True, help="Time for each shape.")
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
@json_option
def step(
    overrides: tuple[str, ...],
    shapes: tuple[str, ...],
    threads: int | None,
    seconds: float,
    data: Path | None,
    as_json: bool,
) -> None:
    """Time the whole training step: segments/s, puzzles/s, tokens/s, GFLOP/s and peak memory, as medians."""
    from hrm_core.training.step_benchmark import COLUMNS, SHAPES, measure_step, shape_recipe, table_row, to_json

    recipes = [(name, shape_recipe(name, overrides)) for name in shapes or tuple(SHAPES)]
    from hrm_core.data.dataset import load_dataset

    speeds = []
    for name, recipe in recipes:
        dataset = load_dataset(ensure_data(recipe.data.source, data), recipe.data, input=recipe.input)
        speeds.append(measure_step(name, recipe, dataset, threads, seconds))
    if as_json:
        print_json([to_json(speed) for speed in speeds])
        return
    print_table(COLUMNS, [table_row(speed) for speed in speeds])
    first = speeds[0]
    print_line(
        f"{first.device}, Python {first.versions['python']}, torch {first.versions['torch']}, {first.date}, "
        f"commit {(first.commit or 'unknown')[:12]}"
    )

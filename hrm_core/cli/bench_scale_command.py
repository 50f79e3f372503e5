"""`hrm bench scale`: how much faster 2, 3, ... N ranks train one run on this machine.

Command-line room. The runs go to a temporary folder beside the user's, and are removed.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from hrm_core.cli.bench_pages import add_to_page, checkout, recipe_words, say
from hrm_core.cli.options import json_option, print_json, print_line, print_table, runs_folder, runs_option


@click.command("scale")
@click.argument("words", nargs=-1, metavar="[EXPERIMENT] [KEY=VALUE]...")
@click.option(
    "--ranks", type=click.IntRange(2, 1024), default=None, help="Most ranks (default: GPUs here, at least 2)."
)
@click.option("--steps", type=click.IntRange(10, 1000000), default=100, show_default=True, help="Steps of each run.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Runs of each number.")
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
@click.option("--report", is_flag=True, help="Also add rows to docs/benchmarks/scale-DEVICE.md in the checkout.")
@runs_option
@json_option
def scale(
    words: tuple[str, ...],
    ranks: int | None,
    steps: int,
    rounds: int,
    data: Path | None,
    report: bool,
    runs: Path | None,
    as_json: bool,
) -> None:
    """Train the same short run by 1, 2, 4, ... ranks in turn: speed-up and efficiency.

    Without words: EXP-00; without a GPU preset=cpu, with one thread for each rank.
    """
    if report:
        checkout()  # refused before anything is measured
    import torch

    from hrm_core.recipe.lay import build_recipe

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    words = recipe_words(words, ("EXP-00",) if gpus else ("EXP-00", "preset=cpu", "training.threads=1"))
    recipe = build_recipe(words[0], list(words[1:])).recipe
    from hrm_core.benchmarks.scale import exchange_bytes, measure_scale
    from hrm_core.benchmarks.scale_page import page
    from hrm_core.cli.run_commands import ensure_data

    most = ranks or max(gpus, 2)
    counts = sorted({1, most, *(2**power for power in range(1, 11) if 2**power < most)})
    place = runs_folder(runs)
    place.mkdir(parents=True, exist_ok=True)
    file = ensure_data(recipe.data.source, data)
    with tempfile.TemporaryDirectory(prefix=".bench-scale-", dir=place) as made:
        found = measure_scale(words, counts, steps, rounds, file, Path(made), say)
    if report:
        add_to_page(f"scale-{found.machine.slug}.md", lambda earlier: page(earlier, found))
    if as_json:
        more = [{"speedup": found.speedup(one), "efficiency": found.efficiency(one)} for one in found.found]
        print_json({**asdict(found), "scaling": more})
        return
    cells = [
        [str(one.ranks), f"{one.speed:.0f}", f"{found.speedup(one):.2f}", f"{100 * found.efficiency(one):.0f} %"]
        for one in found.found
    ]
    print_table(["ranks", "segments/s", "speed-up", "efficiency"], cells)
    sent = exchange_bytes(found.trunk, found.slots, recipe.model.hidden, most)
    print_line(f"{found.slots} slots, {found.trunk / 1e6:.2f}M parameters; {found.machine.line()}")
    print_line(f"each of {most} ranks sends {sent / 1e6:.1f} MB a step (counted)")

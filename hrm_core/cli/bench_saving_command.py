"""`hrm bench saving`: what a checkpoint costs the step loop here, beside one that the loop would wait for.

Command-line room. Checkpoints go to a temporary folder beside the runs, so that their disk is the one that is measured.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from hrm_core.cli.options import json_option, print_json, print_line, print_table, runs_folder, runs_option


@click.command("saving")
@click.argument("words", nargs=-1, metavar="[EXPERIMENT] [KEY=VALUE]...")
@click.option("--repeats", type=click.IntRange(1, 100), default=5, show_default=True, help="Blocks of each kind.")
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
@runs_option
@json_option
def saving(words: tuple[str, ...], repeats: int, data: Path | None, runs: Path | None, as_json: bool) -> None:
    """Time blocks of steps with a checkpoint in them against blocks without: what saving costs the step loop."""
    from hrm_core.recipe.lay import build_recipe

    named = bool(words) and "=" not in words[0]
    recipe = build_recipe(words[0] if named else "EXP-00", list(words[1:] if named else words)).recipe
    from hrm_core.benchmarks.saving import measure_saving
    from hrm_core.cli.run_commands import ensure_data
    from hrm_core.data.dataset import load_dataset

    dataset = load_dataset(ensure_data(recipe.data.source, data), recipe.data, input=recipe.input)
    place = runs_folder(runs)
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bench-saving-", dir=place) as folder:
        cost = measure_saving(recipe, dataset, Path(folder), repeats)
    if as_json:
        print_json({"experiment": recipe.experiment, **asdict(cost), "share": cost.share(cost.cost_s)})
        return
    rows: list[tuple[str, float]] = [
        ("the loop stands still for the copies", cost.taken_s),
        ("it costs in all, slower steps included", cost.cost_s),
        ("blocks without a save differ by", cost.spread_s),
        ("until it is whole on the disk", cost.landed_s),
        ("a save that the loop waits for", cost.alone_s),
    ]
    print_table(["of a checkpoint", "ms", "share"], [_row(name, s, cost.share(s)) for name, s in rows])
    print_line(
        f"{cost.size_bytes / 2**20:.0f} MiB every {cost.every_steps} steps of {1000 * cost.step_s:.1f} ms; medians of "
        f"{cost.repeats} blocks of {cost.block_steps} steps with and as many without; {cost.device}"
    )


def _row(name: str, seconds: float, share: float) -> list[str]:
    return [name, f"{1000 * seconds:.1f}", f"{100 * share:.3f} %"]

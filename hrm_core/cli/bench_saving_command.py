"""`hrm bench saving`: what a checkpoint costs the step loop here, beside one that the loop would wait for.

Command-line room. Checkpoints go to a temporary folder beside the runs, so that their disk is the one that is measured.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from hrm_core.cli.bench_pages import add_to_page, checkout, recipe_words, say
from hrm_core.cli.options import json_option, print_json, print_line, print_table, runs_folder, runs_option


@click.command("saving")
@click.argument("words", nargs=-1, metavar="[EXPERIMENT] [KEY=VALUE]...")
@click.option("--seconds", type=click.FloatRange(0, 36000), default=240.0, show_default=True, help="Time for blocks.")
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
@click.option("--report", is_flag=True, help="Also add a row to docs/benchmarks/saving-DEVICE.md in the checkout.")
@runs_option
@json_option
def saving(
    words: tuple[str, ...], seconds: float, data: Path | None, report: bool, runs: Path | None, as_json: bool
) -> None:
    """Time blocks of steps with a checkpoint in them against blocks without: what saving costs the step loop.

    Without words: EXP-00, at preset=cpu where there is no GPU.
    """
    if report:
        checkout()  # refused before anything is measured
    import torch

    from hrm_core.recipe.lay import build_recipe

    words = recipe_words(words, ("EXP-00",) if torch.cuda.is_available() else ("EXP-00", "preset=cpu"))
    recipe = build_recipe(words[0], list(words[1:])).recipe
    from hrm_core.benchmarks.saving import measure_saving
    from hrm_core.benchmarks.saving_page import page, span
    from hrm_core.cli.run_commands import ensure_data
    from hrm_core.data.dataset import load_dataset

    dataset = load_dataset(ensure_data(recipe.data.source, data), recipe.data, input=recipe.input)
    place = runs_folder(runs)
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bench-saving-", dir=place) as made:
        cost = measure_saving(recipe, dataset, Path(made), seconds, say)
    if report:
        add_to_page(f"saving-{cost.machine.slug}.md", lambda earlier: page(earlier, cost, " ".join(words)))
    if as_json:
        shares = {"share": cost.share(cost.wall.median), "cpu_share": cost.cpu_share(cost.cpu.median)}
        print_json({"experiment": recipe.experiment, **asdict(cost), **shares, "verdict": cost.verdict})
        return
    rows = [
        ["the loop stands still for the copies", *_cells(cost.taken_s, cost.share(cost.taken_s))],
        ["until it is whole on the disk", *_cells(cost.landed_s, cost.share(cost.landed_s))],
        ["a save that the loop waits for", *_cells(cost.alone_s, cost.share(cost.alone_s))],
        ["it costs in all, by the clock", f"{1000 * cost.wall.median:.1f}", span(cost.wall, 100 * cost.share(1.0))],
        ["it costs in CPU time of the loop", f"{1000 * cost.cpu.median:.1f}", span(cost.cpu, 100 * cost.cpu_share(1))],
        ["chance alone, by the clock", f"{1000 * cost.chance.median:.1f}", span(cost.chance, 100 * cost.share(1.0))],
    ]
    print_table(["of a checkpoint", "ms", "share (95 %)"], rows)
    print_line(f"saving costs the step loop: {cost.verdict}")
    print_line(
        f"{cost.size_bytes / 2**20:.0f} MiB every {cost.every_steps} steps of {1000 * cost.step_s:.1f} ms; "
        f"{cost.fours} fours of blocks of {cost.block_steps} steps; {cost.machine.line()}"
    )


def _cells(seconds: float, share: float) -> list[str]:
    return [f"{1000 * seconds:.1f}", f"{100 * share:.3f} %"]

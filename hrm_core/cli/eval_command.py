"""`hrm eval`: a snapshot of a run, evaluated again on held-out tests, with other views, settings or parts switched off.

Command-line room: a run or a snapshot folder -> the numbers of one evaluation, as tables or JSON. The evaluation itself
is `hrm_core.api`'s; heavy imports are inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hrm_core.cli import runs_words as words
from hrm_core.cli.options import json_option, print_json, print_line, print_table, progress, runs_option
from hrm_core.cli.snapshot_options import adapting_options, weights_option


@click.command("eval")
@click.argument("snapshot", metavar="RUN|SNAPSHOT")
@runs_option
@click.option(
    "--split", type=click.Choice(["val", "eval"]), default=None, help="Default: the one its run validates on."
)
@click.option("--views", type=click.IntRange(1, 2000), default=None, help="Views that vote (default: the recipe's).")
@weights_option
@click.option("--fast", is_flag=True, help="The fast set only: a quarter of the tests, one view, no swaps.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Another evaluation setting; repeatable.")
@click.option("--ablate", multiple=True, metavar="PART", help="Switch a part of the model off; repeatable.")
@click.option("--color-copies", type=click.IntRange(1, 100), metavar="K", help="Also K copies in permuted colours.")
@click.option("--sharpness", is_flag=True, help="Also how much the loss rises when the weights are disturbed.")
@click.option("--latency", is_flag=True, help="Also seconds for one puzzle at batch 1, parameters and bytes.")
@adapting_options
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
@json_option
def eval_(snapshot: str, runs: Path | None, as_json: bool, **asked: Any) -> None:
    """Evaluate RUN (its last checkpoint), RUN@best, RUN@STEP, a promoted snapshot or a folder on held-out tests."""
    from hrm_core import api
    from hrm_core.api.judging import Also

    place = {name: asked.pop(name) for name in ("split", "views", "fast", "data")}
    model = api.load(snapshot, runs_dir=runs, weights=asked.pop("weights"))
    found = api.evaluate(model, **place, also=Also(**asked), watch=progress)
    if as_json:
        print_json({"snapshot": str(found.snapshot), **found.row})
        return
    _print(found.snapshot, found.row)


def _print(folder: Path, row: dict[str, Any]) -> None:
    print_line(f"{folder.resolve()}\n{words.evaluation_title(row)}")
    print_line()
    print_table(words.EVALUATION_COLUMNS, words.evaluation_table(row))
    padded = [f"{name} {words.percent(value)}" for name, value in row["trivial"]["padded_accuracy"].items()]
    print_line(f"padded 30x30, in %, of the trivial predictors: {', '.join(padded)}")
    print_line()
    for line in words.evaluation_lines(row):
        print_line(line)
    for columns, key in ((words.FAMILY_COLUMNS, "families"), (words.PLAN_FAMILY_COLUMNS, "plan_families")):
        families = words.family_table(row, key)
        if families:
            print_line()
            print_table(columns, families)
    for alarm in row["alarms"]:
        print_line(f"\n! {alarm['name']}: {alarm['sentence']}\n  {alarm['advice']}")

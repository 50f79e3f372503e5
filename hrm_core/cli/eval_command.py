"""`hrm eval`: a snapshot of a run, evaluated again on held-out tests, with other views, settings or parts switched off.

Command-line room: a run or a snapshot folder -> the numbers of one evaluation, as tables or JSON, with analyses that
are too dear for every validation. Nothing is written:
a run's own rows are its trainer's. What the numbers mean is `hrm_core.evaluation`'s. Heavy imports are inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import click

from hrm_core.cli import runs_words as words
from hrm_core.cli.options import (
    clean,
    json_option,
    print_json,
    print_line,
    print_table,
    progress,
    runs_folder,
    runs_option,
)
from hrm_core.errors import UserError

if TYPE_CHECKING:
    from hrm_core.data.dataset import Dataset
    from hrm_core.evaluation.evaluate import Kind, Split
    from hrm_core.model.hrm import HRM
    from hrm_core.recipe.schema import Recipe
    from hrm_core.training.adapt import Adapter
    from hrm_core.training.checkpoint import Snapshot

# What may differ from the trained recipe: how it is evaluated, what is done to an input, how long it may think.
SETTABLE = ("evaluation.", "input.", "halting.max_segments=")


@final
@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line, beside the snapshot."""

    split: Split | None
    views: int | None
    weights: str
    fast: bool
    settings: tuple[str, ...]
    ablate: tuple[str, ...]
    color_copies: int | None
    sharpness: bool
    latency: bool
    adapt: int | None
    adapt_what: str
    adapt_rate: float
    data: Path | None


def data_of(snapshot: Path, recipe: Recipe, given: Path | None) -> Path:
    """The data file: the given one, its run's, or the recipe's, built if it is missing; a child has read it."""
    from hrm_core.cli.run_commands import ensure_data
    from hrm_core.runs.files import mapping, read_json_object
    from hrm_core.runs.layout import RunFolder
    from hrm_core.runs.snapshots import read_meta

    if given is None:
        run_json = read_json_object(RunFolder(snapshot.resolve().parent.parent).run_json)
        # A promoted snapshot lies in no run; it says itself what its run began with.
        began_with = (run_json or mapping(read_meta(snapshot), "promoted")).get("data")
        if isinstance(began_with, str) and Path(began_with).is_file():
            given = Path(began_with)
    return ensure_data(recipe.data.source, given)


def check_tasks(snapshot: Snapshot, dataset: Dataset, data: Path) -> None:
    """UserError unless the data's tasks are those that the snapshot's identity rows belong to, in the same order."""
    if tuple(dataset.tasks.ids) == snapshot.task_ids:
        return
    raise UserError(
        f"{clean(str(data))} holds {len(dataset.tasks.ids)} tasks, not the {len(snapshot.task_ids)} that "
        f"{clean(snapshot.path.name)} was trained with, or in another order.\nGive its own data file with --data.",
        1,
    )


def changed_recipe(recipe: Recipe, views: int | None, settings: tuple[str, ...]) -> Recipe:
    """The recipe with other evaluation settings; UserError for a setting of anything else."""
    from hrm_core.recipe.lay import override_recipe

    for setting in settings:
        if not setting.startswith(SETTABLE):
            raise UserError(
                f"--set {clean(setting)}: only evaluation settings can be changed here, such as "
                "evaluation.batch=16, input.* and halting.max_segments; the rest belongs to the trained weights"
            )
    lines = [*settings, *([f"evaluation.views={views}"] if views is not None else [])]
    changed = override_recipe(recipe, lines) if lines else recipe
    if changed.input.object_features != recipe.input.object_features:
        raise UserError("--set input.object_features: it is a part of the trained model; see --ablate")
    return changed


@click.command("eval")
@click.argument("snapshot", metavar="RUN|SNAPSHOT")
@runs_option
@click.option(
    "--split", type=click.Choice(["val", "eval"]), default=None, help="Default: the one its run validates on."
)
@click.option("--views", type=click.IntRange(1, 2000), default=None, help="Views that vote (default: the recipe's).")
@click.option("--weights", type=click.Choice(["evaluation", "raw"]), default="evaluation", show_default=True)
@click.option("--fast", is_flag=True, help="The fast set only: a quarter of the tests, one view, no swaps.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Another evaluation setting; repeatable.")
@click.option("--ablate", multiple=True, metavar="PART", help="Switch a part of the model off; repeatable.")
@click.option("--color-copies", type=click.IntRange(1, 100), metavar="K", help="Also K copies in permuted colours.")
@click.option("--sharpness", is_flag=True, help="Also how much the loss rises when the weights are disturbed.")
@click.option("--latency", is_flag=True, help="Also seconds for one puzzle at batch 1, parameters and bytes.")
@click.option("--adapt", type=click.IntRange(1, 100_000), metavar="STEPS", help="Train on each task's demonstrations.")
@click.option(
    "--adapt-what", type=click.Choice(["rows", "all"]), default="all", show_default=True, help="The task's row, or all."
)
@click.option(
    "--adapt-rate",
    type=click.FloatRange(0, 10, min_open=True),
    default=0.5,
    show_default=True,
    help="Highest learning rate over the recipe's; it falls linearly to 0.",
)
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
@json_option
def eval_(snapshot: str, runs: Path | None, as_json: bool, **asked: Any) -> None:
    """Evaluate RUN (its last checkpoint), RUN@best, RUN@STEP, a promoted snapshot or a folder on held-out tests."""
    from hrm_core.runs.snapshot_names import find_snapshot

    folder = find_snapshot(runs_folder(runs), snapshot)
    row = _evaluate(folder, Asked(**asked))
    if as_json:
        print_json({"snapshot": str(folder), **row})
        return
    _print(folder, row)


def _evaluate(folder: Path, asked: Asked) -> dict[str, Any]:
    from hrm_core.data.dataset import load_dataset
    from hrm_core.evaluation.ablation import ablate
    from hrm_core.evaluation.evaluate import evaluate, num_predictions, validation_split, whole_lane
    from hrm_core.model.inference import Predictor
    from hrm_core.runs.records import plain
    from hrm_core.runs.snapshots import verify_folder
    from hrm_core.training.checkpoint import load_snapshot
    from hrm_core.training.setup import apply_device, choose_device
    from hrm_core.training.snapshot_files import read_recipe

    problems = verify_folder(folder)
    if problems:
        raise UserError(f"{clean(str(folder))} is no whole snapshot: {clean(problems[0])}", 1)
    trained = read_recipe(folder)
    recipe = changed_recipe(trained, asked.views, asked.settings)
    chosen = choose_device(recipe.training)
    apply_device(chosen, False)
    loaded = load_snapshot(folder, asked.weights, chosen.dtype, chosen.device)
    recipe = ablate(asked.ablate, loaded.model, recipe)
    loaded.model.recipe = recipe
    path = data_of(folder, recipe, asked.data)
    dataset = load_dataset(path, recipe.data, input=recipe.input)
    check_tasks(loaded, dataset, path)
    where = asked.split or validation_split(recipe)
    kind: Kind = "fast" if asked.fast else "full"
    adapter = adapter_of(loaded.model, dataset, recipe, asked)
    with progress(f"evaluating {loaded.run_id or folder.name}", num_predictions(dataset, recipe, where, kind)) as done:
        evaluation = evaluate(
            Predictor(loaded.model),
            dataset,
            recipe,
            where,
            kind,
            loaded.step,
            loaded.weights,
            max_steps=0,  # a judgement after the fact: nothing is warming up
            device=chosen.device,
            on_rows=done,
            by_lane=whole_lane if adapter is None else adapter.outcomes,
        )
    if adapter is not None:
        evaluation.row["adaptation"] = adapter.summary()
    row = plain(evaluation.row | _analyses(loaded.model, dataset, recipe, where, kind, asked))
    assert isinstance(row, dict)
    row["notes"] = [*row["notes"], *said_changes(asked)]
    return row


def adapter_of(model: HRM, dataset: Dataset, recipe: Recipe, asked: Asked) -> Adapter | None:
    """What trains on each task's demonstrations before its tests are predicted; None where it is not asked for."""
    if asked.adapt is None:
        return None
    from hrm_core.training.adapt import Adapter

    return Adapter(
        model, dataset, recipe, asked.adapt, "rows" if asked.adapt_what == "rows" else "all", asked.adapt_rate
    )


def said_changes(asked: Asked) -> list[str]:
    """What differs from the evaluation that a run makes itself, as notes of the row."""
    from hrm_core.evaluation.ablation import ABLATIONS

    notes = [f"switched off: {ABLATIONS[part].what}" for part in asked.ablate]
    if asked.adapt is not None:
        moved = "its identity row" if asked.adapt_what == "rows" else "all weights"
        notes.append(f"test-time training: {asked.adapt} steps on each task's demonstrations, {moved}")
    return notes + [f"evaluated with {setting}" for setting in asked.settings]


def _analyses(model: HRM, dataset: Dataset, recipe: Recipe, split: Split, kind: Kind, asked: Asked) -> dict[str, Any]:
    """What was asked for beside the evaluation, by its name in the row."""
    from hrm_core.evaluation.color_copies import evaluate_color_copies
    from hrm_core.evaluation.evaluate import chosen_pairs
    from hrm_core.evaluation.latency import measure_latency
    from hrm_core.evaluation.predict import Runner
    from hrm_core.evaluation.sharpness import measure_sharpness
    from hrm_core.model.inference import Predictor

    lanes, _ = chosen_pairs(dataset, recipe, split, kind)
    found: dict[str, Any] = {}
    if asked.color_copies is not None:
        total = asked.color_copies * sum(pairs.num_pairs for pairs in lanes.values())
        with progress("copies in permuted colours", total) as done:
            settings = recipe.evaluation
            runner = Runner(Predictor(model), model.device, settings.batch, done, settings.may_halt)
            found["color_copies"] = evaluate_color_copies(runner, dataset, recipe, lanes, split, asked.color_copies)
    if asked.sharpness:
        found["sharpness"] = measure_sharpness(model, dataset, recipe.evaluation.batch)
    if asked.latency:
        found["latency"] = measure_latency(model, lanes)
    return found


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

"""`evaluate`: a snapshot, evaluated again on held-out tests, with other views, settings or parts switched off.

API room: a Model or a word -> Evaluation, with analyses that are too dear for every validation. Nothing is written: a
run's own rows are its trainer's. What the numbers mean is `hrm_core.evaluation`'s. Heavy imports are inside.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from hrm_core.api.data_files import check_tasks, data_of
from hrm_core.api.foreign_rows import is_imported, place_rows
from hrm_core.api.loading import load
from hrm_core.api.results import Evaluation, Model
from hrm_core.api.watching import Watch, disk_told, silent
from hrm_core.errors import UserError
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_core.data.dataset import Dataset
    from hrm_core.evaluation.evaluate import Kind, Split
    from hrm_core.model.hrm import HRM
    from hrm_core.recipe.schema import Recipe
    from hrm_core.training.adapt import Adapter

# What may differ from the trained recipe: how it is evaluated, what is done to an input, how long it may think.
SETTABLE = ("evaluation.", "input.", "halting.max_segments=")


@final
@dataclass(frozen=True)
class Also:
    """What `hrm eval` can do beside an evaluation, each by the name of its option."""

    settings: tuple[str, ...] = ()
    ablate: tuple[str, ...] = ()
    color_copies: int | None = None
    sharpness: bool = False
    latency: bool = False
    adapt: int | None = None
    adapt_what: str = "all"
    adapt_rate: float = 0.5


@disk_told()
def evaluate(
    model_or_word: Model | str | Path,
    *,
    split: str | None = None,
    views: int | None = None,
    data: str | Path | None = None,
    fast: bool = False,
    runs_dir: str | Path | None = None,
    also: Also | None = None,
    watch: Watch = silent,
) -> Evaluation:
    """Evaluates a loaded model, or the snapshot that `load` finds under a word, on the tests of a split.

    split: "val" or "eval" (default: the one that its run validates on). views: how many vote (default: the recipe's).
    data: the data file (default: its run's, or the recipe's, built if it is missing). fast: a quarter of the tests, one
    view, no swaps. Every measure stands beside the trivial predictors' on the same samples. UserError: a value that is
    none of these (2); a snapshot or data that is missing, damaged or of other tasks, a split without tests (1).
    """
    if split not in (None, "val", "eval"):
        raise UserError(f"split={clean(split or '')[:40]}: there are val and eval")
    model = model_or_word if isinstance(model_or_word, Model) else load(model_or_word, runs_dir=runs_dir)
    trained, asked = model.snapshot.model, also or Also()
    recipe = changed_recipe(model.recipe, views, asked.settings)
    # What switches a part off does so for good, and so does what puts the rows in another order.
    worked_on = deepcopy(trained) if asked.ablate or is_imported(model) else trained
    try:
        row = _row(model, worked_on, recipe, split, None if data is None else Path(data), fast, asked, watch)
    finally:
        trained.recipe = model.recipe
    return Evaluation(model.path, row)


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


def _row(
    model: Model,
    worked_on: HRM,
    recipe: Recipe,
    split: str | None,
    data: Path | None,
    fast: bool,
    asked: Also,
    watch: Watch,
) -> dict[str, Any]:
    from hrm_core.data.dataset import load_dataset
    from hrm_core.evaluation.ablation import ablate
    from hrm_core.evaluation.evaluate import evaluate as measure
    from hrm_core.evaluation.evaluate import num_predictions, validation_split, whole_lane
    from hrm_core.model.inference import Predictor
    from hrm_core.runs.records import plain

    recipe = ablate(asked.ablate, worked_on, recipe)
    worked_on.recipe = recipe
    path = data_of(model.path, recipe, data, watch)
    dataset = load_dataset(path, recipe.data, input=recipe.input)
    left_out: list[str] = []
    if is_imported(model):
        dataset, left_out = place_rows(model, worked_on, dataset, path)
    else:
        check_tasks(model.snapshot, dataset, path)
    where: Split = validation_split(recipe) if split is None else "val" if split == "val" else "eval"
    kind: Kind = "fast" if fast else "full"
    adapter = _adapter(worked_on, dataset, recipe, asked)
    with watch(f"evaluating {model.name}", num_predictions(dataset, recipe, where, kind)) as done:
        evaluation = measure(
            Predictor(worked_on),
            dataset,
            recipe,
            where,
            kind,
            model.step,
            model.weights,
            max_steps=0,  # a judgement after the fact: nothing is warming up
            device=worked_on.device,
            on_rows=done,
            by_lane=whole_lane if adapter is None else adapter.outcomes,
        )
    if adapter is not None:
        evaluation.row["adaptation"] = adapter.summary()
    row = plain(evaluation.row | _analyses(worked_on, dataset, recipe, where, kind, asked, watch))
    assert isinstance(row, dict)
    row["notes"] = [*row["notes"], *left_out, *_said_changes(asked)]
    return row


def _adapter(model: HRM, dataset: Dataset, recipe: Recipe, asked: Also) -> Adapter | None:
    """What trains on each task's demonstrations before its tests are predicted; None where it is not asked for."""
    if asked.adapt is None:
        return None
    from hrm_core.training.adapt import Adapter

    return Adapter(
        model, dataset, recipe, asked.adapt, "rows" if asked.adapt_what == "rows" else "all", asked.adapt_rate
    )


def _said_changes(asked: Also) -> list[str]:
    """What differs from the evaluation that a run makes itself, as notes of the row."""
    from hrm_core.evaluation.ablation import ABLATIONS

    notes = [f"switched off: {ABLATIONS[part].what}" for part in asked.ablate]
    if asked.adapt is not None:
        moved = "its identity row" if asked.adapt_what == "rows" else "all weights"
        notes.append(f"test-time training: {asked.adapt} steps on each task's demonstrations, {moved}")
    return notes + [f"evaluated with {setting}" for setting in asked.settings]


def _analyses(
    model: HRM, dataset: Dataset, recipe: Recipe, split: Split, kind: Kind, asked: Also, watch: Watch
) -> dict[str, Any]:
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
        with watch("copies in permuted colours", total) as done:
            settings = recipe.evaluation
            runner = Runner(Predictor(model), model.device, settings.batch, done, settings.may_halt)
            found["color_copies"] = evaluate_color_copies(runner, dataset, recipe, lanes, split, asked.color_copies)
    if asked.sharpness:
        found["sharpness"] = measure_sharpness(model, dataset, recipe.evaluation.batch)
    if asked.latency:
        found["latency"] = measure_latency(model, lanes)
    return found

"""The whole evaluation, full or fast: predictor and data -> one row of numbers and the predictions themselves.

Evaluation room. Full: every pair of the split once as published, `exact` and the cell metrics beside the four trivial
predictors on the same samples, voting over views, scores without duplicates, swaps of input and identity, calibration,
halting, families, alarms. Fast: a fixed quarter of the pairs, one view, no swaps, no voting. Nothing is chosen or
written here: see `hrm_core.training.validation_gate` and `hrm_core.runs`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch

from hrm_core.data.dataset import Dataset
from hrm_core.data.derange import fixed_subset
from hrm_core.data.families import FAMILIES
from hrm_core.data.lanes import LanePairs, OversizePairs
from hrm_core.data.plan_families import plan_members
from hrm_core.data.views import num_views
from hrm_core.errors import UserError
from hrm_core.evaluation.alarms import find_alarms
from hrm_core.evaluation.calibration import calibrate
from hrm_core.evaluation.families import by_family, by_members
from hrm_core.evaluation.halting import analyse_halting, halting_summary
from hrm_core.evaluation.lane import LaneOutcome, Measures, evaluate_lane
from hrm_core.evaluation.metrics import Bools, Floats, join_scores, mean_scores
from hrm_core.evaluation.predict import PredictsSegments, Runner
from hrm_core.evaluation.predictions import prediction_records
from hrm_core.evaluation.sensitivity import commonest_share, measure_swap
from hrm_core.evaluation.trivial import TRIVIAL, lift, most_frequent_token
from hrm_core.evaluation.voting import NEVER, pass_scores
from hrm_core.recipe.schema import Recipe
from hrm_core.runs.records import utc_now

FAST_SHARE = 0.25
FEWEST_FAST = 16
SUBSET_SEED = 0  # the same pairs in every run, whatever its seed
WITHOUT_DUPLICATES = ("exact", "token_exact")

Kind = Literal["fast", "full"]
Split = Literal["val", "eval"]


@final
@dataclass(frozen=True)
class Evaluation:
    """`row`: an evaluation row of the run folder, `best` still False; `predictions`: one record a test pair, empty for
    a fast evaluation.
    """

    row: dict[str, Any]
    predictions: list[dict[str, Any]]


LaneEvaluator = Callable[[Runner, LanePairs, OversizePairs, Measures], list[LaneOutcome]]


def _unwatched(rows: int) -> None:
    """Nobody watches."""


def whole_lane(runner: Runner, pairs: LanePairs, oversize: OversizePairs, measures: Measures) -> list[LaneOutcome]:
    """A lane as it is, with one model for all of its tasks."""
    return [evaluate_lane(runner, pairs, oversize, measures)]


def evaluate(
    predictor: PredictsSegments,
    dataset: Dataset,
    recipe: Recipe,
    split: Split,
    kind: Kind,
    step: int,
    weights_name: str,
    *,
    max_steps: int | None = None,
    previous: Sequence[Mapping[str, Any]] = (),
    train_loss: float | None = None,
    device: torch.device | str = "cpu",
    on_rows: Callable[[int], None] = _unwatched,
    by_lane: LaneEvaluator = whole_lane,
    batch: int | None = None,
) -> Evaluation:
    """Evaluate a predictor on "val" or "eval".

    `max_steps`: length of the run, for the alarms' warm-up (default: the recipe's, if it is given in steps; without
    any, nothing is warming up); `previous`: the run's earlier evaluation rows; `train_loss`: the last mean token loss
    of the training, for the alarms; `on_rows` is told how many of `num_predictions` each piece has done; `by_lane`: how
    a lane is evaluated, in as many parts as it likes (test-time training takes a task at a time,
    `hrm_core/training/adapt.py`); `batch`: how many grids at once (default: the recipe's), which changes nothing but
    rounding. UserError if the split has no pairs.
    """
    started = time.perf_counter()
    lanes, in_split = chosen_pairs(dataset, recipe, split, kind)
    measures = _measures(dataset, recipe, lanes, kind)
    runner = Runner(
        predictor, torch.device(device), batch or recipe.evaluation.batch, on_rows, recipe.evaluation.may_halt
    )
    oversize = dataset.oversize[split]
    outcomes = [part for pairs in lanes.values() for part in by_lane(runner, pairs, oversize, measures)]
    measured = _row(outcomes, dataset, recipe, kind)
    row = {
        "step": step,
        "time_utc": utc_now(),
        "elapsed_s": 0.0,
        "kind": kind,
        "split": split,
        "weights": weights_name,
        **measured,
        "notes": notes(recipe, split, measured["pairs"], in_split, measured["oversize"]),
        "score": measured["metrics"][recipe.evaluation.score],
        "train_loss": train_loss,
        "best": False,
    }
    steps = recipe.training.max_steps if max_steps is None else max_steps
    row["alarms"] = find_alarms(row, previous, recipe, steps if isinstance(steps, int) else 0)
    records: list[dict[str, Any]] = []
    if kind == "full":
        for outcome in outcomes:
            records += prediction_records(outcome, dataset.tasks, split)
    row["elapsed_s"] = round(time.perf_counter() - started, 3)
    return Evaluation(row, records)


def validation_split(recipe: Recipe) -> Split:
    """The split that a run validates on: eval if asked for, or if val is trained on."""
    return "eval" if recipe.data.train_on_val_tests else recipe.data.validate_on


def chosen_pairs(dataset: Dataset, recipe: Recipe, split: Split, kind: Kind) -> tuple[dict[int, LanePairs], int]:
    """The lanes that are evaluated, and how many pairs the split has. Choices are fixed, by a hash of the pair alone:
    `data.validate_limit` of the split that is validated on, and of those a quarter (at least 16) if fast.
    """
    lanes = dataset.split(split)
    in_split = sum(pairs.num_pairs for pairs in lanes.values())
    if in_split == 0:
        held_in = " (data.train_on_val_tests trains on them)" if recipe.data.train_on_val_tests else ""
        other = "eval" if split == "val" else "val"
        raise UserError(f"split {split}: there are no test pairs to evaluate{held_in}; use split {other}", exit_code=1)
    count = in_split
    if split == validation_split(recipe) and recipe.data.validate_limit is not None:
        count = min(count, recipe.data.validate_limit)
    if kind == "fast":
        count = min(count, max(FEWEST_FAST, round(FAST_SHARE * count)))
    return (lanes if count == in_split else fixed_subset(lanes, count, SUBSET_SEED)), in_split


def num_predictions(dataset: Dataset, recipe: Recipe, split: Split, kind: Kind) -> int:
    """How many predictions `evaluate` will make, up to pairs that have no partner to be swapped with."""
    lanes, _ = chosen_pairs(dataset, recipe, split, kind)
    measures = _measures(dataset, recipe, lanes, kind)
    each = measures.num_views + measures.swap_input + measures.swap_identity
    return each * sum(pairs.num_pairs for pairs in lanes.values())


def notes(recipe: Recipe, split: Split, pairs: int, in_split: int, oversize: int) -> list[str]:
    """What must be said wherever these scores are shown."""
    said = ["transductive: the demonstration pairs of these tasks are trained on, as HRM does; their tests are not"]
    if recipe.data.train_on_val_tests:
        said.append("no held-out set: the test pairs of the training tasks are trained on too")
    if split == "eval" and validation_split(recipe) == "eval":
        said.append("selected on eval: the best is chosen on the pairs it is scored on")
    if pairs < in_split:
        said.append(f"{pairs} fixed tests of {in_split} in {split}")
    if oversize:
        said.append(f"{oversize} of {pairs} targets do not fit their canvas and count as wrong")
    return said


def _measures(dataset: Dataset, recipe: Recipe, lanes: Mapping[int, LanePairs], kind: Kind) -> Measures:
    full = kind == "full"
    kept = fixed_subset(lanes, recipe.evaluation.segment_grids if full else 0, SUBSET_SEED)
    keys = [pairs.key for pairs in kept.values()]
    return Measures(
        num_views=num_views(recipe.augment, recipe.evaluation.views) if full else 1,
        swap_input=full,
        swap_identity=full and recipe.identity.kind != "none",
        every_segment=full,
        segment_keys=torch.cat(keys) if keys else torch.zeros(0, dtype=torch.int64),
        augment=recipe.augment,
        seed=recipe.training.seed,
        frequent_token=most_frequent_token(dataset.train.values(), recipe.loss.include_pad),
    )


def _row(outcomes: Sequence[LaneOutcome], dataset: Dataset, recipe: Recipe, kind: Kind) -> dict[str, Any]:
    scores = join_scores([outcome.scores for outcome in outcomes])
    tasks = np.concatenate([outcome.pairs.task.numpy() for outcome in outcomes])
    fits = np.concatenate([outcome.targets.fits for outcome in outcomes])
    new = ~np.concatenate([outcome.pairs.duplicate.numpy() for outcome in outcomes])
    ranks = np.concatenate([outcome.ranks for outcome in outcomes])
    confidence = np.concatenate([outcome.predicted.confidence for outcome in outcomes]).astype(np.float64)
    losses = np.concatenate([outcome.predicted.loss for outcome in outcomes]).astype(np.float64)[fits]
    trivial_scores = {name: join_scores([outcome.trivial[name] for outcome in outcomes]) for name in TRIVIAL}

    def passes(chosen: Bools | None = None) -> dict[str, float | None]:
        none = np.zeros(len(tasks), dtype=np.bool_)
        return pass_scores(ranks, tasks, chosen if kind == "full" else none)

    plan = plan_members(dataset.tasks)
    masks = dataset.tasks.families.numpy()[tasks]
    halt_logit = np.concatenate([outcome.predicted.halt_logit for outcome in outcomes])
    metrics = mean_scores(scores) | passes()
    trivial = _trivial(trivial_scores, tasks, metrics)
    trivial_exact = {name: values["exact"] for name, values in trivial_scores.items()}
    return {
        "pairs": len(tasks),
        "tasks": len(np.unique(tasks)),
        "oversize": int((~fits).sum()),
        "loss": _finite(losses.mean()) if len(losses) else None,
        "metrics": metrics,
        "trivial": trivial,
        "lift": lift(metrics, trivial),
        "without_duplicates": {
            "pairs": int(new.sum()),
            **mean_scores({name: scores[name] for name in WITHOUT_DUPLICATES}, new),
            **passes(new),
        },
        "constant_share": commonest_share([(outcome.pairs.side, outcome.grids) for outcome in outcomes]),
        **_sensitivities(outcomes),
        "calibration": calibrate(confidence, scores["exact"]),
        "halting": halting_summary(halt_logit),
        "halting_analysis": _halting_analysis(outcomes, halt_logit, masks),
        "families": by_family(scores["exact"], masks, FAMILIES, trivial_exact),
        "plan_families": by_members(scores["exact"], {name: held[tasks] for name, held in plan.items()}, trivial_exact),
    }


def _halting_analysis(
    outcomes: Sequence[LaneOutcome], halt_logit: np.ndarray[Any, Any], masks: np.ndarray[Any, Any]
) -> dict[str, Any] | None:
    """What thinking longer gives, in a full evaluation."""
    exact = [outcome.exact_by_segment for outcome in outcomes if outcome.exact_by_segment is not None]
    if len(exact) < len(outcomes):
        return None
    return analyse_halting(halt_logit, np.concatenate(exact), masks, FAMILIES)


def _trivial(
    scores: Mapping[str, dict[str, Floats]], tasks: np.ndarray[Any, Any], metrics: Mapping[str, float | None]
) -> dict[str, dict[str, float | None]]:
    """Metric -> predictor -> value. A trivial predictor has one answer only, so pass@2 is its pass@1."""
    by_predictor = {
        name: mean_scores(values) | pass_scores(np.where(values["exact"] > 0, 0, NEVER), tasks)
        for name, values in scores.items()
    }
    return {metric: {name: by_predictor[name][metric] for name in TRIVIAL} for metric in metrics}


def _sensitivities(outcomes: Sequence[LaneOutcome]) -> dict[str, float | None]:
    """The four numbers of the swaps, pooled over lanes; None where not measured."""
    numbers: dict[str, float | None] = {}
    for name in ("input", "identity"):
        swaps = [outcome.swaps[name] for outcome in outcomes if name in outcome.swaps]
        pooled = measure_swap(
            [grid for swap in swaps for grid in swap.own],
            [grid for swap in swaps for grid in swap.swapped],
            np.concatenate([swap.own_cells for swap in swaps]) if swaps else np.zeros(0),
            np.concatenate([swap.swapped_cells for swap in swaps]) if swaps else np.zeros(0),
        )
        numbers[f"{name}_sensitivity"], numbers[f"{name}_gain"] = pooled.sensitivity, pooled.gain
    return numbers


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

"""Sentences that say what is wrong with a run, with the numbers and what to try.

Evaluation room: one evaluation row, the rows before it and the recipe -> alarms `{name, sentence, advice, numbers}`.
From the first validation on: `constant_output`, `input_blind`, `identity_blind`. Once `alarms.warmup_share` of the run
is done: `below_trivial` (two validations running), `diverging`, and those of `alarms_training.py`; until then the run
is warming up, and the sentences of the first three say so. `stalled` and `lost` are decided by whoever reads the run
folder, not here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hrm_core.evaluation.alarms_training import (
    Alarm,
    Row,
    alike,
    halting_collapsed,
    make_alarm,
    overfitting,
    percent,
    plateau,
    warming_up,
)
from hrm_core.evaluation.remedies import remedy, remedy_of_divergence
from hrm_core.evaluation.trivial import TRIVIAL
from hrm_core.recipe.schema import Recipe

__all__ = ["find_alarms", "percent", "warming_up"]

TRIVIAL_NAMES = {
    "pad": "predicting PAD everywhere",
    "black": "predicting black everywhere",
    "frequent": "predicting the commonest token everywhere",
    "copy": "copying the input",
}


def find_alarms(row: Row, previous: Sequence[Row], recipe: Recipe, max_steps: int) -> list[Alarm]:
    """The alarms of an evaluation row, gravest first. `previous`: the run's earlier rows, oldest first."""
    found = [
        _constant_output(row, recipe),
        _blind("input", row, recipe),
        _blind("identity", row, recipe),
        _below_trivial(row, previous, recipe, max_steps),
        diverging(row, previous, recipe, max_steps),
        halting_collapsed(row, recipe, max_steps),
        overfitting(row, previous, recipe, max_steps),
        plateau(row, previous, recipe, max_steps),
    ]
    alarms = [alarm for alarm in found if alarm is not None]
    if warming_up(row, recipe, max_steps):
        done = percent(row["step"] / max(max_steps, 1))
        for alarm in alarms:
            alarm["sentence"] = alarm["sentence"].removesuffix(".") + f" (warming up: {done} of the run done)."
    return alarms


def _constant_output(row: Row, recipe: Recipe) -> Alarm | None:
    share, pairs = row["constant_share"], row["pairs"]
    if share is None or pairs < 2 or share < recipe.alarms.constant_share:
        return None
    padded, trivial = row["metrics"]["padded_accuracy"], row["trivial"]["padded_accuracy"]
    nearest = min(TRIVIAL, key=lambda name: abs(trivial[name] - padded))
    if abs(trivial[nearest] - padded) < 0.01:
        meaning = f"is what {TRIVIAL_NAMES[nearest]} gets ({percent(trivial[nearest])})"
    else:
        meaning = (
            f"against {percent(trivial['pad'])} for PAD everywhere and {percent(trivial['copy'])} for the input copied"
        )
    sentence = (
        f"One and the same grid for {percent(share)} of {pairs} inputs; padded accuracy {percent(padded)} {meaning}."
    )
    numbers = {"share": share, "pairs": pairs, "padded_accuracy": padded, "trivial": dict(trivial)}
    return make_alarm("constant_output", sentence, remedy(recipe, "The output does not depend on the puzzle"), numbers)


def _blind(what: str, row: Row, recipe: Recipe) -> Alarm | None:
    sensitivity, gain = row[f"{what}_sensitivity"], row[f"{what}_gain"]
    threshold = recipe.alarms.input_sensitivity if what == "input" else recipe.alarms.identity_sensitivity
    if sensitivity is None or sensitivity >= threshold:
        return None
    sentence = (
        f"Another task's {what} changes only {percent(sensitivity)} of the predicted grids "
        f"(alarm below {percent(threshold)}); the own one is worth {100 * gain:.1f} points of cell accuracy."
    )
    if what == "input":
        advice = remedy(recipe, "The model does not read the puzzle")
    else:
        advice = "The model does not use what it is told about the task: try identity.place=both or a higher rows.lr."
    numbers = {"sensitivity": sensitivity, "gain": gain, "threshold": threshold}
    return make_alarm(f"{what}_blind", sentence, advice, numbers)


def _below_trivial(row: Row, previous: Sequence[Row], recipe: Recipe, max_steps: int) -> Alarm | None:
    running = [*previous[-1:], row]
    lifts = [other["lift"]["color_accuracy"] for other in running]
    early = any(warming_up(other, recipe, max_steps) for other in running)
    if early or len(running) < 2 or any(lift is None or lift >= 0 for lift in lifts):
        return None
    value, trivial = row["metrics"]["color_accuracy"], row["trivial"]["color_accuracy"]
    best = max(TRIVIAL, key=lambda name: trivial[name])
    sentence = (
        f"Colour accuracy {percent(value)} is {-100 * lifts[-1]:.1f} points below {TRIVIAL_NAMES[best]} "
        f"({percent(trivial[best])}), at two validations running."
    )
    advice = remedy(recipe, "A predictor without a model does better")
    return make_alarm("below_trivial", sentence, advice, {"value": value, "lifts": lifts, "trivial": dict(trivial)})


def diverging(row: Row, previous: Sequence[Row], recipe: Recipe, max_steps: int) -> Alarm | None:
    """The loss is not finite, or `alarms.divergence_factor` times the lowest of its kind."""
    loss = row["loss"]
    advice = remedy_of_divergence(recipe)
    if loss is None or not math.isfinite(loss):
        if row["pairs"] <= row["oversize"]:
            return None
        return make_alarm("diverging", "The validation loss is not a finite number.", advice, {"loss": None})
    earlier = [(other["loss"], other["step"]) for other in alike(row, previous) if other["loss"] is not None]
    if warming_up(row, recipe, max_steps) or not earlier:
        return None
    lowest, step = min(earlier)
    if loss <= recipe.alarms.divergence_factor * lowest:
        return None
    sentence = (
        f"Validation loss {loss:.3g} is {loss / max(lowest, 1e-9):.1f} times its lowest, {lowest:.3g} at step {step}."
    )
    return make_alarm("diverging", sentence, advice, {"loss": loss, "lowest": lowest, "lowest_step": step})

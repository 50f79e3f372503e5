"""The alarms about the course of training: halting that never varies, overfitting, a plateau.

Evaluation room: one evaluation row, the rows before it and the recipe -> an alarm or None, put among the others by
`alarms.find_alarms`. All three wait until `alarms.warmup_share` of the run is done. That hardly anything halts is no
collapse: a model that is never right is right not to halt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hrm_core.evaluation.remedies import named, remedies, remedy_of_divergence
from hrm_core.recipe.schema import Recipe

Row = Mapping[str, Any]
Alarm = dict[str, Any]

# Two means over ten steps differ by less; an overfitted run's training loss falls.
RISEN = 1.2


def percent(share: float) -> str:
    """0.7117 -> "71.2 %", 1.0 -> "100 %"."""
    text = f"{100 * share:.1f}"
    return f"{text.removesuffix('.0')} %"


def make_alarm(name: str, sentence: str, advice: str, numbers: dict[str, Any]) -> Alarm:
    """An alarm as it is written and shown."""
    return {"name": name, "sentence": sentence, "advice": advice, "numbers": numbers}


def warming_up(row: Row, recipe: Recipe, max_steps: int) -> bool:
    """Whether less than `alarms.warmup_share` of the run was done at this row."""
    return bool(row["step"] < recipe.alarms.warmup_share * max_steps)


def halting_collapsed(row: Row, recipe: Recipe, max_steps: int) -> Alarm | None:
    """Nearly every sample would halt first in one and the same segment."""
    histogram, pairs = row["halting"]["histogram"], row["pairs"]
    if warming_up(row, recipe, max_steps) or pairs < 2 or len(histogram) < 2:
        return None
    most = max(histogram)
    share = most / pairs
    if share < recipe.alarms.halting_share:
        return None
    segment, exact = histogram.index(most) + 1, row["metrics"]["exact"]
    sentence = (
        f"{percent(share)} of {pairs} samples would halt in segment {segment} of {len(histogram)} "
        f"(alarm from {percent(recipe.alarms.halting_share)}), where {percent(exact)} are exact."
    )
    advice = (
        f"Thinking does not adapt to the puzzle: try {named(remedies('halting_collapsed'))}, or another halting.bias."
    )
    numbers = {"share": share, "segment": segment, "segments": len(histogram), "exact": exact}
    return make_alarm("halting_collapsed", sentence, advice, numbers)


def overfitting(row: Row, previous: Sequence[Row], recipe: Recipe, max_steps: int) -> Alarm | None:
    """The validation loss has risen from its lowest by `alarms.overfit_gap`; `diverging` takes over far above, and
    wherever the training loss has risen with it: then nothing is being learned too well."""
    loss = row["loss"]
    earlier = [(other["loss"], other["step"], other) for other in alike(row, previous) if other["loss"] is not None]
    if warming_up(row, recipe, max_steps) or loss is None or not earlier:
        return None
    lowest, step, then = min(earlier, key=lambda entry: entry[:2])
    gap = loss / max(lowest, 1e-9) - 1.0
    if loss <= (1.0 + recipe.alarms.overfit_gap) * lowest or loss > recipe.alarms.divergence_factor * lowest:
        return None
    sentence = (
        f"Validation loss {loss:.3g} is {percent(gap)} above its lowest, {lowest:.3g} at step {step} "
        f"(alarm above {percent(recipe.alarms.overfit_gap)})"
    )
    numbers = {"loss": loss, "lowest": lowest, "lowest_step": step, "gap": gap}
    now, before = row.get("train_loss"), then.get("train_loss")
    if now is not None and before is not None and now > RISEN * before:
        sentence += f", and the training loss has risen with it, {before:.3g} to {now:.3g}."
        return make_alarm("diverging", sentence, remedy_of_divergence(recipe), {**numbers, "train_loss": now})
    advice = (
        "What is learned now does not carry over to held-out tests: the best snapshot is kept; try "
        f"{named(remedies('overfitting'))}, or a larger augment.pool."
    )
    return make_alarm("overfitting", f"{sentence}.", advice, numbers)


def plateau(row: Row, previous: Sequence[Row], recipe: Recipe, max_steps: int) -> Alarm | None:
    """So many full validations running, all after the warm-up, have not beaten the best before them by enough."""
    count, least = recipe.alarms.plateau_validations, recipe.alarms.plateau_gain
    if row["kind"] != "full":
        return None
    full = [*alike(row, previous), row]
    earlier, last = full[:-count], full[-count:]
    if not earlier or any(warming_up(other, recipe, max_steps) for other in last):
        return None
    best, now = max(other["score"] for other in earlier), max(other["score"] for other in last)
    if now - best >= least or best > 1.0 - least:
        return None
    since = max(other["step"] for other in earlier if other["score"] == best)
    sentence = (
        f"The score ({recipe.evaluation.score}) has gained {100 * (now - best):+.2f} points over the {percent(best)} "
        f"of step {since} in {count} full validations (a plateau below {100 * least:+.2f})."
    )
    advice = f"`hrm diagnose` says what holds it back; else try {named(remedies('plateau'))}."
    numbers = {"best": best, "best_step": since, "now": now, "validations": count}
    return make_alarm("plateau", sentence, advice, numbers)


def alike(row: Row, previous: Sequence[Row]) -> list[Row]:
    """The earlier rows of the same kind and split."""
    return [other for other in previous if other["kind"] == row["kind"] and other["split"] == row["split"]]

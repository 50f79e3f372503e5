"""What the course of training shows: divergence, a rate at its floor, noisy gradients, a gap to validation, a plateau.

Evaluation room: rows of the training log and of the validations -> findings. Windows are the last fifth of the rows (at
least ten). A row's gradient norm is a mean over `training.log_every` steps, so its spread understates the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hrm_core.evaluation.alarms import diverging
from hrm_core.evaluation.alarms_training import alike, overfitting, percent, plateau
from hrm_core.evaluation.diagnosis_answers import puzzle
from hrm_core.evaluation.diagnosis_material import Finding, Material, Puzzle, make_finding
from hrm_core.runs.files import Row, integer, number

FEWEST_ROWS = 10
FLOOR = 0.02  # of the highest rate, over the schedule's own minimum
SPREAD = 1.0
SPREAD_CLIPPED, CLIP_SHARE = 0.5, 0.9


def training_findings(material: Material) -> list[Finding]:
    """All findings about training, in no order."""
    found = (_diverging(material), _floor(material), _noise(material), _gap(material), _plateau(material))
    return [finding for finding in found if finding is not None]


def _window(rows: Sequence[Row]) -> Sequence[Row]:
    return rows[-max(len(rows) // 5, FEWEST_ROWS) :]


def _values(rows: Sequence[Row], key: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([value for row in rows if (value := number(row, key)) is not None], dtype=np.float64)


def _floor(material: Material) -> Finding | None:
    """The rate is at its lowest after the warm-up, and the training loss still falls."""
    recipe, rows = material.recipe, material.metrics
    rates = _values(rows, "lr")
    if len(rates) < 2 * FEWEST_ROWS:
        return None
    highest, now = float(rates.max()), float(rates[-1])
    floor = (recipe.schedule.min_ratio + FLOOR) * recipe.optimizer.lr
    factor = number(material.policy, "lr_factor")
    if now > floor or int(rates.argmax()) == len(rates) - 1:
        return None
    losses = _values(_window(rows), "loss")
    half = len(losses) // 2
    if half < 2:
        return None
    before, after = losses[:half], losses[half:]
    drop = float(before.mean() - after.mean())
    error = math.sqrt(float(before.var(ddof=1)) / len(before) + float(after.var(ddof=1)) / len(after))
    if drop <= 2.0 * error or drop <= 0.0:
        return None
    sentence = (
        f"The learning rate is {now:.2g}, {percent(now / max(highest, 1e-30))} of its highest, while the training loss "
        f"still falls ({before.mean():.3g} to {after.mean():.3g} over the last {len(losses)} rows, error {error:.2g})."
    )
    reduced = "" if factor is None or factor >= 1.0 else f" Steps that were not finite have lowered it by {factor:.2f}."
    advice = f"The schedule ended before the learning did: a larger training.max_steps, or schedule.min_ratio.{reduced}"
    numbers = {"lr": now, "highest": highest, "drop": drop, "error": error, "lr_factor": factor}
    return make_finding("optimizer_floor", 0.55, sentence, advice, numbers)


def _noise(material: Material) -> Finding | None:
    """Gradient norms that vary more than their mean, or that are nearly always clipped and vary by half of it."""
    window = _window(material.metrics)
    norms = _values(window, "grad_norm")
    if len(norms) < FEWEST_ROWS or norms.mean() <= 0.0:
        return None
    spread = float(norms.std(ddof=1) / norms.mean())
    steps = (integer(window[-1], "step") or 0) - (integer(window[0], "step") or 0)
    clipped = sum(integer(row, "clipped") or 0 for row in window[1:])
    clip_share = clipped / steps if steps > 0 else 0.0
    if spread < SPREAD and not (clip_share >= CLIP_SHARE and spread >= SPREAD_CLIPPED):
        return None
    recipe = material.recipe
    sentence = (
        f"The gradient norm varies by {percent(spread)} of its mean {norms.mean():.3g} over the last {len(norms)} rows "
        f"(highest {norms.max():.3g}), and {percent(clip_share)} of the steps were clipped."
    )
    slots = recipe.training.batch * recipe.training.accumulation
    advice = f"A step of {slots} slots is a noisy guess: a larger training.batch, a lower optimizer.lr, or an average."
    numbers = {"spread": spread, "mean": float(norms.mean()), "highest": float(norms.max()), "clip_share": clip_share}
    return make_finding("noisy_gradients", 0.45 + 0.05 * min(spread, 2.0), sentence, advice, numbers)


def _gap(material: Material) -> Finding | None:
    """The validation loss has risen from its lowest, or is above the training loss by `alarms.overfit_gap`."""
    recipe, row = material.recipe, material.row
    earlier = [other for other in material.rows if other is not row and other["step"] < row["step"]]
    risen = overfitting(row, earlier, recipe, 0)
    window = _window(material.metrics)
    losses, exact = _values(window, "token_loss"), _values(window, "token_exact")
    held = row["loss"]
    if held is None or not len(losses):
        return None
    trained = float(losses.mean())
    apart = held > (1.0 + recipe.alarms.overfit_gap) * trained
    if risen is None and not apart:
        return None
    right, held_right = float(exact.mean()) if len(exact) else None, number(row["metrics"], "token_exact")
    sentence = f"Token loss {held:.3g} on held-out tests against {trained:.3g} in training"
    if right is not None and held_right is not None:
        sentence += f"; all tokens right in {percent(held_right)} against {percent(right)}"
    sentence += "."
    if risen is not None:
        sentence += f" {risen['sentence']}"
    gap = held / max(trained, 1e-9) - 1.0
    numbers = {
        "validation_loss": held,
        "training_loss": trained,
        "gap": gap,
        "token_exact": right,
        "rising": risen is not None,
    }
    ranked = sorted(
        (record for record in material.records if record.get("exact") is False and number(record, "loss") is not None),
        key=lambda record: -(number(record, "loss") or 0.0),
    )
    evidence: tuple[Puzzle, ...] = tuple(puzzle(record, f"loss {number(record, 'loss'):.3g}") for record in ranked[:3])
    gravity = 0.6 if risen is not None else 0.35 + min(0.2, 0.05 * gap)
    advice = (
        "What is learned does not carry over to held-out tests: more augmentation (augment.pool), or a regulariser."
    )
    return make_finding("overfitting", gravity, sentence, advice, numbers, evidence)


def _diverging(material: Material) -> Finding | None:
    row = material.row
    earlier = [other for other in material.rows if other["step"] < row["step"]]
    alarm = diverging(row, earlier, material.recipe, material.max_steps)
    if alarm is None:
        return None
    return make_finding("diverging", 0.98, alarm["sentence"], alarm["advice"], alarm["numbers"])


def _plateau(material: Material) -> Finding | None:
    row = material.row
    earlier = [other for other in alike(row, material.rows) if other["step"] < row["step"]]
    alarm = plateau(row, earlier, material.recipe, material.max_steps)
    if alarm is None:
        return None
    return make_finding("plateau", 0.25, alarm["sentence"], "The findings above are what holds it.", alarm["numbers"])

"""Numbers of one run that a comparison describes: course of the validations, cost of the best, stability.

Evaluation room: RunFacts, or rows of it -> plain values for JSON; None where it was not measured. They describe and
decide nothing: verdicts are about the last score alone (`verdict.py`). No torch here.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal

from hrm_core.evaluation.comparison_runs import Place, RunFacts, exact_of, kept_full_steps, solved_tests
from hrm_core.runs.files import Row, integer, mapping, number

SPIKE_ROWS = 20
SPIKE_FACTOR = 1.5
"""A spike: a row of the log (a mean over `log_every` steps) with so many times the median loss of the 20 before."""
WITHIN_ERRORS = 0.5
LAST = 5
NEVER_HALTS = 0.95

By = Literal["steps", "seconds", "segments"]


def scores_of(run: RunFacts) -> list[float]:
    """`exact` of every full validation, in order."""
    return [value for row in run.full if (value := exact_of(row)) is not None]


def standard_error(share: float, count: int) -> float:
    """Standard error of a share of `count` tests, with the share kept within one test of 0 and 1."""
    kept = min(max(share, 1 / count), 1 - 1 / count) if count > 1 else 0.5
    return math.sqrt(kept * (1 - kept) / max(count, 1))


def to_best(run: RunFacts) -> dict[str, Any] | None:
    """Where the first full validation within half a standard error of the best was; None while nothing was solved."""
    best = run.best
    if not best:
        return None
    near = best - WITHIN_ERRORS * standard_error(best, run.tests[1])
    first = next(row for row in run.full if (exact_of(row) or 0.0) >= near)
    place = run.place(int(first["step"]))
    return {"score": exact_of(first), **vars(place)}


def roughness(scores: Sequence[float]) -> float | None:
    """Mean size of the second difference of the validation curve: 0 for a straight line; None for under three."""
    bends = _bends(scores)
    return statistics.fmean(abs(bend) for bend in bends) if bends else None


def validation_noise(scores: Sequence[float]) -> float | None:
    """Standard deviation of one validation around the run's own course, from second differences (white noise of
    deviation s gives them 6 s^2); of the second half of the run, where the course is nearly straight.
    """
    bends = _bends(scores[len(scores) // 2 :]) or _bends(scores)
    return math.sqrt(statistics.fmean(bend * bend for bend in bends) / 6) if bends else None


def _bends(scores: Sequence[float]) -> list[float]:
    return [after - 2 * here + before for before, here, after in zip(scores, scores[1:], scores[2:], strict=False)]


def spread_of_last(scores: Sequence[float]) -> float | None:
    """Highest minus lowest of the last five full validations; None where there are fewer than two."""
    last = scores[-LAST:]
    return max(last) - min(last) if len(last) > 1 else None


def lost_since_previous(run: RunFacts) -> list[str] | None:
    """Tests that the last-but-one full validation solved and the last one did not; None where that is not known.

    The trainer writes them into the row; of a run without them, both validations' predictions must be kept.
    """
    written = run.full[-1].get("lost") if run.full else None
    if isinstance(written, list):
        return sorted(str(name) for name in written)
    steps = kept_full_steps(run)[-2:]
    if len(steps) < 2:
        return None
    before, after = (solved_tests(run, step) for step in steps)
    return sorted(name for name in before if before[name] and not after.get(name, False))


def stability(metrics: Sequence[Row]) -> dict[str, Any]:
    """Loss spikes, steps with a clipped gradient, mean and variance of the gradient norm, steps not finite."""
    losses = [value for row in metrics if (value := number(row, "loss")) is not None]
    norms = [value for row in metrics if (value := number(row, "grad_norm")) is not None]
    clipped = [integer(row, "clipped") for row in metrics]
    steps = integer(metrics[-1], "step") if metrics else None
    events = sum(count or 0 for count in clipped) if any(count is not None for count in clipped) else None
    return {
        "loss_spikes": loss_spikes(losses),
        "clip_events": events,
        "clipped_share": events / steps if events is not None and steps else None,
        "grad_norm_mean": statistics.fmean(norms) if norms else None,
        "grad_norm_variance": statistics.pvariance(norms) if len(norms) > 1 else None,
        "nonfinite_steps": sum(integer(row, "nonfinite") or 0 for row in metrics),
    }


def loss_spikes(losses: Sequence[float]) -> int:
    """Rows whose loss is above 1.5 times the median of the 20 rows before it (at least five)."""
    count = 0
    for place in range(5, len(losses)):
        median = statistics.median(losses[max(0, place - SPIKE_ROWS) : place])
        count += losses[place] > SPIKE_FACTOR * median
    return count


def score_at(run: RunFacts, by: By, limit: float) -> float | None:
    """`exact` of the last full validation within so many steps, seconds of training or segments."""
    within = [row for row in run.full if (at := measured(run.place(int(row["step"])), by)) is not None and at <= limit]
    return exact_of(within[-1]) if within else None


def measured(place: Place, by: By) -> float | None:
    """The place of a run in one of the three measures."""
    return {"steps": float(place.step), "seconds": place.seconds, "segments": float(place.segments)}[by]


def length(run: RunFacts, by: By) -> float | None:
    """How long the run was up to its last full validation."""
    return measured(run.place(int(run.full[-1]["step"])), by) if run.full else None


def tokens(run: RunFacts) -> int | None:
    """Tokens that passed through the model, from the training log."""
    return integer(run.metrics[-1], "tokens") if run.metrics else None


def seconds_per_step(run: RunFacts) -> float | None:
    """Training time of a step, validations not counted."""
    last = run.metrics[-1] if run.metrics else {}
    seconds, steps = number(last, "elapsed_s"), integer(last, "step")
    return seconds / steps if seconds is not None and steps else None


def peak_memory_gib(run: RunFacts) -> float | None:
    """The largest memory of the training log."""
    return max((value for row in run.metrics if (value := number(row, "memory_gib")) is not None), default=None)


def parameters(run: RunFacts) -> int:
    """Parameters of the layers and of the identity rows: what the Jetson has to hold. From shapes, not measured."""
    from hrm_core.recipe.estimate import estimate

    counted = estimate(run.recipe, "cpu")
    return counted.trunk_parameters + (counted.row_parameters or 0)


def cannot_act(run: RunFacts) -> str:
    """Why the run's technique had nothing to act on, in words; empty if it had, or if that is not known."""
    if run.recipe.techniques.halting_entropy is not None and run.full:
        never = number(mapping(run.full[-1], "halting"), "never")
        if never is not None and never > NEVER_HALTS:
            return f"not measurable: {100 * never:.0f} % of the tests never halt, so there is no halting to sharpen"
    return ""

"""`strong`: our own best guess for a fixed budget. Not one of the ten, and every value a guess until it is measured.

Recipe room; free of torch. What it takes from where (figures in the project's notes on science): Muon on matrices and
a decay to 0 (mdlARC), identity at every token (mdlARC; our own small trials), one dropout mask for all cycles and EMA
(Shakhvalieva et al. 2026), few augmentations where the budget is small. Test-time training for each task comes with
its evaluation: `hrm eval RUN --adapt STEPS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrm_core.recipe.experiment import Experiment
from hrm_core.recipe.presets import Lines

# By budget: learning rates of Muon, of AdamW and of the rows, decay, average, dropout, pool, voting views.
_BUDGETS: dict[str, Lines] = {
    "h100": {
        "optimizer.muon_lr": 1e-3,
        "optimizer.lr": 5e-4,
        "rows.lr": 3e-3,
        "schedule.decay": 0.3,
        "averaging.decay": 0.999,
        "techniques.shared_dropout.probability": 0.05,
        "augment.pool": 80,
        "evaluation.views": 32,
        "training.batch": 384,
        "training.accumulation": 1,
    },
    "laptop": {
        "optimizer.muon_lr": 7e-4,
        "optimizer.lr": 3e-4,
        "rows.lr": 3e-3,
        "schedule.decay": 0.2,
        "averaging.decay": 0.9995,
        "techniques.shared_dropout.probability": 0.025,
        "augment.pool": 300,
        "evaluation.views": 64,
    },
}


def strong(base: Mapping[str, Any]) -> Lines:
    """The common lines, then those of the budget; a small preset keeps its own rates and size."""
    lines: Lines = {
        "optimizer.kind": "muon",
        "rows.kind": "adam",
        "identity.place": "both",
        "loss.kind": "softmax",
        "halting.exploration": 0.0,
        "halting.max_segments": 8,
        "techniques.shared_dropout": True,
    }
    # A day's length on a laptop (preset laptop has 180,000 steps) or twenty minutes on an H100 (20,000).
    length = base["training.max_steps"]
    if isinstance(length, int) and length >= 100_000:
        return {**lines, **_BUDGETS["laptop"]}
    if base["data.subset"] == "fits7":
        return {**lines, "averaging.decay": 0.99, "schedule.decay": 0.4}
    return {**lines, **_BUDGETS["h100"]}


STRONG = Experiment(
    name="strong",
    title="Our own best guess for a budget",
    hypothesis="The choices that paid elsewhere at small budgets pay together here.",
    setup="Muon, identity at every token, softmax, no exploration, one dropout mask for all cycles, EMA, decay to 0; "
    "rates, pool and views by budget.",
    watch_for="Exact on val against EXP-00 at equal time; then the same with hrm eval --adapt.",
    lines=strong,
    presets=("laptop", "h100", "cpu", "demo"),
)

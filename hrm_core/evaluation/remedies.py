"""Which experiments address what is found wrong with a run, best first.

Evaluation room: the name of a finding -> experiments that there are, and what in the recipe itself is known to lead to
a model that does not read its puzzle. The order is that of the evidence at small
budgets: an average over the tail before anything that adds a task of its own, features of objects before a second view
of them. Which finding it is, is decided in `alarms*.py` and `diagnosis*.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.schema import Recipe

REMEDIES: dict[str, tuple[str, ...]] = {
    "constant_output": ("EXP-00", "demo"),
    "input_blind": ("EXP-00", "EXP-06b", "EXP-06"),
    "identity_blind": ("EXP-00", "strong", "EXP-08"),
    "diverging": (),  # a lower rate, which is no experiment
    "copy_bound": ("EXP-06b", "EXP-08", "EXP-09b", "EXP-09"),
    "color_bound": ("EXP-01", "EXP-01b", "EXP-08"),
    "size_bound": ("EXP-07b", "EXP-08", "EXP-07"),
    "halting_collapsed": ("EXP-05", "EXP-05b"),
    "overfitting": ("EXP-03b", "EXP-03", "EXP-02", "EXP-01"),
    "optimizer_floor": ("EXP-02", "EXP-10c"),
    "noisy_gradients": ("EXP-02", "EXP-10b", "EXP-10"),
    "families_unsolved": ("EXP-06b", "EXP-08", "EXP-09b", "EXP-09", "EXP-06"),
    "rows_untrained": ("EXP-00",),
    "plateau": ("EXP-02", "EXP-06b", "EXP-09", "EXP-07b", "EXP-01", "EXP-03", "EXP-08", "EXP-04", "EXP-10"),
}


def remedies(finding: str) -> tuple[str, ...]:
    """Experiments that address a finding, best first; only those that exist."""
    return tuple(name for name in REMEDIES[finding] if name in EXPERIMENTS)


def named(experiments: Sequence[str], most: int = 3) -> str:
    """("EXP-02", "EXP-09") -> "EXP-02 (Weight averaging over a cyclic tail) or EXP-09 (Replay of hard samples)"."""
    said = [f"{name} ({EXPERIMENTS[name].title})" for name in experiments[:most]]
    return " or ".join(part for part in (", ".join(said[:-1]), *said[-1:]) if part)


def causes(recipe: Recipe) -> list[str]:
    """What in the recipe is known to lead to a model that does not read its puzzle, as the setting that avoids it."""
    found = []
    if not recipe.model.inject_input:
        found.append("model.inject_input=true (now the input enters the loop only once)")
    if recipe.identity.kind == "none":
        found.append("identity.kind=shared (now the model is not told which task it sees)")
    if recipe.loss.include_pad:
        found.append("loss.include_pad=false (most of a canvas is PAD)")
    if recipe.evaluation.score == "padded_accuracy":
        found.append("evaluation.score=exact (padded accuracy mostly counts PAD)")
    return found + lion_causes(recipe)


def lion_causes(recipe: Recipe) -> list[str]:
    """Lion at AdamW's rate takes steps of that size whatever the gradient; every seed that was tried came apart."""
    lion = recipe.techniques.lion_swap
    if lion is None or lion.lr_factor <= 0.5:
        return []
    return ["techniques.lion_swap.lr_factor=0.2 (EXP-10b: Lion wants a rate several times lower than AdamW's)"]


def remedy_of_divergence(recipe: Recipe) -> str:
    """What to try where losses rise."""
    tries = [*lion_causes(recipe), "a lower optimizer.lr or optimizer.clip, or a longer schedule.warmup"]
    return f"Try {', '.join(tries)}, in another run."


def remedy(recipe: Recipe, finding: str) -> str:
    """What in the recipe is known to lead here; a general remedy if nothing is."""
    general = "a lower optimizer.lr or a longer schedule.warmup if it does not pass by itself"
    return f"{finding}: try " + ", ".join(causes(recipe) or [general]) + "."

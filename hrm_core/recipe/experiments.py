"""The table of named experiments, and finding one by name.

Recipe room; free of torch. Their lines are in `plan_experiments.py`, `second_arms.py` and
`own_experiments.py`.
"""

from __future__ import annotations

from hrm_core.errors import UserError
from hrm_core.recipe.experiment import Experiment
from hrm_core.recipe.keys import nearest
from hrm_core.recipe.own_experiments import OWN_EXPERIMENTS
from hrm_core.recipe.plan_experiments import PLAN_EXPERIMENTS
from hrm_core.recipe.second_arms import SECOND_ARMS
from hrm_core.recipe.strong import STRONG

_PLAN = sorted(PLAN_EXPERIMENTS + SECOND_ARMS, key=lambda experiment: experiment.name)
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in (*_PLAN, STRONG, *OWN_EXPERIMENTS)}


def find_experiment(name: str) -> Experiment:
    """The experiment of that name. UserError with the nearest name where there is none."""
    try:
        return EXPERIMENTS[name]
    except KeyError:
        by_case = {known.lower(): known for known in EXPERIMENTS}
        hint = f"; did you mean {by_case[name.lower()]}" if name.lower() in by_case else nearest(name, EXPERIMENTS)
        hint = hint or f"; there are {', '.join(EXPERIMENTS)}"
        raise UserError(f"{name} is no experiment{hint}") from None

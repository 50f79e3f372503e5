"""The table of named experiments, and finding one by name.

Recipe room; free of torch. Their lines are in `plan_experiments.py`, `second_arms.py` and
`own_experiments.py`; those that the user has saved are in `my_experiments.py`.
"""

from __future__ import annotations

from hrm_core.errors import UserError
from hrm_core.recipe.experiment import Experiment
from hrm_core.recipe.keys import nearest
from hrm_core.recipe.my_experiments import find_mine, read_mine
from hrm_core.recipe.own_experiments import OWN_EXPERIMENTS
from hrm_core.recipe.plan_experiments import PLAN_EXPERIMENTS
from hrm_core.recipe.second_arms import SECOND_ARMS
from hrm_core.recipe.strong import STRONG
from hrm_core.runs.text import clean

_PLAN = sorted(PLAN_EXPERIMENTS + SECOND_ARMS, key=lambda experiment: experiment.name)
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in (*_PLAN, STRONG, *OWN_EXPERIMENTS)}


def saved_experiments() -> tuple[dict[str, Experiment], tuple[str, ...]]:
    """Those that the user has saved, and what is wrong with files that are left out, a sentence each."""
    return read_mine(EXPERIMENTS)


def known_experiment(name: str) -> Experiment | None:
    """The experiment of that name, built in or saved; None where there is none, or it cannot be read any more."""
    try:
        return find_experiment(name)
    except UserError:
        return None


def find_experiment(name: str) -> Experiment:
    """The experiment of that name, built in or saved. UserError with the nearest name where there is none."""
    try:
        return EXPERIMENTS[name]
    except KeyError:
        mine = find_mine(name, EXPERIMENTS)
        if mine is not None:
            return mine
        known = {**EXPERIMENTS, **saved_experiments()[0]}
        by_case = {one.lower(): one for one in known}
        hint = f"; did you mean {by_case[name.lower()]}" if name.lower() in by_case else nearest(name[:200], known)
        hint = hint or f"; there are {', '.join(known)}"
        raise UserError(f"{clean(name[:80])} is no experiment{hint}") from None

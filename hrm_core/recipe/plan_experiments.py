"""The control, the plan's own baseline and the plan's ten experiments, each at the plan's values.

Recipe room; free of torch. A function a experiment, in the order of the plan; the table is in `experiments.py`.
Thresholds that the plan gives in steps are shares of its 100,000, so that every preset keeps the shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrm_core.recipe.experiment import Experiment
from hrm_core.recipe.presets import Lines


def _largest_canvas(base: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(sorted(base["data.canvases"])[-1:])  # none stays none, which the schema refuses by name


def control(base: Mapping[str, Any]) -> Lines:
    """EXP-00: nothing differs, it is what the others differ from."""
    return {}


def plan_baseline(base: Mapping[str, Any]) -> Lines:
    """EXP-00p: the largest canvas only, a constant rate, no averaging."""
    return {"data.canvases": _largest_canvas(base), "schedule.kind": "constant", "averaging.kind": "none"}


def color_canonicalisation(base: Mapping[str, Any]) -> Lines:
    """EXP-01."""
    return {"input.canonicalize_colors": True, "augment.color_probability": 0.0}


def swa_tail(base: Mapping[str, Any]) -> Lines:
    """EXP-02: in place of EXP-00's decay and EMA."""
    return {"techniques.swa_tail": True, "schedule.kind": "constant", "averaging.kind": "none"}


def drop_path(base: Mapping[str, Any]) -> Lines:
    """EXP-03."""
    return {"techniques.drop_path": True}


def gradient_noise(base: Mapping[str, Any]) -> Lines:
    """EXP-04."""
    return {"techniques.gradient_noise": True}


def halting_entropy(base: Mapping[str, Any]) -> Lines:
    """EXP-05."""
    return {"techniques.halting_entropy": True}


def object_graph(base: Mapping[str, Any]) -> Lines:
    """EXP-06."""
    return {"techniques.object_graph": True}


def curriculum(base: Mapping[str, Any]) -> Lines:
    """EXP-07: stages of one canvas, the largest."""
    return {"techniques.curriculum": True, "data.canvases": _largest_canvas(base)}


def rule_head(base: Mapping[str, Any]) -> Lines:
    """EXP-08."""
    return {"techniques.rule_head": True}


def replay(base: Mapping[str, Any]) -> Lines:
    """EXP-09."""
    return {"techniques.replay": True}


def lion_late(base: Mapping[str, Any]) -> Lines:
    """EXP-10."""
    return {"techniques.lion_swap": True}


PLAN_EXPERIMENTS = (
    Experiment(
        name="EXP-00",
        title="The control",
        hypothesis="None: this is what the ten are measured against, with rate decay and weight averaging, so that "
        "no experiment wins merely by averaging.",
        setup="AdamW 3e-4, warm-up 2 %, linear decay over the last 20 %, EMA 0.999, five canvases, 64 x 5 slots.",
        watch_for="Exact score above zero, lift above zero, input sensitivity near 1 from the first validation.",
        lines=control,
    ),
    Experiment(
        name="EXP-00p",
        title="The plan's own baseline",
        hypothesis="None: the plan's day-run as it was meant, without decay and averaging, on the largest canvas.",
        setup="EXP-00 on one canvas, constant learning rate, raw weights.",
        watch_for="How much of EXP-00 is owed to canvases, decay and averaging.",
        lines=plan_baseline,
    ),
    Experiment(
        name="EXP-01",
        title="Colours in a canonical order",
        hypothesis="Ordering a task's colours by the area of their components removes spurious permutations and "
        "generalises better, without parameters.",
        setup="One bijection a task, from demonstrations only; colour augmentation off.",
        watch_for="Faster early validation; families that swap or change colours; no gain if it is switched off at "
        "evaluation.",
        lines=color_canonicalisation,
    ),
    Experiment(
        name="EXP-02",
        title="Weight averaging over a cyclic tail",
        hypothesis="Averaging the low points of a cyclic learning rate finds wider minima at little cost.",
        setup="From half of the run, triangular rate with a period of 4 % of the run; replaces decay and EMA.",
        watch_for="Smoother validation, new bests in the tail, lower sharpness, better calibration.",
        lines=swa_tail,
    ),
    Experiment(
        name="EXP-03",
        title="Stochastic depth of the high level",
        hypothesis="Dropping high-level layers at random keeps them from relying on each other.",
        setup="Drop probability 0 to 0.2, linear by depth; the low level is unchanged.",
        watch_for="Slightly slower training, better held-out scores; earlier halts on easy tasks.",
        lines=drop_path,
    ),
    Experiment(
        name="EXP-04",
        title="Noise on the gradient",
        hypothesis="Small, decaying noise helps a small batch out of local minima.",
        setup="Standard deviation 1e-3 falling to 1e-5 by a cosine over the run, after the clip.",
        watch_for="Loss spikes and clip events; a worse loss early, a better validation late.",
        lines=gradient_noise,
    ),
    Experiment(
        name="EXP-05",
        title="Decisive halting",
        hypothesis="Charging indecision late in thinking frees segments for the hard tasks.",
        setup="Entropy of halting, weight 1e-3, in segments after the fourth.",
        watch_for="Halting moves earlier on easy families; calibration, which this can hurt.",
        lines=halting_entropy,
    ),
    Experiment(
        name="EXP-06",
        title="Object graphs as a second view",
        hypothesis="Seeing a fifth of the samples as objects and their neighbours teaches relations.",
        setup="1 of 5 admissions shows the graph of the input's objects; labels stay.",
        watch_for="Families about counting, symmetry and motion of objects; neutral elsewhere.",
        lines=object_graph,
    ),
    Experiment(
        name="EXP-07",
        title="Small grids first",
        hypothesis="Beginning on small grids learns global rules sooner and overfits less.",
        setup="Three stages at 0.6, 0.8 and 1.0 of the largest canvas, until 29 % and 58 % of the run.",
        watch_for="Steps to the control's best; the share of labels that shrinking destroys, which is printed.",
        lines=curriculum,
    ),
    Experiment(
        name="EXP-08",
        title="A head for rule descriptors",
        hypothesis="Predicting symmetry, translation, changed objects and recolouring points to the right rule.",
        setup="A head of 32 dimensions, weight 0.1, dropped at evaluation; task rows blanked on a fifth.",
        watch_for="The head on held-out pairs against the majority class; composite families.",
        lines=rule_head,
    ),
    Experiment(
        name="EXP-09",
        title="Replay of hard samples",
        hypothesis="A share of recent hard samples keeps the optimizer out of easy basins.",
        setup="A buffer of up to 10,000 samples of the last 24th of the run, 20 % of slot-segments.",
        watch_for="Gains after stalls; overfitting to the buffer.",
        lines=replay,
    ),
    Experiment(
        name="EXP-10",
        title="Lion for the last part",
        hypothesis="Lion's sign updates generalise better than AdamW's at the same compute.",
        setup="AdamW until 40 % of the run, then Lion (0.95, 0.98), same schedule, weight decay 0.01.",
        watch_for="Stability after the change; the last 30 % of the validation curve.",
        lines=lion_late,
    ),
)

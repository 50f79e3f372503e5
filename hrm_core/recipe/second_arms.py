"""Second arms of the plan's experiments: where the literature says that the plan's value cannot work well, the founded
one, and the controls that an experiment needs beside EXP-00.

Recipe room; free of torch. The plan's own value stays the experiment (`plan_experiments.py`); figures and sources are
in each technique's file. A letter says nothing but the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hrm_core.recipe.experiment import Experiment
from hrm_core.recipe.keys import unflatten
from hrm_core.recipe.plan_experiments import color_canonicalisation, curriculum, swa_tail
from hrm_core.recipe.presets import Lines
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.stages import flops_over_largest
from hrm_core.recipe.techniques import CurriculumConfig


def residual_permutation(base: Mapping[str, Any]) -> Lines:
    """EXP-01b: canonical colours, then the control's own colour augmentation over them."""
    return {**color_canonicalisation(base), "input.residual_permutation": True, "augment.color_probability": 0.5}


def without_colors(base: Mapping[str, Any]) -> Lines:
    """EXP-01c: EXP-00 without colour augmentation, as EXP-01 has none."""
    return {"augment.color_probability": 0.0}


def constant_rate(base: Mapping[str, Any]) -> Lines:
    """EXP-02c: what EXP-02 is without its tail."""
    return {"schedule.kind": "constant", "averaging.kind": "none"}


def drop_path_lightly(base: Mapping[str, Any]) -> Lines:
    """EXP-03b."""
    return {"techniques.drop_path.probability": 0.02, "techniques.drop_path.mask": "sample"}


def relative_noise(base: Mapping[str, Any]) -> Lines:
    """EXP-04b."""
    return {"techniques.gradient_noise.kind": "relative"}


def geometric_halting(base: Mapping[str, Any]) -> Lines:
    """EXP-05b: PonderNet's weight is 0.01."""
    return {"techniques.halting_entropy.kind": "geometric", "techniques.halting_entropy.weight": 0.01}


def object_features(base: Mapping[str, Any]) -> Lines:
    """EXP-06b."""
    return {"input.object_features": True}


def curriculum_by_fit(base: Mapping[str, Any]) -> Lines:
    """EXP-07b: the control's canvases, small tasks first."""
    return {"techniques.curriculum.kind": "fit"}


def one_canvas_equal_compute(base: Mapping[str, Any]) -> Lines:
    """EXP-07c: the largest canvas throughout, for as many token-FLOPs as EXP-07 is planned to take.

    So the run has fewer steps; a length given as time stays what it is.
    """
    lines: Lines = {"data.canvases": curriculum(base)["data.canvases"]}
    length = base["training.max_steps"]
    if isinstance(length, int):
        try:
            recipe = Recipe.model_validate(unflatten({**base, **lines}))
        except ValidationError:
            return lines  # said where the recipe itself is made
        stages = CurriculumConfig()
        ends = tuple(float(end) for end in stages.ends)
        lines["training.max_steps"] = max(1, round(length * flops_over_largest(recipe, stages.scales, ends)))
    return lines


def importance(base: Mapping[str, Any]) -> Lines:
    """EXP-09b."""
    return {"techniques.replay.importance": True}


def lion_scaled(base: Mapping[str, Any]) -> Lines:
    """EXP-10b: a fifth of the rate and five times AdamW's decay, as Lion's authors advise."""
    return {"techniques.lion_swap.lr_factor": 0.2, "techniques.lion_swap.weight_decay": 0.5}


def muon(base: Mapping[str, Any]) -> Lines:
    """EXP-10c."""
    return {"optimizer.kind": "muon"}


def swa_instead(base: Mapping[str, Any]) -> Lines:
    """EXP-10d: the plan's fallback, from where the swap would have been."""
    return {**swa_tail(base), "techniques.swa_tail.start": 0.4}


def _arm(name: str, title: str, hypothesis: str, setup: str, watch_for: str, lines: Any) -> Experiment:
    return Experiment(name=name, title=title, hypothesis=hypothesis, setup=setup, watch_for=watch_for, lines=lines)


SECOND_ARMS = (
    _arm(
        "EXP-01b",
        "Canonical colours, then permuted",
        "A canonical order and the variety of permutations may both help.",
        "EXP-01 with the control's colour augmentation over the canonical colours.",
        "Against EXP-01 at equal segments and equal votes.",
        residual_permutation,
    ),
    _arm(
        "EXP-01c",
        "The control without colour augmentation",
        "None: EXP-01 has no colour augmentation, so half of its effect may be this.",
        "EXP-00 with augment.color_probability=0.",
        "How much of EXP-01 is owed to the missing augmentation.",
        without_colors,
    ),
    _arm(
        "EXP-02c",
        "Constant rate, raw weights",
        "None: what EXP-02 would be without its tail.",
        "EXP-00 without decay and averaging, on the same canvases.",
        "Any averaging should beat this; EXP-02 has to beat EXP-00.",
        constant_rate,
    ),
    _arm(
        "EXP-03b",
        "Stochastic depth, lightly",
        "Reported gains on ARC come with rates of 0.02 to 0.03 and one mask for a whole sample.",
        "Drop probability 0 to 0.02, one draw for all segments of a sample.",
        "As EXP-03, without its slower training.",
        drop_path_lightly,
    ),
    _arm(
        "EXP-04b",
        "Noise relative to the gradient",
        "The plan's 1e-3 is several times the gradient's own size a coordinate; noise should be a part of it.",
        "A tenth of the gradient's rms, falling with the steps to the power of 0.275.",
        "As EXP-04, without swamping the signal.",
        relative_noise,
    ),
    _arm(
        "EXP-05b",
        "Halting towards a geometric distribution",
        "PonderNet's divergence prefers early halts without pushing every doubt to one side.",
        "KL of the halting distribution to a geometric one, weight 0.01.",
        "Halting histogram and calibration against EXP-05.",
        geometric_halting,
    ),
    _arm(
        "EXP-06b",
        "Object features on every cell",
        "A grid replaced by objects loses their shapes; features added to its cells lose nothing.",
        "Colour, size, box and place of a cell's object added to its token, at evaluation too.",
        "The same with objects shuffled: hrm eval RUN --ablate object_features.",
        object_features,
    ),
    _arm(
        "EXP-07b",
        "Small tasks first",
        "Shrunk grids are wrong rules; tasks that are small by themselves are not.",
        "Stages of the tasks that fit 0.6, 0.8 and 1.0 of the largest canvas, until 29 % and 58 % of the run.",
        "Large tasks get fewer visits: look at the scores by size.",
        curriculum_by_fit,
    ),
    _arm(
        "EXP-07c",
        "One canvas throughout, at equal compute",
        "None: the plan's own control of the curriculum.",
        "EXP-00 on the largest canvas, max_steps cut to EXP-07's planned token-FLOPs; a max_steps of your own is kept.",
        "EXP-07 against this: the same compute, fewer steps, no shrunk grids.",
        one_canvas_equal_compute,
    ),
    _arm(
        "EXP-09b",
        "Replay with importance weights",
        "Replaying hard samples changes what is minimised; weights undo that (prioritized experience replay).",
        "Priorities to the power of 0.6, weights to the power of 0.4 growing to 1.",
        "As EXP-09, with less overfitting to the buffer.",
        importance,
    ),
    _arm(
        "EXP-10b",
        "Lion at its own scale",
        "Lion wants a rate several times lower and a decay several times higher than AdamW.",
        "EXP-10 with a fifth of the rate and decay 0.5.",
        "Stability after the change against EXP-10.",
        lion_scaled,
    ),
    _arm(
        "EXP-10c",
        "Muon from the start",
        "Orthogonalised updates of matrices learn faster at small budgets.",
        "Muon on matrices, AdamW on the rest.",
        "Steps to the control's best.",
        muon,
    ),
    _arm(
        "EXP-10d",
        "AdamW kept, averaged tail",
        "The plan's fallback where Lion is unstable.",
        "EXP-02's tail from 40 % of the run.",
        "As EXP-02.",
        swa_instead,
    ),
)

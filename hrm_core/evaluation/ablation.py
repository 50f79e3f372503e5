"""What a model can do without one of its parts: `hrm eval --ablate PART`.

Evaluation room: a loaded model and its recipe -> the same model with a part switched off, and the recipe to evaluate it
with. Nothing is trained again: a part that helped only in training shows no difference. A technique that adds a part to
the model adds a line to `ABLATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch

from hrm_core.errors import UserError
from hrm_core.model.hrm import HRM
from hrm_core.recipe.lay import override_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.techniques.purposes import SHUFFLED_OBJECTS
from triton_kernels.hashing import hash32


@final
@dataclass(frozen=True)
class Ablation:
    """`what`: what is switched off, in words; `apply` changes the model in place and gives the recipe to evaluate with,
    or raises UserError where the model has no such part.
    """

    what: str
    apply: Callable[[HRM, Recipe], Recipe]


def _identity(model: HRM, recipe: Recipe) -> Recipe:
    if recipe.identity.kind == "none":
        raise UserError("--ablate identity: this model has none (identity.kind=none)")
    with torch.no_grad():
        model.rows.table.zero_()
    return _colors(model, recipe) if recipe.identity.kind == "shared" else recipe


def _colors(model: HRM, recipe: Recipe) -> Recipe:
    if recipe.identity.kind != "shared":
        raise UserError(f"--ablate colors: no colour code is told here (identity.kind={recipe.identity.kind})")
    with torch.no_grad():
        model.embeddings.color.zero_()
        model.embeddings.dihedral.zero_()
    return recipe


def _halting(model: HRM, recipe: Recipe) -> Recipe:
    with torch.no_grad():
        model.q_weight.zero_()
        model.q_bias.zero_()
    return override_recipe(recipe, ["evaluation.may_halt=false"])


def _rule_head(model: HRM, recipe: Recipe) -> Recipe:
    if model.rule_head is None:
        raise UserError("--ablate rule_head: this model has none (techniques.rule_head=none)")
    with torch.no_grad():
        for parameter in model.rule_head.parameters():
            parameter.zero_()
    return recipe


def _segments(model: HRM, recipe: Recipe) -> Recipe:
    return override_recipe(recipe, ["halting.max_segments=1"])


def _object_graph(model: HRM, recipe: Recipe) -> Recipe:
    if model.object_graph is None:
        raise UserError("--ablate object_graph: this model has no adapter (techniques.object_graph=none)")
    with torch.no_grad():
        for parameter in model.object_graph.parameters():
            parameter.zero_()
    return recipe


def _object_features(model: HRM, recipe: Recipe) -> Recipe:
    if model.object_features is None:
        raise UserError("--ablate object_features: this model has none (input.object_features=false)")
    place = torch.arange(recipe.evaluation.batch, device=model.device)
    model.object_features.partner = hash32(recipe.training.seed, SHUFFLED_OBJECTS, place)
    return recipe


ABLATIONS: dict[str, Ablation] = {
    "identity": Ablation("all that is told of task and view: its row, the symmetry, the colour code", _identity),
    "colors": Ablation("the symmetry and the colour code of a view; the task's row stays", _colors),
    "halting": Ablation("the halting head: nothing halts, and views vote without a confidence", _halting),
    "rule_head": Ablation("the head for rule descriptors, which no prediction reads: nothing may change", _rule_head),
    "segments": Ablation("all segments after the first", _segments),
    "object_graph": Ablation(
        "the adapter of object graphs; evaluation shows grids, so a difference would be a fault", _object_graph
    ),
    "object_features": Ablation("the cells' own objects: those of another sample are told instead", _object_features),
}


def ablate(parts: Sequence[str], model: HRM, recipe: Recipe) -> Recipe:
    """Switches parts off, in the order given; the recipe to evaluate with. UserError for a part that there is not."""
    for part in parts:
        if part not in ABLATIONS:
            raise UserError(f"--ablate {part[:40]}: no such part; there are {', '.join(ABLATIONS)}")
    for part in parts:
        recipe = ABLATIONS[part].apply(model, recipe)
    return recipe

"""What a recipe costs, by arithmetic: parameters, tokens, FLOPs, memory and time, before anything is run.

Recipe room; free of torch. (recipe, kind of device) -> `Estimate`. FLOPs and parameters are counted from the shapes;
time uses sustained speeds that are guesses until `hrm bench step` has measured them; memory is `memory.py`'s plan
without kernels. Techniques are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from hrm_core.recipe.counts import DeviceKind, feed_forward_width, num_tasks, rows_per_task, training_pairs
from hrm_core.recipe.memory import memory_plan
from hrm_core.recipe.schema import Recipe

_PAIR_CANVAS_SHARE = 265 / 341  # `data.train_canvas=pair`, counted on the default canvases

# Sustained FLOP/s: a 2-core Zen 5 with AVX512-BF16, an 80 W laptop GPU, an H100.
_SUSTAINED = {"cpu": 0.25e12, "laptop": 16e12, "h100": 100e12}


@final
@dataclass(frozen=True)
class Estimate:
    """Counts are exact for ARC-AGI-1; `sustained_flops` and `hours` are guesses. None: not known."""

    device_kind: DeviceKind
    trunk_parameters: int
    row_parameters: int | None
    tokens_per_slot: float
    slots: int
    flops_per_segment: float
    steps: int | None
    sustained_flops: float
    hours: float | None
    memory_gib: float


def layer_parameters(recipe: Recipe) -> int:
    """Parameters of one layer: four attention matrices and three of the feed-forward; nothing has a bias."""
    hidden = recipe.model.hidden
    return 4 * hidden * hidden + 3 * hidden * feed_forward_width(hidden, recipe.model.expansion)


def mean_tokens(recipe: Recipe) -> float:
    """Mean grid tokens of a training pair on the recipe's canvases (prefix tokens not counted)."""
    canvases = recipe.data.canvases
    if len(canvases) == 1:
        return float(canvases[0] ** 2)
    pairs = training_pairs(recipe)
    share = _PAIR_CANVAS_SHARE if recipe.data.train_canvas == "pair" else 1.0
    return share * sum(count * side**2 for side, count in pairs.items()) / max(1, sum(pairs.values()))


def _layer_calls(recipe: Recipe) -> tuple[int, int]:
    """Layer calls of one segment: forward, and those that a gradient passes."""
    model = recipe.model
    forward = model.h_cycles * (model.l_cycles * model.l_layers + model.h_layers)
    low = model.l_layers * (model.l_cycles if model.gradient == "last_recursion" else 1)
    return forward, low + model.h_layers


def flops_per_segment(recipe: Recipe, tokens: float) -> float:
    """FLOPs of one slot's segment with its backward pass, on a canvas of so many tokens in all."""
    per_layer = (2 * layer_parameters(recipe) + 4 * tokens * recipe.model.hidden) * tokens
    forward, with_gradient = _layer_calls(recipe)
    second = forward if recipe.halting.kind == "q_learning" and recipe.halting.bootstrap else 0
    return per_layer * (forward + 2 * with_gradient + second)


def _rows(recipe: Recipe) -> int | None:
    """Parameters of the tasks' identity rows, None where the number of tasks is not known here."""
    tasks = num_tasks(recipe)
    each = rows_per_task(recipe)
    if each and tasks is None:
        return None
    return (tasks or 0) * each * recipe.model.hidden


def estimate(recipe: Recipe, device_kind: DeviceKind) -> Estimate:
    """What a run of this recipe costs on that kind of device."""
    model = recipe.model
    layers = model.h_layers if model.share_levels else model.h_layers + model.l_layers
    trunk = layers * layer_parameters(recipe)
    rows = _rows(recipe)
    tokens = mean_tokens(recipe)
    slots = recipe.training.batch * recipe.training.accumulation
    flops = flops_per_segment(recipe, tokens + recipe.identity.prefix_tokens)
    steps = recipe.training.max_steps if isinstance(recipe.training.max_steps, int) else None
    sustained = _SUSTAINED[device_kind]
    return Estimate(
        device_kind=device_kind,
        trunk_parameters=trunk,
        row_parameters=rows,
        tokens_per_slot=tokens,
        slots=slots,
        flops_per_segment=flops,
        steps=steps,
        sustained_flops=sustained,
        hours=None if steps is None else steps * slots * flops / sustained / 3600,
        memory_gib=memory_plan(recipe, device_kind, kernels=False).peak_gib,
    )

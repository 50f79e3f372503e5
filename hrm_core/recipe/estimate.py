"""What a recipe costs, by arithmetic: parameters, tokens, FLOPs, memory and time, before anything is run.

Recipe room; free of torch. (recipe, kind of device) -> `Estimate`. FLOPs and parameters are counted from the shapes;
time and memory use sustained speeds and bytes that are guesses until `hrm bench step` has measured them. Techniques
are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from hrm_core.recipe.schema import Recipe

DeviceKind = Literal["cpu", "laptop", "h100"]

# Training pairs of ARC-AGI-1 (2,665) by the side of their task's smallest square, from 1: what canvases cost.
_PAIRS_BY_SIDE: tuple[int, ...] = (0, 0, 74, 9, 42, 98, 67, 64, 202, 327, 107, 177, 139, 88, 188)
_PAIRS_BY_SIDE += (135, 100, 89, 141, 86, 49, 34, 35, 49, 44, 49, 49, 37, 49, 137)
_PAIR_CANVAS_SHARE = 265 / 341  # `data.train_canvas=pair`, counted on the default canvases
_TASKS = {"arc1": 800, "arc2": 1120}
_FITS7_TASKS = 60

# Sustained FLOP/s: a 2-core Zen 5 with AVX512-BF16, an 80 W laptop GPU, an H100.
_SUSTAINED = {"cpu": 0.25e12, "laptop": 16e12, "h100": 100e12}
# Bytes that a token keeps for the backward pass of one layer, for each unit of width (12 KB at width 256, bf16).
_BYTES_PER_UNIT = 47
# fp32 weight, gradient, two moments, average.
_BYTES_PER_PARAMETER = 20


@final
@dataclass(frozen=True)
class Estimate:
    """Counts are exact for ARC-AGI-1; `sustained_flops`, `hours` and `memory_gib` are guesses. None: not known."""

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


def feed_forward_width(hidden: int, expansion: float) -> int:
    """Width of SwiGLU: two thirds of hidden x expansion, rounded up to 256, as published."""
    return -(-round(hidden * expansion * 2 / 3) // 256) * 256


def layer_parameters(recipe: Recipe) -> int:
    """Parameters of one layer: four attention matrices and three of the feed-forward; nothing has a bias."""
    hidden = recipe.model.hidden
    return 4 * hidden * hidden + 3 * hidden * feed_forward_width(hidden, recipe.model.expansion)


def mean_tokens(recipe: Recipe) -> float:
    """Mean grid tokens of a training pair on the recipe's canvases (prefix tokens not counted)."""
    canvases = recipe.data.canvases
    if len(canvases) == 1:
        return float(canvases[0] ** 2)
    fitting = [(pairs, side) for side, pairs in enumerate(_PAIRS_BY_SIDE, 1) if side <= canvases[-1]]
    tokens = sum(pairs * min(canvas for canvas in canvases if canvas >= side) ** 2 for pairs, side in fitting)
    share = _PAIR_CANVAS_SHARE if recipe.data.train_canvas == "pair" else 1.0
    return share * tokens / max(1, sum(pairs for pairs, _ in fitting))


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
    if recipe.identity.kind == "none":
        return 0
    tasks = _FITS7_TASKS if recipe.data.subset == "fits7" else _TASKS.get(recipe.data.source)
    if tasks is None:
        return None
    each = recipe.augment.pool if recipe.identity.kind == "per_augmentation" else 1
    return tasks * each * recipe.model.hidden


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
    largest = recipe.data.canvases[-1] ** 2 + recipe.identity.prefix_tokens
    width = 2 if recipe.training.dtype == "fp32" else 1
    activations = recipe.training.batch * largest * _layer_calls(recipe)[1] * model.hidden * _BYTES_PER_UNIT * width
    memory = activations + (trunk + (rows or 0)) * _BYTES_PER_PARAMETER
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
        memory_gib=memory / 2**30,
    )

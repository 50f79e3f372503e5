"""The training step and its memory at the shapes that have targets, against the same step by other means.

Benchmarks room: a CUDA device -> rows for `hrm bench gpu-all`. A step runs with kernels in captured graphs (ours),
with references in captured graphs, with references eagerly, and with `torch.compile` around each level of the model
(attention is then torch's scaled_dot_product_attention). Memory: the peak against what the plan says beforehand.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, final

import torch
from torch import Tensor

from hrm_core.data.dataset import Dataset, load_dataset
from hrm_core.data.prepare import ensure_built
from hrm_core.model import segment
from hrm_core.model.layers import run_level
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.memory import GIB, plan_memory
from hrm_core.recipe.schema import Recipe
from hrm_core.training.memory import setting_for
from hrm_core.training.setup import choose_device
from hrm_core.training.step_benchmark import measure_step, to_json
from triton_kernels.recurrent_attention import reference as attention

# EXP-00 with these lines. The first is one canvas with 16 tokens of prefix: 916 tokens in every sample.
FULL_CANVAS = ("data.canvases=[30]", "identity.prefix_tokens=16", "training.accumulation=1")
SHAPES: dict[str, tuple[str, ...]] = {
    "hrm256-916-noboot-b64": (*FULL_CANVAS, "training.batch=64"),
    "exp00-arc1-s384": ("training.batch=384", "training.accumulation=1"),
}
MEMORY_SHAPES: dict[str, tuple[str, ...]] = {
    "916 tokens, batch 256": (*FULL_CANVAS, "training.batch=256"),
    "EXP-00 as planned, 64 x 5": (),
}
# What the plan's prediction may be off by.
MEMORY_TOLERANCE = 0.10
SECONDS = 1.2

Say = Callable[[str], None]


@final
@dataclass(frozen=True)
class Variant:
    """A way to run the same step."""

    name: str
    overrides: tuple[str, ...]
    compiled: bool = False


OURS_OVERRIDES = ("kernels.mode=force", "training.graph=force")
VARIANTS = (
    Variant("kernels, captured", OURS_OVERRIDES),
    Variant("references, captured", ("kernels.mode=off", "training.graph=force")),
    Variant("references, eager", ("kernels.mode=off", "training.graph=off")),
    Variant("torch.compile and SDPA", ("kernels.mode=off", "training.graph=off"), compiled=True),
)
OURS = VARIANTS[0].name


def shape_recipe(lines: tuple[str, ...], *overrides: str) -> Recipe:
    """EXP-00 with a shape's lines."""
    return build_recipe("EXP-00", [*lines, *overrides]).recipe


# One process measures several variants of a shape.
_loaded: dict[str, Dataset] = {}


def arc1(recipe: Recipe) -> Dataset:
    """The recipe's data, built where it is not there yet, and read once in a process."""
    path = ensure_built(recipe.data.source)
    key = f"{path} {recipe.data!r} {recipe.input!r}"
    if key not in _loaded:
        _loaded[key] = load_dataset(path, recipe.data, input=recipe.input)
    return _loaded[key]


def rotate_in_reals(x_BTHE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """The reference's rotary turn without complex numbers, for which `torch.compile` makes no code."""
    swapped = x_BTHE.reshape(*x_BTHE.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return x_BTHE * cos_TE[:, None] + swapped * sin_TE[:, None]


@contextmanager
def compiled_levels() -> Iterator[None]:
    """`torch.compile` around each call of a level, for each shape by itself, on forms that suit it best."""
    torch.compiler.reset()
    replaced: list[tuple[ModuleType, str, object]] = [
        (segment, "run_level", torch.compile(run_level, dynamic=False)),
        (attention, "rotate", rotate_in_reals),
        (attention, "attention_path", lambda query, needs_grad: "fused"),
    ]
    before = [vars(module)[name] for module, name, _ in replaced]
    try:
        for module, name, value in replaced:
            vars(module)[name] = value
        yield
    finally:
        for (module, name, _), value in zip(replaced, before, strict=True):
            vars(module)[name] = value


def _fresh(device: torch.device) -> None:
    gc.collect()  # what a cycle keeps of the variant before would count in this one's peak
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def measure_variant(
    name: str, variant: Variant, lines: tuple[str, ...], device: torch.device, seconds: float
) -> dict[str, Any]:
    """A row; "problem" says why there is no speed where the step does not run."""
    row: dict[str, Any] = {"shape": name, "variant": variant.name, "problem": None}
    _fresh(device)
    try:
        recipe = shape_recipe(lines, *variant.overrides)
        data = arc1(recipe)
        if variant.compiled:
            with compiled_levels():
                speed = measure_step(name, recipe, data, seconds=seconds)
        else:
            speed = measure_step(name, recipe, data, seconds=seconds)
    except Exception as error:
        row["problem"] = f"{type(error).__name__}: {str(error)[:200]}"
        return row
    return {**to_json(speed), **row}


def measure_steps(
    device: torch.device, say: Say, keep: Callable[[list[dict[str, Any]]], None], seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """All variants of all shapes, `torch.compile` last: it compiles for the longest. `keep` after each row."""
    rows: list[dict[str, Any]] = []
    # A graph for each canvas would be compiled at the second shape: minutes, for a row that has no target.
    plan = [
        (variant, name) for variant in VARIANTS for name in SHAPES if not variant.compiled or name == next(iter(SHAPES))
    ]
    for variant, name in plan:
        row = measure_variant(name, variant, SHAPES[name], device, seconds)
        speed = row["problem"] or f"{row['segments_per_s']:.0f} segments/s, {row['peak_memory_gib']:.2f} GiB"
        say(f"{name}, {variant.name}: {speed}")
        rows.append(row)
        keep(rows)
    return rows


def measure_memory(device: torch.device, say: Say) -> list[dict[str, Any]]:
    """Peak of a few steps against the plan."""
    rows = []
    for name, lines in MEMORY_SHAPES.items():
        row = measure_variant(name, VARIANTS[0], lines, device, 0.1)
        recipe = shape_recipe(lines, *VARIANTS[0].overrides)
        plan = plan_memory(recipe, setting_for(recipe, arc1(recipe), choose_device(recipe.training)))
        # The allocator, which is asked, does not see the context.
        predicted = (plan.peak - plan.parts["CUDA context"]) / GIB
        measured = row.get("peak_memory_gib")
        within = measured is not None and abs(measured / predicted - 1) <= MEMORY_TOLERANCE
        rows.append(
            {"recipe": name, "predicted_gib": predicted, "measured_gib": measured, "within": within, **_why(row)}
        )
        said = f"{measured:.2f} GiB" if measured is not None else row["problem"]
        say(f"{name}: {said}, planned {predicted:.2f} GiB")
    return rows


def _why(row: dict[str, Any]) -> dict[str, Any]:
    return {"problem": row["problem"]}

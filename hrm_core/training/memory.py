"""Holds a run to the memory plan: refuses what will not fit, before anything is allocated.

Training room: Recipe, Dataset, Device, World -> UserError or nothing. On a CPU the copy that a checkpoint under way
makes has to fit beside the step, unless `memory.limit_gib` says what a step may take; on CUDA also the part of the card
that torch's allocator may take, where `memory.limit_gib` is set. The arithmetic is `hrm_core/recipe/memory.py` and
`memory_saving.py`, measuring is `memory_benchmark.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import torch

from hrm_core.data.dataset import Dataset
from hrm_core.errors import UserError
from hrm_core.recipe.memory import CUDA_CONTEXT, GIB, Setting, plan_memory, refusal, size_words
from hrm_core.recipe.memory_saving import saving_bytes
from hrm_core.recipe.schema import Recipe
from hrm_core.runs.world import ALONE, World
from hrm_core.techniques.curriculum import stage_counts
from triton_kernels import runtime

if TYPE_CHECKING:
    from hrm_core.training.setup import Device

# The operations whose kernels decide what a block keeps for its backward.
BLOCK_OPERATIONS = ("recurrent_attention", "residual_norm", "swiglu")


def uses_kernels(recipe: Recipe, device: torch.device) -> bool:
    """Whether all of a block's operations will run as kernels; with one reference the plan is that of references."""
    if device.type != "cuda":
        return False
    probe = torch.empty(0, device=device)
    shape = {"D": recipe.model.hidden, "E": recipe.model.hidden // recipe.model.heads}
    with runtime.mode(recipe.kernels.mode):
        return all(
            runtime.choose(op, probe, {name: shape[name] for name in runtime.OPERATIONS[op]}).kernel
            for op in BLOCK_OPERATIONS
        )


def setting_for(recipe: Recipe, dataset: Dataset, chosen: Device, ranks: int = 1) -> Setting:
    """What the plan is made for: this data set, this device, this dtype, so many ranks."""
    cuda = chosen.device.type == "cuda"
    hopper = cuda and torch.cuda.get_device_capability(chosen.device)[0] >= 9
    return Setting(
        pairs={side: pairs.num_pairs for side, pairs in dataset.train.items() if pairs.num_pairs},
        tasks=len(dataset.tasks.ids),
        device="h100" if hopper else "laptop" if cuda else "cpu",
        kernels=uses_kernels(recipe, chosen.device),
        dtype="fp32" if chosen.dtype == torch.float32 else "bf16",
        ranks=ranks,
    )


def available(device: torch.device) -> tuple[int, str]:
    """Bytes that this process may hope for, and what to call them."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # The context is there already, or it could not have been asked.
        return int(free) + CUDA_CONTEXT, "what is free on this GPU"
    return int(psutil.virtual_memory().total), "this machine's memory"


def enforce(recipe: Recipe, dataset: Dataset, chosen: Device, world: World = ALONE) -> None:
    """UserError where a step of one rank will not fit; caps torch's allocator on CUDA where there is a limit."""
    setting = setting_for(recipe, dataset, chosen, world.size)
    if not setting.pairs:
        return  # nothing to train on, which is told elsewhere
    limit, name = available(chosen.device)
    if chosen.device.type == "cpu" and world.here > 1:
        limit, name = limit // world.here, f"a part of {name} for each of {world.here} ranks"
    configured = recipe.memory.limit_gib
    if configured is not None and configured * GIB <= limit:
        limit, name = int(configured * GIB), "memory.limit_gib"
    if chosen.device.type == "cpu" and name != "memory.limit_gib":
        saving = saving_bytes(recipe, setting)
        limit, name = max(limit - saving, 0), f"{name} less the {size_words(saving)} that a checkpoint copies"
    # The stages of a curriculum deal the same slots to other canvases: the one that takes most has to fit.
    stages = [replace(setting, pairs=pairs) for pairs in stage_counts(recipe, dataset)]
    most = max(stages, key=lambda stage: plan_memory(recipe, stage).peak)
    problem = refusal(recipe, most, limit, name)
    if problem is not None:
        raise UserError(problem, 1)
    if configured is not None and chosen.device.type == "cuda":
        hold(configured, chosen.device)


def hold(limit_gib: float, device: torch.device) -> float:
    """Keeps torch's allocator within the limit on a larger card; returns the part of the card. The context, which the
    allocator does not see, is taken off first."""
    total = torch.cuda.get_device_properties(device).total_memory
    part = min(1.0, max(0.0, (limit_gib * GIB - CUDA_CONTEXT) / total))
    torch.cuda.set_per_process_memory_fraction(part, device)
    return part

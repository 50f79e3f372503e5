"""Bytes that a checkpoint under way holds on the host: copies of everything that it writes, beside the next steps.

Recipe room; free of torch. (recipe, setting) -> bytes. On a CPU they come on top of a step's peak, in the same memory;
on CUDA they are pinned memory of the host, kept for the next checkpoint, and none of the GPU's. Counted from the same
shapes as the plan (`memory.py`); not here: what techniques keep in files of their own, such as a ring for replay.
"""

from __future__ import annotations

from hrm_core.recipe.counts import rows_per_task
from hrm_core.recipe.memory import Setting, whole_run
from hrm_core.recipe.memory_bytes import FP32
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.slots import deal_slots


def saving_bytes(recipe: Recipe, setting: Setting) -> int:
    """Raw weights, evaluation weights, and the state: weights, moments, averages and slots once more."""
    slots = deal_slots(setting.pairs, recipe.training.batch * recipe.training.accumulation)
    held = whole_run(recipe, setting, slots)
    hidden, itemsize = recipe.model.hidden, 2 if setting.dtype == "bf16" else FP32
    rows = (setting.tasks * rows_per_task(recipe) + 1) * hidden * FP32
    model = held["parameters"] + rows
    # Of the slots' memory, gradients of the rows and the tables of the rotary embedding are no state.
    unsaved = sum(slots.values()) * hidden * FP32
    for side in slots:
        unsaved += 2 * (recipe.identity.prefix_tokens + side * side) * hidden // recipe.model.heads * itemsize
    state = ("parameters", "moments", "average", "identity rows", "slots")
    return 2 * model + sum(held[name] for name in state) - unsaved

"""The peak of a step's memory, measured, beside the one that the memory plan predicts.

Training room: recipe, data set, device -> `MeasuredPeak`. On a CPU torch's allocator keeps no statistics, so the
allocations that torch's profiler records are added up; on CUDA the allocator is asked. What Python, the libraries and
the CUDA context take beside tensors is in neither.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, final

import torch
from torch import Tensor
from torch._C._profiler import _EventType

from hrm_core.data.dataset import Dataset
from hrm_core.data.lanes import LanePairs
from hrm_core.recipe.memory import MemoryPlan, plan_memory
from hrm_core.recipe.schema import Recipe
from hrm_core.training.graphs import make_step
from hrm_core.training.memory import setting_for
from hrm_core.training.setup import Device, build_parts


@final
@dataclass(frozen=True)
class MeasuredPeak:
    """predicted: the plan without the context, which no allocator counts; both in bytes."""

    plan: MemoryPlan
    predicted: int
    measured: int

    @property
    def difference(self) -> float:
        """Of the prediction, as a share of what was measured."""
        return self.predicted / self.measured - 1


def pairs_bytes(pairs: LanePairs) -> int:
    """What the tensors of these pairs take."""
    values = [getattr(pairs, item.name) for item in fields(pairs)]
    return sum(value.numel() * value.element_size() for value in values if isinstance(value, Tensor))


def _allocations(events: list[Any]) -> Iterator[tuple[int, int, int]]:
    """(time, address, bytes, negative where freed) of every allocation in a profiler's tree of events."""
    waiting = list(events)
    while waiting:
        event = waiting.pop()
        waiting += event.children
        if event.tag == _EventType.Allocation:
            found = event.extra_fields
            yield event.start_time_ns, found.ptr, found.alloc_size


def highest_total(allocations: list[tuple[int, int, int]]) -> int:
    """Most bytes that were held at once of those that these allocations (time, address, bytes) made."""
    held: dict[int, int] = {}
    total = peak = 0
    for _, address, size in sorted(allocations, key=lambda item: item[0]):
        if size > 0:
            held[address] = size
            total += size
        else:
            total -= held.pop(address, 0)
        peak = max(peak, total)
    return peak


def profiled_peak(work: Callable[[], object]) -> int:
    """Most bytes that `work` held at once on the CPU of those that it allocated, by torch's own count."""
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = work()
    assert profiler.profiler is not None
    assert profiler.profiler.kineto_results is not None
    peak = highest_total(list(_allocations(profiler.profiler.kineto_results.experimental_event_tree())))
    del result
    return peak


def measure_peak(recipe: Recipe, dataset: Dataset, chosen: Device, steps: int = 1) -> MeasuredPeak:
    """Builds the parts, trains `steps` steps, and lays the highest memory beside the plan."""

    def work() -> object:
        parts = build_parts(recipe, dataset, chosen)
        notes: list[str] = []
        step = make_step(parts, notes.append)
        for _ in range(steps):
            step()
        return parts

    plan = plan_memory(recipe, setting_for(recipe, dataset, chosen))
    predicted = plan.peak - plan.parts.get("CUDA context", 0)
    if chosen.device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(chosen.device)
        torch.cuda.reset_peak_memory_stats(chosen.device)
        parts = work()
        torch.cuda.synchronize(chosen.device)
        measured = torch.cuda.max_memory_allocated(chosen.device) - before
        del parts
    else:
        # The data set was there before, and `to` copies nothing on the same device.
        measured = profiled_peak(work) + sum(pairs_bytes(pairs) for pairs in dataset.train.values())
    return MeasuredPeak(plan, predicted, measured)

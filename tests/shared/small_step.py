"""A tiny step on made-up grids, without a data set or a trainer, and a watch on what it asks of the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hrm_core.data.lanes import LanePairs
from hrm_core.learning.averaging import Average
from hrm_core.learning.flat import FlatParameters
from hrm_core.learning.lanes import build_lanes
from hrm_core.learning.optimizers import TrunkOptimizer
from hrm_core.learning.rows import RowsOptimizer
from hrm_core.model.hrm import HRM
from hrm_core.recipe.keys import flatten
from hrm_core.recipe.lay import validate
from hrm_core.recipe.schema import Recipe
from hrm_core.training.step import Scalars, StepParts, Sum

NUM_TASKS = 5


def recipe(**changes: Any) -> Recipe:
    """A tiny recipe; keys with a double underscore for the dot."""
    flat = {
        **flatten(Recipe()),
        "model.hidden": 64,
        "model.heads": 2,
        "model.h_layers": 1,
        "model.l_layers": 1,
        "halting.max_segments": 4,
        "training.batch": 6,
        "training.accumulation": 1,
        "training.dtype": "fp32",
        "data.canvases": (3, 5),
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    return validate(flat)


def lane_pairs(side: int, count: int) -> LanePairs:
    """`count` random pairs of random sizes on a canvas."""
    random = np.random.default_rng(side)
    sizes = torch.from_numpy(random.integers(1, side + 1, (4, count)))
    grids = torch.full((2, count, side, side), 10, dtype=torch.uint8)
    for which in range(2):
        for row in range(count):
            height, width = int(sizes[2 * which, row]), int(sizes[2 * which + 1, row])
            grids[which, row, :height, :width] = torch.from_numpy(
                random.integers(0, 10, (height, width)).astype("uint8")
            )
    numbers = torch.arange(count)
    yes, no = torch.ones(count, dtype=torch.bool), torch.zeros(count, dtype=torch.bool)
    known = torch.full((count,), side)
    return LanePairs(
        side, grids[0], grids[1], numbers % NUM_TASKS, numbers, *sizes, known, numbers * 0, no, yes, numbers
    )


CPU = torch.device("cpu")


def make_parts(chosen: Recipe, device: torch.device = CPU, dtype: torch.dtype = torch.float32) -> StepParts:
    model = HRM(chosen, NUM_TASKS, dtype, device)
    lanes = build_lanes({side: lane_pairs(side, count).to(device) for side, count in ((3, 7), (5, 9))}, chosen, dtype)
    flat = FlatParameters(model)
    scalars = Scalars(device)
    scalars.lr.fill_(1e-3)
    scalars.schedule.fill_(1.0)
    return StepParts(
        chosen,
        model,
        lanes,
        flat,
        TrunkOptimizer(chosen.optimizer, flat),
        RowsOptimizer(chosen.rows, model.rows.table),
        Average(chosen.averaging, flat.values, model.rows.table),
        scalars,
        torch.zeros(len(Sum), dtype=torch.float64, device=device),
        sum(lane.num_slots for lane in lanes),
    )


class NoHost(TorchDispatchMode):
    """Notes every operation that would make the host wait for the device, or whose shape depends on data."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "item", "is_nonzero", "equal")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.count += 1
        if any(name == word or name.startswith((f"{word}_", f"_{word}")) for word in self.FORBIDDEN):
            self.found.append(name)
        if name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1]):
            self.found.append("boolean index")
        return func(*args, **(kwargs or {}))

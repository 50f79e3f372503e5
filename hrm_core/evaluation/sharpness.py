"""How much the loss rises when the weights are disturbed a little: a proxy of how wide the minimum is.

Evaluation room: model and data -> loss on a fixed batch of training pairs as published, as it is and with every weight
tensor moved by a random direction of `radius` times its own norm (layer-relative, as in ASAM, Kwon et al. 2021, since
norms make absolute radii meaningless). Rows of identity (task, dihedral, colour) stay as they are. Draws are hashes, so
the same weights give the same numbers; the carry starts where an evaluation's does; computed in fp32 whatever the run
computes in. The weights are put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from hrm_core.data.dataset import Dataset
from hrm_core.data.derange import fixed_subset
from hrm_core.evaluation.predict import Runner
from hrm_core.evaluation.targets import as_published
from hrm_core.learning.averaging import swapped_in
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import Predictor
from triton_kernels.fused_update import reference as fused_update
from triton_kernels.hashing import hash_int

PURPOSE = 601
# In bf16, and below 0.02, the rise drowns in rounding: of thirteen models of the small preset on an H200 six "fell".
RADII = (0.02, 0.05, 0.1)
NUM_DRAWS = 4
NUM_PAIRS = 64
IDENTITY = ("embeddings.dihedral", "embeddings.color")


def disturbed_parameters(model: HRM) -> dict[str, Tensor]:
    """What is disturbed, by name: all parameters but the rows of identity (task rows are no parameters)."""
    return {name: parameter.data for name, parameter in model.named_parameters() if name not in IDENTITY}


def normal(shape: torch.Size, seed: int, place: int, draw: int) -> Tensor:
    """Standard normal fp32 on the host, from hashes of (seed, tensor, draw, element)."""
    drawn = fused_update.normal(hash_int(seed, PURPOSE, place), torch.tensor(draw), 0, shape.numel())
    return drawn.reshape(shape)


@contextmanager
def disturbed(model: HRM, radius: float, seed: int, draw: int) -> Iterator[None]:
    """The model with every tensor w moved by radius * norm(w) in a random direction; as before afterwards."""
    parameters = list(disturbed_parameters(model).values())
    moved = []
    for place, parameter in enumerate(parameters):
        direction = normal(parameter.shape, seed, place, draw).to(parameter.device)
        moved.append(parameter + direction * (radius * parameter.norm() / direction.norm().clamp(min=1e-12)))
    with swapped_in(parameters, moved):
        yield


@contextmanager
def computing_in(model: HRM, dtype: torch.dtype) -> Iterator[None]:
    """The model computing in another dtype; its parameters are fp32 anyway."""
    before, model.dtype = model.dtype, dtype
    try:
        yield
    finally:
        model.dtype = before


def measure_sharpness(
    model: HRM, dataset: Dataset, batch: int, seed: int = 0, radii: tuple[float, ...] = RADII, draws: int = NUM_DRAWS
) -> dict[str, Any]:
    """`loss` undisturbed; for each radius the mean and largest rise over `draws` directions; what was left out."""
    lanes = fixed_subset(dataset.train, NUM_PAIRS, 0)
    runner = Runner(Predictor(model), model.device, batch, lambda rows: None)

    def loss() -> float:
        total, count = 0.0, 0
        for pairs in lanes.values():
            values = runner.run(pairs, as_published(pairs)).loss
            total, count = total + float(values.sum(dtype="float64")), count + len(values)
        return total / max(count, 1)

    rises: dict[float, list[float]] = {}
    with computing_in(model, torch.float32):
        base = loss()
        for radius in radii:
            for draw in range(draws):
                with disturbed(model, radius, seed, draw):
                    rises.setdefault(radius, []).append(loss() - base)
    return {
        "loss": base,
        "pairs": sum(pairs.num_pairs for pairs in lanes.values()),
        "radii": [
            {"radius": radius, "mean_rise": sum(values) / len(values), "largest_rise": max(values)}
            for radius, values in rises.items()
        ],
        "draws": draws,
        "seed": seed,
        "dtype": "float32",
        "left_out": "rows of identity: task, dihedral, colour",
    }

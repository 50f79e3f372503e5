"""What is measured of `lay`: 64 slots of the 30 x 30 lane, all admitted and one in eight."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.benchmarking import Specimen
from triton_kernels.lay import autograd, reference

SIDE = 30
SLOTS = 64
PAIRS = 4096


def _pairs(device: torch.device) -> list[Tensor]:
    """Puzzles and an admission, from a seed: input, target, sizes, index, dihedral, colors, offset."""
    generator = torch.Generator().manual_seed(0)

    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, generator=generator)

    grids = [draw(10, PAIRS, SIDE, SIDE).to(torch.uint8) for _ in range(2)]
    colors = torch.argsort(torch.rand(SLOTS, 10, generator=generator), dim=1)
    rest = [draw(SIDE, PAIRS, 4) + 1, draw(PAIRS, SLOTS), draw(8, SLOTS), colors, draw(4, SLOTS, 2)]
    return [values.to(device) for values in grids + rest]


def _error(pairs: list[Tensor]) -> float:
    """0.0 where the kernel's integers are those of the reference."""
    actual, expected = torch.cat(autograd.lay(*pairs)).double(), torch.cat(reference.lay(*pairs)).double()
    return float((actual - expected).norm() / expected.norm())


def specimens(device: torch.device, dtype: torch.dtype) -> list[Specimen]:
    """`dtype` changes nothing here: grids are bytes, tokens int32."""
    del dtype
    pairs = _pairs(device)
    launches = runtime.launches(pairs[0])
    rows = [torch.zeros(SLOTS, SIDE * SIDE, dtype=torch.int32, device=device) for _ in range(2)]
    found = []
    for share in (1, 8):
        halted = torch.arange(SLOTS, device=device) % share == 0
        into = (*pairs, halted, *rows)
        peers: dict[str, Callable[[], object]] = {"reference": partial(reference.lay_into, *into)}
        if launches:
            peers["kernel"] = partial(autograd.lay_into, *into)
        if device.type == "cuda":
            peers["compile"] = partial(torch.compile(reference.lay_into), *into)
        cells = 2 * SIDE * SIDE * SLOTS / share
        shape = f"{SLOTS} slots of {SIDE} x {SIDE}, 1 in {share} admitted"
        check = partial(_error, pairs) if launches else None
        found.append(Specimen("lay", shape, "forward", 0.0, cells * 5 + SLOTS, peers, check))
    return found

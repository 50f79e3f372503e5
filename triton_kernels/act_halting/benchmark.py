"""What is measured of the halting head: Q head with gradient, `decide` and the carry reset, for 64 slots (8 on a CPU).

`decide` counts segments up in place, so repeated calls soon have all slots at their limit: the work is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.act_halting import autograd, reference
from triton_kernels.benchmarking import Specimen

TOKENS = 901
HIDDEN = 256
SETTINGS = (1, 0, 64, "halt_only", 0.1, 16)


def _normal(device: torch.device, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))).to(device)


def _peers(name: str, arguments: tuple[object, ...], device: torch.device) -> dict[str, Callable[[], object]]:
    plain = getattr(reference, name)
    operation = autograd.halting_logits_forward if name == "halting_logits" else getattr(autograd, name)
    peers: dict[str, Callable[[], object]] = {"reference": partial(plain, *arguments)}
    if runtime.launches(torch.empty(0, device=device)):
        peers["kernel"] = partial(operation, *arguments)
    if device.type == "cuda":
        peers["compile"] = partial(torch.compile(plain), *arguments)
    return peers


def _relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


def _head_error(head: tuple[Tensor, Tensor, Tensor]) -> float:
    return _relative(autograd.halting_logits_forward(*head), reference.halting_logits(*head))


def _decide_error(head: tuple[Tensor, Tensor, Tensor], slots: Tensor) -> float:
    """Logits, entropies, counters and flags side by side."""
    results = []
    for run in (autograd.decide, reference.decide):
        segment, halted = slots % 16, torch.zeros_like(slots, dtype=torch.bool)
        arguments: tuple[Any, ...] = (*head, segment, slots + 1, slots, halted, ~halted, *SETTINGS)
        logits, entropy = run(*arguments)
        results.append(torch.cat([logits.flatten(), entropy, segment.float(), halted.float()]))
    return _relative(*results)


def _reset_error(high: Tensor, start: Tensor, halted: Tensor) -> float:
    results = []
    for run in (autograd.reset_carry, reference.reset_carry):
        carry = high.clone(), high + 1
        run(*carry, start, start, halted)
        results.append(torch.cat(carry))
    return _relative(*results)


def specimens(device: torch.device, dtype: torch.dtype) -> list[Specimen]:
    """Three operations at the size of a step of the 30 x 30 lane."""
    num_slots = 64 if device.type == "cuda" else 8
    high, weight = _normal(device, num_slots, TOKENS, HIDDEN).to(dtype), _normal(device, 2, HIDDEN)
    bias = torch.zeros(2, device=device)
    slots = torch.arange(num_slots, device=device)
    head = (high[:, 0], weight, bias)
    halted = slots % 8 == 0
    counters = (slots % 16, slots + 1, slots, halted.clone(), torch.ones_like(halted))
    reset = (high, high.clone(), weight[0], weight[1], halted)
    launches = runtime.launches(high)
    checks = (
        partial(_head_error, head),
        partial(_decide_error, head, slots),
        partial(_reset_error, high, weight[0], halted),
    )
    size = high.element_size()
    head_bytes = num_slots * HIDDEN * size + 8.0 * HIDDEN + 8 * num_slots
    reset_bytes = 2.0 * TOKENS * HIDDEN * size * int(halted.sum()) + num_slots
    rows = (
        ("halting_logits", head, f"{num_slots} x {HIDDEN}", 4.0 * num_slots * HIDDEN, head_bytes),
        (
            "decide",
            (*head, *counters, *SETTINGS),
            f"{num_slots} x {HIDDEN}",
            4.0 * num_slots * HIDDEN,
            head_bytes + 38 * num_slots,
        ),
        ("reset_carry", reset, f"{num_slots} x {TOKENS} x {HIDDEN}, 1 in 8 halted", 0.0, reset_bytes),
    )
    return [
        Specimen(
            "act_halting",
            f"{name} {shape}",
            "forward",
            flops,
            moved,
            _peers(name, arguments, device),
            check if launches else None,
        )
        for (name, arguments, shape, flops, moved), check in zip(rows, checks, strict=True)
    ]

"""Counter-based random numbers: a draw is a hash of what it is for, so no generator state exists to be lost or shared.

Integers and int64 tensors (any broadcastable shapes) -> int64 tensor in [0, 2**32). The mixer is the 32-bit
xorshift-multiply finaliser with the constants found by C. Wellons' search ("hash-prospector", `lowbias32`).
Integer arithmetic only, hence the same bits on every device, thread count and version. Not cryptographic.
"""

from __future__ import annotations

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
GOLDEN = 0x9E3779B9


def mix32(value: Tensor) -> Tensor:
    """Bijection of 32-bit words held in int64 tensors; int64 products wrap, and the mask keeps their low word exact."""
    value = value & MASK
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & MASK
    value = ((value ^ (value >> 15)) * 0x846CA68B) & MASK
    return value ^ (value >> 16)


def _mix_int(value: int) -> int:
    value &= MASK
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & MASK
    value = ((value ^ (value >> 15)) * 0x846CA68B) & MASK
    return value ^ (value >> 16)


def hash32(seed: int, *parts: int | Tensor) -> Tensor:
    """Hash of (seed, *parts) as an int64 tensor in [0, 2**32), of the parts' broadcast shape (0-d if all are ints).

    Leading ints are folded on the host; int64 tensors stay on their device. Order matters: hash32(s, 1, 2) differs
    from hash32(s, 2, 1).
    """
    state: int | Tensor = _mix_int(seed + GOLDEN)
    for part in parts:
        if isinstance(state, int) and isinstance(part, int):
            state = _mix_int(state * 31 + part + GOLDEN)
        else:
            state = mix32(torch.as_tensor(state * 31 + part + GOLDEN))
    return torch.tensor(state, dtype=torch.int64) if isinstance(state, int) else state


def hash_int(seed: int, *parts: int) -> int:
    """`hash32` of integers alone as an integer, without a tensor: what a kernel is given to go on from."""
    state = _mix_int(seed + GOLDEN)
    for part in parts:
        state = _mix_int(state * 31 + part + GOLDEN)
    return state


def uniform(word: Tensor) -> Tensor:
    """32-bit words -> fp32 in [0, 1): the top 24 bits, so that 1.0 is never reached."""
    return (word >> 8).to(torch.float32) * (1.0 / (1 << 24))

"""Gaussian noise on the states that a slot carries from one segment to the next; none on those it starts with.

Techniques room; point `carry`. Each token of z_H and z_L gets N(0, (scale |z| / sqrt(D))^2) a channel, so that the
noise has `scale` of the state's norm. Reported to help recurrent reasoners at 0.003 to 0.005; a relative of EXP-04
that leaves the gradient alone.

A draw for each of S x T x D numbers would be hashed in int64, several times over. Instead a pool of a million normal
draws is made once, and every token reads D of them in a row from a place hashed from (lane, entry, segment, token,
level), as evolution strategies do with their parameters' noise (Salimans et al. 2017, arXiv 1703.03864, sec. 2.1): one
hash a token in place of D. Two tokens share draws with a chance of about 2 D / 2^20, and never the same channels at the
same place unless their hashes agree. In bf16 the sum is rounded: where a state is larger than 1, scale 0.003 is less
than its last bit, and most of the noise is whether that bit changes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hrm_core.learning.lanes import LaneState
from hrm_core.model.segment import Carry
from hrm_core.recipe.techniques import StateNoiseConfig
from hrm_core.techniques.points import Bench, Plug
from hrm_core.techniques.purposes import STATE_NOISE
from triton_kernels.fused_update.reference import normal
from triton_kernels.hashing import hash32, hash_int

POOL = 1 << 20


def noise_pool(seed: int, hidden: int, device: torch.device) -> Tensor:
    """(2^20, hidden) overlapping windows of 2^20 + hidden - 1 draws of N(0, 1), fp32. Drawn on the CPU: one pool."""
    drawn = normal(hash_int(seed, STATE_NOISE), torch.zeros(()), 0, POOL + hidden - 1).to(device)
    return drawn.as_strided((POOL, hidden), (1, 1))


def add_noise(state_BTD: Tensor, normal_BTD: Tensor, scale_B11: Tensor) -> Tensor:
    """The state with noise of `scale` times each token's norm."""
    norm = torch.linalg.vector_norm(state_BTD, dim=-1, keepdim=True, dtype=torch.float32)
    deviation: Tensor = scale_B11 * norm / math.sqrt(state_BTD.shape[-1])
    return state_BTD + (normal_BTD * deviation).to(state_BTD.dtype)


def state_noise(config: StateNoiseConfig, bench: Bench) -> Plug:
    """Noise on both levels. The lane's buffers stay as they are: what is changed is what the segment begins with."""
    seed, device = bench.recipe.training.seed, bench.model.device
    pool = noise_pool(seed, bench.recipe.model.hidden, device)

    def carry(lane: LaneState, piece: slice, states: Carry) -> Carry:
        segment = lane["segment"][piece]
        scale = config.scale * (segment > 0)[:, None, None]
        tokens = torch.arange(states.high.shape[1], device=device)
        draw = hash32(seed, STATE_NOISE, lane.number, lane.entry(piece), segment)[:, None]
        places = (hash32(0, draw, tokens, level) % POOL for level in (0, 1))
        return Carry(*(add_noise(state, pool[place], scale) for state, place in zip(states, places, strict=True)))

    return Plug("state_noise", carry=carry)

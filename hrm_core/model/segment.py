"""One reasoning segment: H_cycles x L_cycles updates of the two levels, of which only the last carry gradient.

Model room: Carry (high, low), each (B, T, D), and the embedded input (B, T, D) -> the next Carry, connected to the
graph. z_L <- L(z_L, z_H + x), z_H <- H(z_H, z_L) (Wang et al. 2025, arXiv 2506.21734, sec. 2). `one_step` records
the last L and the last H update (their sec. 2, "Approximate gradient"); `last_recursion` records the whole last
H cycle (TRM, Jolicoeur-Martineau 2025, arXiv 2510.04871, sec. 4). Halting, heads and losses are not here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hrm_core.model.layers import BlockWeights, run_level
from hrm_core.recipe.model import ModelConfig


class Carry(NamedTuple):
    """State of the two levels between segments, (B, T, D) each, in the compute dtype."""

    high: Tensor
    low: Tensor


class Regularisation(NamedTuple):
    """What training may do to one segment of B slots; None: nothing. At evaluation there is none.

    high_scales (calls, layers, B): factor of both branches of each of the last `layers` high layers, 0 where it is
    dropped, in each call of the high level, or in all of them where there is one call's worth (stochastic depth, Huang
    et al. 2016, arXiv 1603.09382). dropout (B, 1, D): factor of what one level tells the other, the same in every call
    (variational dropout, Gal & Ghahramani 2016, arXiv 1512.05287).
    """

    high_scales: Tensor | None = None
    dropout: Tensor | None = None

    def over(self, other: Regularisation | None) -> Regularisation:
        """Its own masks, and the other's where it has none."""
        if other is None:
            return self
        return Regularisation(
            other.high_scales if self.high_scales is None else self.high_scales,
            other.dropout if self.dropout is None else self.dropout,
        )


class TrunkWeights(NamedTuple):
    """Weights in the compute dtype. With shared levels, `high` and `low` are the same blocks."""

    high: tuple[BlockWeights, ...]
    low: tuple[BlockWeights, ...]
    head: Tensor

    def detach(self) -> TrunkWeights:
        """The same values outside the graph, for the updates without gradient."""
        low = tuple(BlockWeights(*(weight.detach() for weight in block)) for block in self.low)
        if self.high is self.low:
            return TrunkWeights(low, low, self.head.detach())
        high = tuple(BlockWeights(*(weight.detach() for weight in block)) for block in self.high)
        return TrunkWeights(high, low, self.head.detach())


def reasoning_segment(
    weights: TrunkWeights,
    carry: Carry,
    embedded_BTD: Tensor,
    rotary: tuple[Tensor, Tensor],
    config: ModelConfig,
    regular: Regularisation | None = None,
) -> Carry:
    """Advances the carry by one segment. Gradients flow as `config.gradient` says, if they are being recorded."""
    inject = config.inject_input
    quiet = weights.detach()
    embedded_quiet = embedded_BTD.detach()
    high, low = carry
    scales, mask = (None, None) if regular is None else regular

    def told(injection: Tensor) -> Tensor:
        return injection if mask is None else injection * mask

    def update_low(trunk: TrunkWeights, low: Tensor, high: Tensor, embedded: Tensor) -> Tensor:
        return run_level(trunk.low, low, (told(high), embedded) if inject else (told(high),), rotary, config.heads)

    def update_high(trunk: TrunkWeights, high: Tensor, low: Tensor, call: int) -> Tensor:
        here = None if scales is None else scales[min(call, len(scales) - 1)]
        return run_level(trunk.high, high, (told(low),), rotary, config.heads, here)

    recorded_low = config.l_cycles if config.gradient == "last_recursion" else 1
    with torch.no_grad():
        for cycle in range(config.h_cycles):
            last = cycle == config.h_cycles - 1
            for _ in range(config.l_cycles - (recorded_low if last else 0)):
                low = update_low(quiet, low, high, embedded_quiet)
            if not last:
                high = update_high(quiet, high, low, cycle)
    for _ in range(recorded_low):
        low = update_low(weights, low, high, embedded_BTD)
    return Carry(update_high(weights, high, low, config.h_cycles - 1), low)

"""Q head on the first prefix token and the halting decision of adaptive computation, in plain torch.

Wang et al. 2025 (arXiv 2506.21734, sec. 2 "Adaptive computational time"): a slot halts when its segment counter
reaches the limit, or when Q says so and an exploration draw does not hold it back. Draws are hashes of what they are
for (seed, lane, entry, segment), redrawn each segment as the published code does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from triton_kernels.hashing import hash32, uniform

PURPOSE_EXPLORE = 201
PURPOSE_MINIMUM = 202


def halting_logits(prefix_BD: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, D), (2, D), (2) -> (B, 2) fp32: q_halt, q_continue."""
    return functional.linear(prefix_BD.float(), weight.float(), bias.float())


def minimum_segments(
    seed: int, lane: int, entry: Tensor, segment: Tensor, exploration: float, max_segments: int
) -> Tensor:
    """Segments that a slot must have had before Q may halt it: 0, or with probability `exploration` 2..max_segments."""
    explore = uniform(hash32(seed, PURPOSE_EXPLORE, lane, entry, segment)) < exploration
    draw = 2 + hash32(seed, PURPOSE_MINIMUM, lane, entry, segment) % max(max_segments - 1, 1)
    return torch.where(explore, draw, 0)


def decide_halt(wants_halt: Tensor, segment: Tensor, minimum: Tensor, max_segments: int) -> Tensor:
    """(B) bool, (B) int64 segments had, (B) int64 -> (B) bool."""
    return (segment >= max_segments) | (wants_halt & (segment >= minimum))

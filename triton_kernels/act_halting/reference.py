"""Q head on the first prefix token and the halting decision of adaptive computation, in plain torch.

Wang et al. 2025 (arXiv 2506.21734, sec. 2 "Adaptive computational time"): a slot halts when its segment counter
reaches the limit, or when Q says so and an exploration draw does not hold it back. Draws are hashes of what they are
for (seed, lane, entry, segment), redrawn each segment as the published code does. `decide` and `reset_carry` change
their arguments in place, as the buffers of a lane are; nothing here is read back by the host.
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


def halting_entropy(halt_logit: Tensor) -> Tensor:
    """Entropy in nats of a coin of probability sigmoid(q): softplus(-|q|) + |q| sigmoid(-|q|); 0 at infinity."""
    size = halt_logit.abs()
    tail = torch.exp(-size)
    return torch.log1p(tail) + torch.where(tail > 0, size * tail / (1 + tail), 0.0)


def decide(
    prefix_BD: Tensor,
    weight: Tensor,
    bias: Tensor,
    segment: Tensor,
    admissions: Tensor,
    slots: Tensor,
    halted: Tensor,
    finite: Tensor,
    seed: int,
    lane: int,
    num_slots_lane: int,
    kind: str,
    exploration: float,
    max_segments: int,
) -> tuple[Tensor, Tensor]:
    """Counts the segment and sets the halt flags, in place; returns (logits (B, 2) fp32, entropy (B) fp32)."""
    logits = halting_logits(prefix_BD, weight, bias)
    wants = (logits[:, 0] - logits[:, 1] if kind == "q_learning" else logits[:, 0]) > 0
    segment.add_(1)
    entry = slots + (admissions - 1) * num_slots_lane
    minimum = minimum_segments(seed, lane, entry, segment, exploration, max_segments)
    halted.copy_(decide_halt(wants, segment, minimum, max_segments) | ~finite)
    return logits, halting_entropy(logits[:, 0])


def reset_carry(high: Tensor, low: Tensor, start_high: Tensor, start_low: Tensor, halted: Tensor) -> None:
    """(S, T, D) twice in place, (D) twice, (S) bool: halted slots become the start vectors at every token."""
    fresh = halted[:, None, None]
    torch.where(fresh, start_high.to(high.dtype), high, out=high)
    torch.where(fresh, start_low.to(low.dtype), low, out=low)

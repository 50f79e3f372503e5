"""The halting head and decision: public functions; reference in plain torch beside it. `lay` has its own folder."""

from __future__ import annotations

from torch import Tensor

from triton_kernels.act_halting import reference

__all__ = ["halt", "halting_logits"]


def halting_logits(prefix_BD: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Q head: prefix token (B, D), weight (2, D), bias (2) -> (q_halt, q_continue) as (B, 2) fp32."""
    if weight.shape != (2, prefix_BD.shape[-1]) or bias.shape != (2,):
        raise ValueError(
            f"halting_logits: prefix {tuple(prefix_BD.shape)}, weight {tuple(weight.shape)}, bias "
            f"{tuple(bias.shape)}; needs (B, D), (2, D), (2)"
        )
    return reference.halting_logits(prefix_BD, weight, bias)


def halt(
    wants_halt: Tensor,
    segment: Tensor,
    entry: Tensor,
    *,
    seed: int,
    lane: int,
    exploration: float,
    max_segments: int,
) -> Tensor:
    """Whether each slot halts after this segment: (B) bool.

    wants_halt (B) bool from the Q head; segment (B) int64, segments had, this one included (1-based); entry (B) int64,
    the slot's entry of its stream. Same arguments, same answer: nothing is drawn from a generator.
    """
    minimum = reference.minimum_segments(seed, lane, entry, segment, exploration, max_segments)
    return reference.decide_halt(wants_halt, segment, minimum, max_segments)

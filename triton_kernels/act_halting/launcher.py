"""Launches the halting kernels: outputs, grid, launch row. Arguments are those of `reference`, already checked."""

from __future__ import annotations

import math
import struct

import torch
from torch import Tensor

from triton_kernels import launch, runtime
from triton_kernels.act_halting.kernel import decide_kernel, halting_logits_kernel, reset_kernel
from triton_kernels.act_halting.reference import PURPOSE_EXPLORE, PURPOSE_MINIMUM
from triton_kernels.hashing import hash_int

OP = "act_halting"


def signed(word: int) -> int:
    """The int32 with a word's 32 bits: an argument is then of one type, whatever its value."""
    return word - (1 << 32) if word >= 1 << 31 else word


def explore_below(exploration: float) -> int:
    """n such that 24 bits, read as the fraction that `uniform` makes of them, are under fp32(exploration) iff < n."""
    single: float = struct.unpack("f", struct.pack("f", exploration))[0]
    return math.ceil(single * (1 << 24))


def halting_logits(prefix: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, D) with rows of stride 1, (2, D) fp32, (2) fp32 -> (B, 2) fp32."""
    num_slots, hidden = prefix.shape
    meta = launch.launch(OP, "halting_logits", runtime.arch_of(prefix.device))
    logits = torch.empty(num_slots, 2, dtype=torch.float32, device=prefix.device)
    grid = (-(-num_slots // meta.blocks["BB"]),)
    halting_logits_kernel[grid](prefix, prefix.stride(0), weight, bias, logits, num_slots, D=hidden, **meta.options())
    return logits


def decide(
    prefix: Tensor,
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
    """As `reference.decide`; segment and halted change in place."""
    num_slots, hidden = prefix.shape
    meta = launch.launch(OP, "decide", runtime.arch_of(prefix.device))
    logits = torch.empty(num_slots, 2, dtype=torch.float32, device=prefix.device)
    entropy = torch.empty(num_slots, dtype=torch.float32, device=prefix.device)
    grid = (-(-num_slots // meta.blocks["BB"]),)
    decide_kernel[grid](
        prefix,
        prefix.stride(0),
        weight,
        bias,
        segment,
        admissions,
        slots,
        halted,
        finite,
        logits,
        entropy,
        num_slots,
        signed(hash_int(seed, PURPOSE_EXPLORE, lane)),
        signed(hash_int(seed, PURPOSE_MINIMUM, lane)),
        num_slots_lane,
        explore_below(exploration),
        max_segments,
        LEARNING=kind == "q_learning",
        D=hidden,
        **meta.options(),
    )
    return logits, entropy


def reset_carry(high: Tensor, low: Tensor, start_high: Tensor, start_low: Tensor, halted: Tensor) -> None:
    """As `reference.reset_carry`; high and low change in place."""
    num_slots, tokens, hidden = high.shape
    meta = launch.launch(OP, "reset", runtime.arch_of(high.device))
    grid = (num_slots, -(-tokens * hidden // meta.blocks["BLOCK"]))
    reset_kernel[grid](high, low, start_high, start_low, halted, tokens * hidden, D=hidden, **meta.options())

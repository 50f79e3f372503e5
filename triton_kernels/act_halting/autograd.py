"""The halting kernels as torch operations: `hrm::halting_logits_forward`, `hrm::decide`, `hrm::reset_carry`.

Where no kernel can be launched (a CPU that does not interpret) they run the reference, so that they compile, trace and
pass `opcheck` anywhere. Only the Q head has a gradient; it keeps the prefix tokens, (B, D), and the weight.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.act_halting import reference


@torch.library.custom_op("hrm::halting_logits_forward", mutates_args=())
def halting_logits_forward(prefix: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, D), (2, D), (2) -> (B, 2) fp32."""
    if not runtime.launches(prefix):
        return reference.halting_logits(prefix, weight, bias)
    from triton_kernels.act_halting import launcher

    return launcher.halting_logits(prefix, weight, bias)


@halting_logits_forward.register_fake
def _(prefix: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return prefix.new_empty(prefix.shape[0], 2, dtype=torch.float32)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    prefix, weight, bias = inputs
    ctx.save_for_backward(prefix, weight)
    ctx.bias_dtype = bias.dtype


def _backward(ctx: Any, d_logits: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    prefix, weight = ctx.saved_tensors
    wants_prefix, wants_weight, wants_bias = ctx.needs_input_grad
    d_prefix = (d_logits @ weight.float()).to(prefix.dtype) if wants_prefix else None
    d_weight = (d_logits.T @ prefix.float()).to(weight.dtype) if wants_weight else None
    d_bias = d_logits.sum(0).to(ctx.bias_dtype) if wants_bias else None
    return d_prefix, d_weight, d_bias


halting_logits_forward.register_autograd(_backward, setup_context=_keep)


@torch.library.custom_op("hrm::decide", mutates_args=("segment", "halted"))
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
    """As `reference.decide`: segment and halted change in place, the result is (logits, entropy)."""
    arguments = (prefix, weight, bias, segment, admissions, slots, halted, finite)
    settings = (seed, lane, num_slots_lane, kind, exploration, max_segments)
    if not runtime.launches(prefix):
        return reference.decide(*arguments, *settings)
    from triton_kernels.act_halting import launcher

    return launcher.decide(*arguments, *settings)


@decide.register_fake
def _(
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
    count = prefix.shape[0]
    return prefix.new_empty(count, 2, dtype=torch.float32), prefix.new_empty(count, dtype=torch.float32)


@torch.library.custom_op("hrm::reset_carry", mutates_args=("high", "low"))
def reset_carry(high: Tensor, low: Tensor, start_high: Tensor, start_low: Tensor, halted: Tensor) -> None:
    """As `reference.reset_carry`: high and low change in place."""
    if not runtime.launches(high):
        reference.reset_carry(high, low, start_high, start_low, halted)
        return
    from triton_kernels.act_halting import launcher

    launcher.reset_carry(high, low, start_high, start_low, halted)


@reset_carry.register_fake
def _(high: Tensor, low: Tensor, start_high: Tensor, start_low: Tensor, halted: Tensor) -> None:
    return None

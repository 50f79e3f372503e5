"""The halting head, the halting decision and the reset of a carry: public functions. `lay` has its own folder.

`halting_logits` has a gradient and goes into the loss; `decide` and `reset_carry` change the buffers of a lane in
place, without gradient. Kernel or reference: `runtime.choose`. None of them reads anything back to the host.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.act_halting import autograd, reference

__all__ = ["decide", "halt", "halting_logits", "reset_carry"]

KINDS = ("halt_only", "q_learning")
FLOATS = (torch.float16, torch.bfloat16, torch.float32)


def halting_logits(prefix_BD: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Q head: prefix token (B, D), weight (2, D), bias (2) -> (q_halt, q_continue) as (B, 2) fp32."""
    _check_head("halting_logits", prefix_BD, weight, bias)
    choice = runtime.choose("act_halting", prefix_BD, {}, _head_problem(prefix_BD, weight, bias))
    if not choice.kernel:
        return reference.halting_logits(prefix_BD, weight, bias)
    logits: Tensor = autograd.halting_logits_forward(_rows(prefix_BD), weight.contiguous(), bias.contiguous())
    return logits


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


@torch.no_grad()
def decide(
    high: Tensor,
    weight: Tensor,
    bias: Tensor,
    segment: Tensor,
    admissions: Tensor,
    slots: Tensor,
    halted: Tensor,
    finite: Tensor,
    *,
    seed: int,
    lane: int,
    num_slots_lane: int,
    kind: str,
    exploration: float,
    max_segments: int,
) -> tuple[Tensor, Tensor]:
    """After a segment: counts it and sets the halt flags, in place; returns (logits (B, 2), entropy (B)), both fp32.

    high: (B, T, D) after the segment, or its first prefix token (B, D); weight (2, D), bias (2); segment (B) int64,
    segments had before this one; admissions (B) int64, samples taken; slots (B) int64, number within the lane;
    halted (B) bool; finite (B) bool, False gives the sample up; kind "halt_only" or "q_learning". Carries no gradient.
    entropy is that of halting at probability sigmoid(q_halt), in nats.
    """
    if high.dim() not in (2, 3) or (high.dim() == 3 and high.shape[1] == 0):
        raise ValueError(f"decide: high {tuple(high.shape)}; needs (B, T, D) with T above 0, or (B, D)")
    prefix = (high if high.dim() == 2 else high[:, 0]).detach()
    _check_head("decide", prefix, weight, bias)
    if kind not in KINDS:
        raise ValueError(f"decide: kind {kind!r}; allowed are {', '.join(KINDS)}")
    counters = {"segment": segment, "admissions": admissions, "slots": slots}
    flags = {"halted": halted, "finite": finite}
    for name, tensor in (counters | flags).items():
        dtype = torch.int64 if name in counters else torch.bool
        _check("decide", name, tensor, (prefix.shape[0],), dtype, prefix.device)
    problem = _head_problem(prefix, weight, bias)
    if not (segment.is_contiguous() and halted.is_contiguous()):
        problem = "segment or halted is not contiguous"
    kernel = runtime.choose("act_halting", prefix, {}, problem).kernel
    if kernel:
        prefix, weight, bias = _rows(prefix), weight.detach().contiguous(), bias.detach().contiguous()
        admissions, slots, finite = admissions.contiguous(), slots.contiguous(), finite.contiguous()
    run = autograd.decide if kernel else reference.decide
    logits, entropy = run(
        prefix,
        weight,
        bias,
        segment,
        admissions,
        slots,
        halted,
        finite,
        seed,
        lane,
        num_slots_lane,
        kind,
        float(exploration),
        max_segments,
    )
    return logits, entropy


@torch.no_grad()
def reset_carry(high: Tensor, low: Tensor, start_high: Tensor, start_low: Tensor, halted: Tensor) -> None:
    """Writes the start vectors (D) over every token of halted slots of high and low (S, T, D), in place.

    halted: (S) bool. Carries no gradient. Other slots are neither read nor written by the kernel.
    """
    if high.dim() != 3 or 0 in high.shape[1:]:
        raise ValueError(f"reset_carry: high {tuple(high.shape)}; needs (S, T, D) with T and D above 0")
    _check("reset_carry", "low", low, tuple(high.shape), high.dtype, high.device)
    for name, start in (("start_high", start_high), ("start_low", start_low)):
        _check("reset_carry", name, start, (high.shape[2],), start.dtype, high.device)
    _check("reset_carry", "halted", halted, (high.shape[0],), torch.bool, high.device)
    problem = None
    if high.shape[0] == 0:
        problem = "no slots"
    elif not (high.is_contiguous() and low.is_contiguous()):
        problem = "high or low is not contiguous"
    elif any(tensor.dtype not in FLOATS for tensor in (high, start_high, start_low)):
        problem = f"{high.dtype} carry, {start_high.dtype} and {start_low.dtype} start"
    if runtime.choose("act_halting", high, {}, problem).kernel:
        starts = (start_high.detach().contiguous(), start_low.detach().contiguous())
        autograd.reset_carry(high, low, *starts, halted.contiguous())
    else:
        reference.reset_carry(high, low, start_high, start_low, halted)


def _rows(prefix: Tensor) -> Tensor:
    return prefix if prefix.stride(1) == 1 else prefix.contiguous()


def _check_head(function: str, prefix: Tensor, weight: Tensor, bias: Tensor) -> None:
    if prefix.dim() != 2 or weight.shape != (2, prefix.shape[-1]) or bias.shape != (2,):
        raise ValueError(
            f"{function}: prefix {tuple(prefix.shape)}, weight {tuple(weight.shape)}, bias "
            f"{tuple(bias.shape)}; needs (B, D), (2, D), (2)"
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor.device != prefix.device:
            raise ValueError(f"{function}: {name} is on {tensor.device}, prefix on {prefix.device}; needs one device")


def _check(
    function: str, name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> None:
    if tensor.shape != shape or tensor.dtype != dtype or tensor.device != device:
        raise ValueError(
            f"{function}: {name} {tuple(tensor.shape)} {tensor.dtype} on {tensor.device}; needs {shape} {dtype} on "
            f"{device}"
        )


def _head_problem(prefix: Tensor, weight: Tensor, bias: Tensor) -> str | None:
    if 0 in prefix.shape:
        return f"nothing in prefix {tuple(prefix.shape)}"
    if prefix.dtype not in FLOATS:
        return f"{prefix.dtype} prefix"
    if weight.dtype != torch.float32 or bias.dtype != torch.float32:
        return f"{weight.dtype} weight, {bias.dtype} bias: fp32 only"
    return None

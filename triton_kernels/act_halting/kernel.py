"""Kernels of the halting head: Q head, halting decision, carry reset. Formulas in the docstrings, no launches.

Wang et al. 2025 (arXiv 2506.21734, sec. 2 "Adaptive computational time"). Programs hold a tile of BB slots and walk
over D in tiles of BD; the reset has a program per slot and BLOCK elements of its carry. Hashing is that of
`triton_kernels.hashing`, in int64 whose low 32 bits are the words: the same bits as the reference.
"""

from __future__ import annotations

import triton
import triton.language as tl

from triton_kernels import hashing

MASK = tl.constexpr(hashing.MASK)
GOLDEN = tl.constexpr(hashing.GOLDEN)


@triton.jit
def mix(word):
    """Bijection of 32-bit words held in int64; products wrap, and the mask keeps their low word exact."""
    word = word & MASK
    word = ((word ^ (word >> 16)) * 0x7FEB352D) & MASK
    word = ((word ^ (word >> 15)) * 0x846CA68B) & MASK
    return word ^ (word >> 16)


@triton.jit
def hash_further(word, part):
    """One more part of a hash: mix(31 word + part + GOLDEN)."""
    return mix(word * 31 + part + GOLDEN)


@triton.jit
def softplus_of_minus(size):
    """log(1 + t) for t = exp(-size), size >= 0, in fp32.

    Rounding 1 + t alone would cost 6e-8 absolutely, more than there is of a sure head's entropy. So 2 atanh(z),
    z = t / (2 + t) <= 1/3, as its odd series to z^15: the first term left out is below 2e-9 of the sum.
    """
    t = tl.exp(-size)
    z = t / (2.0 + t)
    s = z * z
    series = 1.0 + s * (
        1.0 / 3 + s * (1.0 / 5 + s * (1.0 / 7 + s * (1.0 / 9 + s * (1.0 / 11 + s * (1.0 / 13 + s * (1.0 / 15))))))
    )
    return 2.0 * z * series


@triton.jit
def q_head(
    prefix_ptr, prefix_stride, weight_ptr, bias_ptr, o_b, m_b, D: tl.constexpr, BB: tl.constexpr, BD: tl.constexpr
):
    """(q_halt, q_continue), each [BB] fp32, of the prefix tokens of slots o_b: prefix . weight[i] + bias[i]."""
    b_halt = tl.zeros([BB], tl.float32)
    b_continue = tl.zeros([BB], tl.float32)
    for start in range(0, D, BD):
        o_d = start + tl.arange(0, BD)
        m_d = o_d < D
        m_x = m_b[:, None] & m_d[None, :]  # [BB, BD]
        b_x = tl.load(prefix_ptr + o_b[:, None] * prefix_stride + o_d[None, :], mask=m_x, other=0.0).to(tl.float32)
        b_w = tl.load(weight_ptr + o_d, mask=m_d, other=0.0)
        b_v = tl.load(weight_ptr + D + o_d, mask=m_d, other=0.0)
        b_halt += tl.sum(b_x * b_w[None, :], 1)
        b_continue += tl.sum(b_x * b_v[None, :], 1)
    return b_halt + tl.load(bias_ptr), b_continue + tl.load(bias_ptr + 1)


@triton.jit(do_not_specialize=["num_slots", "prefix_stride"])
def halting_logits_kernel(
    prefix_ptr,
    prefix_stride,
    weight_ptr,
    bias_ptr,
    logits_ptr,
    num_slots,
    D: tl.constexpr,
    BB: tl.constexpr,
    BD: tl.constexpr,
):
    """logits[b, i] = sum_d prefix[b, d] weight[i, d] + bias[i]; prefix (B, D) with a row stride, logits (B, 2) fp32.

    Backward, two small matrix products outside: d_prefix = g weight, d_weight = g^T prefix, d_bias = sum_b g.
    """
    o_b = tl.program_id(0).to(tl.int64) * BB + tl.arange(0, BB)
    m_b = o_b < num_slots
    b_halt, b_continue = q_head(prefix_ptr, prefix_stride, weight_ptr, bias_ptr, o_b, m_b, D, BB, BD)
    tl.store(logits_ptr + o_b * 2, b_halt, mask=m_b)
    tl.store(logits_ptr + o_b * 2 + 1, b_continue, mask=m_b)


@triton.jit(
    do_not_specialize=[
        "num_slots",
        "prefix_stride",
        "explore_word",
        "minimum_word",
        "num_slots_lane",
        "explore_below",
        "max_segments",
    ]
)
def decide_kernel(
    prefix_ptr,
    prefix_stride,
    weight_ptr,
    bias_ptr,
    segment_ptr,
    admissions_ptr,
    slots_ptr,
    halted_ptr,
    finite_ptr,
    logits_ptr,
    entropy_ptr,
    num_slots,
    explore_word,
    minimum_word,
    num_slots_lane,
    explore_below,
    max_segments,
    LEARNING: tl.constexpr,
    D: tl.constexpr,
    BB: tl.constexpr,
    BD: tl.constexpr,
):
    """For each slot b of the piece, with q = Q head of its prefix token (no gradient):

    segment += 1; entry = slot + (admissions - 1) num_slots_lane
    minimum = 2 + hash(minimum_word, entry, segment) mod (max_segments - 1)   if the exploration draw holds, else 0
    halted = segment >= max_segments or (wants and segment >= minimum) or not finite
    wants: q_halt > 0, or q_halt - q_continue > 0 where LEARNING; entropy = that of a coin of probability
    sigmoid(q_halt), in nats: log(1 + t) + |q_halt| t / (1 + t) with t = exp(-|q_halt|).

    explore_word, minimum_word: hashes of (seed, purpose, lane), folded on the host, low 32 bits of any integer.
    The exploration draw holds where the top 24 bits of hash(explore_word, entry, segment) are under explore_below.
    """
    o_b = tl.program_id(0).to(tl.int64) * BB + tl.arange(0, BB)
    m_b = o_b < num_slots
    b_halt, b_continue = q_head(prefix_ptr, prefix_stride, weight_ptr, bias_ptr, o_b, m_b, D, BB, BD)
    tl.store(logits_ptr + o_b * 2, b_halt, mask=m_b)
    tl.store(logits_ptr + o_b * 2 + 1, b_continue, mask=m_b)

    size = tl.abs(b_halt)
    t = tl.exp(-size)
    tail = tl.where(t > 0.0, size * t / (1.0 + t), 0.0)  # not infinity times 0; NaN stays one in the first term
    tl.store(entropy_ptr + o_b, softplus_of_minus(size) + tail, mask=m_b)

    segment = tl.load(segment_ptr + o_b, mask=m_b, other=0) + 1
    admissions = tl.load(admissions_ptr + o_b, mask=m_b, other=0)
    entry = tl.load(slots_ptr + o_b, mask=m_b, other=0) + (admissions - 1) * num_slots_lane
    draw = hash_further(hash_further(explore_word, entry), segment)
    explore = (draw >> 8) < explore_below
    word = hash_further(hash_further(minimum_word, entry), segment)
    minimum = tl.where(explore, 2 + word % tl.maximum(max_segments - 1, 1), 0)

    if LEARNING:
        wants = b_halt - b_continue > 0.0
    else:
        wants = b_halt > 0.0
    lost = tl.load(finite_ptr + o_b, mask=m_b, other=1) == 0
    halted = (segment >= max_segments) | (wants & (segment >= minimum)) | lost
    tl.store(segment_ptr + o_b, segment, mask=m_b)
    tl.store(halted_ptr + o_b, halted, mask=m_b)


@triton.jit(do_not_specialize=["size"])
def reset_kernel(
    high_ptr,
    low_ptr,
    start_high_ptr,
    start_low_ptr,
    halted_ptr,
    size,
    D: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """high[s, t] = start_high and low[s, t] = start_low for every token t, where halted[s]; other slots untouched.

    size: elements of a slot's carry, T x D. A program of a slot that goes on reads one byte.
    """
    slot = tl.program_id(0).to(tl.int64)
    if tl.load(halted_ptr + slot) != 0:
        o_e = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        m_e = o_e < size
        o_d = o_e % D
        b_high = tl.load(start_high_ptr + o_d, mask=m_e, other=0.0)
        b_low = tl.load(start_low_ptr + o_d, mask=m_e, other=0.0)
        tl.store(high_ptr + slot * size + o_e, b_high.to(high_ptr.dtype.element_ty), mask=m_e)
        tl.store(low_ptr + slot * size + o_e, b_low.to(low_ptr.dtype.element_ty), mask=m_e)

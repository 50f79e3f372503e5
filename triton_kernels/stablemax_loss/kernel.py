"""Output head, token loss and counts of one sample in one program; a program for the gradient, likewise.

Forward, over tiles of BM tokens: z = hidden head^T in fp32 (never rounded), padded to 16 columns; with top = max z,
    loss of a token = log sum_v r_v + l(top) - l(z[label]),  r_v = exp(l(z_v) - l(top)),
where l(z) = z for softmax and l(z) = log s(z) = sign(z) log(1 + |z|) for stablemax. There r needs no exponential: it is
a quotient of numbers s(z), formed so that no step of it leaves the range of fp32. The sample's loss is the mean over
its counted tokens; argmax is the lowest index of the largest logit.
Backward, again from z (recomputed): p_v = r_v / sum r, and with c = d_loss / count
    d z_v = c (p_v - [v = label]) l'(z_v),  l' = 1 / (1 + |z|) or 1,
    d hidden = d z head,  d head of this sample = sum over its tokens of d z^T hidden.
c multiplies the fp32 results, not d z: d z is what the tensor cores get in hidden's dtype, and c / count would be
subnormal in fp16. A counted label outside 0 .. V - 1 is never used as an index; it makes loss and gradient NaN.
B samples, T tokens, D hidden width (BD: next power of two), V tokens of the vocabulary (16 columns).
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def largest_logit(b_z, o_v, V: tl.constexpr):
    """(BM, 16) logits -> ((BM) the largest, (BM) its lowest index); NaN is taken for the largest, as torch does."""
    b_ranked = tl.where(b_z == b_z, b_z, float("inf"))
    b_ranked = tl.where(o_v[None, :] < V, b_ranked, float("-inf"))
    b_top = tl.max(b_ranked, 1)
    b_guess = tl.min(tl.where(b_ranked == b_top[:, None], o_v[None, :], V), 1)
    return b_top, b_guess


@triton.jit
def relative_scores(b_z, b_top, o_v, V: tl.constexpr, STABLEMAX: tl.constexpr):
    """exp(l(z) - l(top)) of each logit, in [0, 1]; 0 in the columns that pad."""
    b_top = b_top[:, None]
    if STABLEMAX:
        b_size = 1.0 + tl.abs(b_z)  # s(z) = size for z >= 0, 1 / size below
        b_top_size = 1.0 + tl.abs(b_top)
        b_below = tl.where(b_top >= 0.0, 1.0 / b_size / b_top_size, b_top_size / b_size)
        b_relative = tl.where(b_z >= 0.0, b_size / b_top_size, b_below)
    else:
        b_relative = tl.exp2((b_z - b_top) * 1.4426950408889634)
    return tl.where(o_v[None, :] < V, b_relative, 0.0)


@triton.jit
def log_score(b_z, STABLEMAX: tl.constexpr):
    """l(z)."""
    b_score = b_z
    if STABLEMAX:
        b_log = tl.log(1.0 + tl.abs(b_z))
        b_score = tl.where(b_z < 0.0, -b_log, b_log)
    return b_score


@triton.jit
def stablemax_loss_forward_kernel(
    hidden_ptr,
    head_ptr,
    labels_ptr,
    loss_ptr,
    right_ptr,
    count_ptr,
    exact_ptr,
    shape_ptr,
    num_tokens,
    rows_apart,
    D: tl.constexpr,
    V: tl.constexpr,
    BD: tl.constexpr,
    BM: tl.constexpr,
    STABLEMAX: tl.constexpr,
    INCLUDE_PAD: tl.constexpr,
):
    """Program b: hidden (T, D) of sample b, which begins b * rows_apart rows after the first, -> its five results."""
    i_b = tl.program_id(0).to(tl.int64)
    o_d = tl.arange(0, BD)
    o_v = tl.arange(0, 16)
    m_d = o_d < D
    b_head = tl.load(head_ptr + o_v[None, :] * D + o_d[:, None], mask=m_d[:, None] & (o_v < V)[None, :], other=0.0)
    sample_ptr = hidden_ptr + i_b * rows_apart * D
    b_loss = tl.zeros([BM], tl.float32)
    b_right = tl.zeros([BM], tl.int32)
    b_count = tl.zeros([BM], tl.int32)
    b_inside = tl.zeros([BM], tl.int32)
    b_misshapen = tl.zeros([BM], tl.int32)
    for start in range(0, num_tokens, BM):
        o_t = start + tl.arange(0, BM)
        m_t = o_t < num_tokens
        b_x = tl.load(sample_ptr + o_t[:, None] * D + o_d[None, :], mask=m_t[:, None] & m_d[None, :], other=0.0)
        b_label = tl.load(labels_ptr + i_b * num_tokens + o_t, mask=m_t, other=0)
        b_z = tl.dot(b_x, b_head, input_precision="ieee")  # [BM, 16]
        b_top, b_guess = largest_logit(b_z, o_v, V)
        b_sum = tl.sum(relative_scores(b_z, b_top, o_v, V, STABLEMAX), 1)
        b_chosen = tl.sum(tl.where(o_v[None, :] == b_label[:, None], b_z, 0.0), 1)
        b_token = tl.log(b_sum) + log_score(b_top, STABLEMAX) - log_score(b_chosen, STABLEMAX)
        b_token = tl.where((b_label >= 0) & (b_label < V), b_token, float("nan"))
        m_inside = m_t & (b_label != 0)
        m_counted = m_t if INCLUDE_PAD else m_inside
        b_loss += tl.where(m_counted, b_token, 0.0)
        b_right += (m_counted & (b_guess == b_label)).to(tl.int32)
        b_count += m_counted.to(tl.int32)
        b_inside += m_inside.to(tl.int32)
        b_misshapen += (m_inside & ((b_guess >= 2) != (b_label >= 2))).to(tl.int32)
    count = tl.sum(b_count, 0)
    right = tl.sum(b_right, 0)
    tl.store(loss_ptr + i_b, tl.sum(b_loss, 0) / tl.maximum(count, 1).to(tl.float32))
    tl.store(right_ptr + i_b, right.to(tl.int64))
    tl.store(count_ptr + i_b, count.to(tl.int64))
    tl.store(exact_ptr + i_b, (right == count) & (count > 0))
    tl.store(shape_ptr + i_b, (tl.sum(b_misshapen, 0) == 0) & (tl.sum(b_inside, 0) > 0))


@triton.jit
def stablemax_loss_backward_kernel(
    hidden_ptr,
    head_ptr,
    labels_ptr,
    count_ptr,
    d_loss_ptr,
    d_hidden_ptr,
    d_head_ptr,
    num_tokens,
    rows_apart,
    D: tl.constexpr,
    V: tl.constexpr,
    BD: tl.constexpr,
    BM: tl.constexpr,
    STABLEMAX: tl.constexpr,
    INCLUDE_PAD: tl.constexpr,
):
    """Program b: d_loss and count of sample b -> d_hidden (T, D), dense, and its share (V, D) of d_head in fp32."""
    i_b = tl.program_id(0).to(tl.int64)
    o_d = tl.arange(0, BD)
    o_v = tl.arange(0, 16)
    m_d = o_d < D
    m_head = (o_v < V)[:, None] & m_d[None, :]
    b_head = tl.load(head_ptr + o_v[:, None] * D + o_d[None, :], mask=m_head, other=0.0)  # [16, BD]
    sample_ptr = hidden_ptr + i_b * rows_apart * D
    d_sample_ptr = d_hidden_ptr + i_b * num_tokens * D
    count = tl.maximum(tl.load(count_ptr + i_b), 1).to(tl.float32)
    share = tl.load(d_loss_ptr + i_b).to(tl.float32) / count
    b_d_head = tl.zeros([16, BD], tl.float32)
    for start in range(0, num_tokens, BM):
        o_t = start + tl.arange(0, BM)
        m_t = o_t < num_tokens
        m_x = m_t[:, None] & m_d[None, :]
        b_x = tl.load(sample_ptr + o_t[:, None] * D + o_d[None, :], mask=m_x, other=0.0)  # [BM, BD]
        b_label = tl.load(labels_ptr + i_b * num_tokens + o_t, mask=m_t, other=0)
        b_z = tl.dot(b_x, tl.trans(b_head), input_precision="ieee")  # [BM, 16]
        b_top, _ = largest_logit(b_z, o_v, V)
        b_p = relative_scores(b_z, b_top, o_v, V, STABLEMAX)
        b_p = b_p / tl.sum(b_p, 1)[:, None]
        b_d_z = b_p - (o_v[None, :] == b_label[:, None]).to(tl.float32)
        if STABLEMAX:
            b_d_z = b_d_z / (1.0 + tl.abs(b_z))
        b_d_z = tl.where(((b_label >= 0) & (b_label < V))[:, None], b_d_z, float("nan"))
        m_counted = m_t if INCLUDE_PAD else m_t & (b_label != 0)
        b_d_z = tl.where(m_counted[:, None], b_d_z, 0.0).to(b_x.dtype)
        b_d_x = tl.dot(b_d_z, b_head, input_precision="ieee") * share
        tl.store(d_sample_ptr + o_t[:, None] * D + o_d[None, :], b_d_x.to(b_x.dtype), mask=m_x)
        b_d_head = tl.dot(tl.trans(b_d_z), b_x, b_d_head, input_precision="ieee")
    tl.store(d_head_ptr + (i_b * V + o_v[:, None]) * D + o_d[None, :], b_d_head * share, mask=m_head)

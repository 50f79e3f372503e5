"""Flash attention without a causal mask over the packed, already rotated projection: forward, dQ, and dK with dV.

Forward, one program per tile of queries, online softmax over tiles of keys (Dao 2023, arXiv 2307.08691, alg. 1):
    s_ij = q_i . k_j * log2(e) / sqrt(E)       for keys j before the sample's key length
    lse_i = log2 sum_j 2^s_ij                  p_ij = 2^(s_ij - lse_i)           o_i = sum_j p_ij v_j
Backward, P computed again from lse, every sum in one program's registers in a fixed order (no atomics):
    delta_i = sum_e do_ie o_ie                 ds_ij = p_ij (do_i . v_j - delta_i)
    dq_i = sum_j ds_ij k_j / sqrt(E)           dk_j = sum_i ds_ij q_i / sqrt(E)    dv_j = sum_i p_ij do_i
The rotary turn y = R x of q and k is undone as their gradients are stored: dx = R^T dy, R a rotation of each pair.

Layouts: qkv and d_qkv (B, T, 3, H, E), attended and d_attended (B, T, H, E), lse and delta (B, H, T) fp32, cos and sin
(T, E). Offsets to a sample and head are int64; inside a sample int32, which T * 3 * H * E must fit. The rotation of the
forward is in the projection's kernel, not here.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def locate(T, H, TILE: tl.constexpr):
    """(first row of the tile, sample, head) of this program, int32, int64, int64: tiles of one head lie together."""
    program = tl.program_id(0).to(tl.int64)
    tiles = tl.cdiv(T, TILE)
    pair = program // tiles
    return (program % tiles).to(tl.int32) * TILE, pair // H, pair % H


@triton.jit
def keys_of(key_length_ptr, sample, T, HAS_KEY_LENGTH: tl.constexpr):
    """How many keys of the sample are attended: its key length held to 0 ... T, or T."""
    limit = T
    if HAS_KEY_LENGTH:
        limit = tl.minimum(tl.maximum(tl.load(key_length_ptr + sample), 0), T).to(tl.int32)
    return limit


@triton.jit
def load_rows(x_ptr, o_row, row_stride, limit, E: tl.constexpr, MASKED: tl.constexpr):
    """Rows of E contiguous values; with MASKED those at and after `limit` are zero and not read."""
    pointers = x_ptr + o_row[:, None] * row_stride + tl.arange(0, E)[None, :]
    if MASKED:
        return tl.load(pointers, mask=o_row[:, None] < limit, other=0.0)  # [rows, E]
    return tl.load(pointers)  # [rows, E]


@triton.jit
def forward_step(
    b_q,
    b_out,
    b_max,
    b_sum,
    k_ptr,
    v_ptr,
    start,
    limit,
    stride,
    BN: tl.constexpr,
    E: tl.constexpr,
    MASKED: tl.constexpr,
):
    """One tile of keys into the running output, maximum and sum."""
    scale: tl.constexpr = LOG2_E * E**-0.5
    o_n = start + tl.arange(0, BN)
    b_k = load_rows(k_ptr, o_n, stride, limit, E, MASKED)  # [BN, E]
    b_s = tl.dot(b_q, tl.trans(b_k), input_precision="ieee")  # [BM, BN]
    if MASKED:
        b_s = tl.where(o_n[None, :] < limit, b_s, float("-inf"))
    b_new = tl.maximum(b_max, tl.max(b_s, 1) * scale)  # [BM]
    b_p = tl.exp2(b_s * scale - b_new[:, None])
    b_shrink = tl.exp2(b_max - b_new)
    b_v = load_rows(v_ptr, o_n, stride, limit, E, MASKED)  # [BN, E]
    b_out = tl.dot(b_p.to(b_v.dtype), b_v, b_out * b_shrink[:, None], input_precision="ieee")
    return b_out, b_new, b_sum * b_shrink + tl.sum(b_p, 1)


@triton.jit(do_not_specialize=["T"])
def attention_forward_kernel(
    qkv_ptr, key_length_ptr, attended_ptr, lse_ptr, T, H,
    E: tl.constexpr, HAS_KEY_LENGTH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """o = softmax(q k^T / sqrt(E)) v and lse = log2 sum 2^(log2(e) q k^T / sqrt(E)) for BM queries of one head.

    A sample whose key length is 0 attends nothing: output 0, lse -inf.
    """
    start_m, sample, head = locate(T, H, BM)
    limit = keys_of(key_length_ptr, sample, T, HAS_KEY_LENGTH)
    stride = 3 * H * E
    q_ptr = qkv_ptr + sample * T * stride + head * E
    k_ptr, v_ptr = q_ptr + H * E, q_ptr + 2 * H * E
    o_m = start_m + tl.arange(0, BM)
    b_q = load_rows(q_ptr, o_m, stride, T, E, True)  # [BM, E]
    b_max = tl.full([BM], float("-inf"), tl.float32)
    b_sum = tl.zeros([BM], tl.float32)
    b_out = tl.zeros([BM, E], tl.float32)
    # Whole tiles need no mask; what is left of the keys is one tile more. It comes first: after the loop its copy of
    # the step cost 56 registers here (sm_89, E 64, three stages: 224 against 168) and made dK with dV spill.
    whole = limit // BN * BN
    if whole < limit:
        b_out, b_max, b_sum = forward_step(b_q, b_out, b_max, b_sum, k_ptr, v_ptr, whole, limit, stride, BN, E, True)
    for start in range(0, whole, BN):
        b_out, b_max, b_sum = forward_step(b_q, b_out, b_max, b_sum, k_ptr, v_ptr, start, limit, stride, BN, E, False)
    b_sum = tl.where(b_sum == 0.0, 1.0, b_sum)
    b_out = b_out / b_sum[:, None]
    out_ptr = attended_ptr + sample * T * H * E + head * E
    p_out = out_ptr + o_m[:, None] * (H * E) + tl.arange(0, E)[None, :]
    tl.store(p_out, b_out.to(attended_ptr.dtype.element_ty), mask=o_m[:, None] < T)
    tl.store(lse_ptr + (sample * H + head) * T + o_m, b_max + tl.log2(b_sum), mask=o_m < T)


@triton.jit
def turn_back(b_g, cos_ptr, sin_ptr, o_row, T, ROWS: tl.constexpr, E: tl.constexpr):
    """R^T g for each pair (g[2i], g[2i+1]); one value of each table serves both of a pair, the positive sine the odd's.

    The two of a pair lie in one thread's registers in the layout of a matrix product, so nothing is exchanged.
    """
    o_pair = o_row[:, None] * E + 2 * tl.arange(0, E // 2)[None, :]
    m_row = o_row[:, None] < T
    b_cos = tl.load(cos_ptr + o_pair, mask=m_row, other=0.0).to(tl.float32)  # [ROWS, E / 2]
    b_sin = tl.load(sin_ptr + o_pair + 1, mask=m_row, other=0.0).to(tl.float32)
    b_even, b_odd = tl.split(tl.reshape(b_g, [ROWS, E // 2, 2]))
    b_turned = tl.join(b_even * b_cos + b_odd * b_sin, b_odd * b_cos - b_even * b_sin)
    return tl.reshape(b_turned, [ROWS, E])


@triton.jit
def dq_step(
    b_q, b_do, b_lse, b_delta, b_dq, k_ptr, v_ptr, start, limit, stride,
    BN: tl.constexpr, E: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """One tile of keys into the gradient of the queries."""
    scale: tl.constexpr = LOG2_E * E**-0.5
    o_n = start + tl.arange(0, BN)
    b_k = load_rows(k_ptr, o_n, stride, limit, E, MASKED)  # [BN, E]
    b_v = load_rows(v_ptr, o_n, stride, limit, E, MASKED)
    b_s = tl.dot(b_q, tl.trans(b_k), input_precision="ieee")  # [BM, BN]
    if MASKED:
        b_s = tl.where(o_n[None, :] < limit, b_s, float("-inf"))
    b_p = tl.exp2(b_s * scale - b_lse[:, None])
    b_dp = tl.dot(b_do, tl.trans(b_v), input_precision="ieee")  # [BM, BN]
    b_ds = b_p * (b_dp - b_delta[:, None])
    return tl.dot(b_ds.to(b_k.dtype), b_k, b_dq, input_precision="ieee")


@triton.jit(do_not_specialize=["T"])
def attention_dq_kernel(
    d_attended_ptr, qkv_ptr, attended_ptr, lse_ptr, cos_ptr, sin_ptr, key_length_ptr, d_qkv_ptr, delta_ptr, T, H,
    E: tl.constexpr, HAS_KEY_LENGTH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dq_i = R_i^T sum_j ds_ij k_j / sqrt(E) for BM queries of one head; writes delta too, for dK."""
    start_m, sample, head = locate(T, H, BM)
    limit = keys_of(key_length_ptr, sample, T, HAS_KEY_LENGTH)
    stride = 3 * H * E
    q_ptr = qkv_ptr + sample * T * stride + head * E
    k_ptr, v_ptr = q_ptr + H * E, q_ptr + 2 * H * E
    out_offset = sample * T * H * E + head * E
    row_offset = (sample * H + head) * T
    o_m = start_m + tl.arange(0, BM)
    b_do = load_rows(d_attended_ptr + out_offset, o_m, H * E, T, E, True)  # [BM, E]
    b_o = load_rows(attended_ptr + out_offset, o_m, H * E, T, E, True)
    b_delta = tl.sum(b_do.to(tl.float32) * b_o.to(tl.float32), 1)  # [BM]
    tl.store(delta_ptr + row_offset + o_m, b_delta, mask=o_m < T)
    # An infinite lse gives the rows after the last query p = 0.
    b_lse = tl.load(lse_ptr + row_offset + o_m, mask=o_m < T, other=float("inf"))
    b_q = load_rows(q_ptr, o_m, stride, T, E, True)
    b_dq = tl.zeros([BM, E], tl.float32)
    whole = limit // BN * BN
    if whole < limit:
        b_dq = dq_step(b_q, b_do, b_lse, b_delta, b_dq, k_ptr, v_ptr, whole, limit, stride, BN, E, True)
    for start in range(0, whole, BN):
        b_dq = dq_step(b_q, b_do, b_lse, b_delta, b_dq, k_ptr, v_ptr, start, limit, stride, BN, E, False)
    b_dq = turn_back(b_dq * E**-0.5, cos_ptr, sin_ptr, o_m, T, BM, E)
    p_dq = d_qkv_ptr + sample * T * stride + head * E + o_m[:, None] * stride + tl.arange(0, E)[None, :]
    tl.store(p_dq, b_dq.to(d_qkv_ptr.dtype.element_ty), mask=o_m[:, None] < T)


@triton.jit
def dkdv_step(
    b_k, b_v, b_dk, b_dv, q_ptr, do_ptr, lse_ptr, delta_ptr, start, T, stride, do_stride,
    BM: tl.constexpr, E: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """One tile of queries into the gradients of the keys and values; scores are kept transposed, keys in the rows."""
    scale: tl.constexpr = LOG2_E * E**-0.5
    o_m = start + tl.arange(0, BM)
    b_q = load_rows(q_ptr, o_m, stride, T, E, MASKED)  # [BM, E]
    b_do = load_rows(do_ptr, o_m, do_stride, T, E, MASKED)
    if MASKED:
        # An infinite lse gives the rows after the last query p = 0, so the scores need no mask.
        b_lse = tl.load(lse_ptr + o_m, mask=o_m < T, other=float("inf"))
        b_delta = tl.load(delta_ptr + o_m, mask=o_m < T, other=0.0)
    else:
        b_lse = tl.load(lse_ptr + o_m)
        b_delta = tl.load(delta_ptr + o_m)
    b_s = tl.dot(b_k, tl.trans(b_q), input_precision="ieee")  # [BN, BM]
    b_p = tl.exp2(b_s * scale - b_lse[None, :])
    b_dv = tl.dot(b_p.to(b_do.dtype), b_do, b_dv, input_precision="ieee")  # [BN, E]
    b_dp = tl.dot(b_v, tl.trans(b_do), input_precision="ieee")  # [BN, BM]
    b_ds = b_p * (b_dp - b_delta[None, :])
    b_dk = tl.dot(b_ds.to(b_q.dtype), b_q, b_dk, input_precision="ieee")  # [BN, E]
    return b_dk, b_dv


@triton.jit(do_not_specialize=["T"])
def attention_dkdv_kernel(
    d_attended_ptr, qkv_ptr, lse_ptr, delta_ptr, cos_ptr, sin_ptr, key_length_ptr, d_qkv_ptr, T, H,
    E: tl.constexpr, HAS_KEY_LENGTH: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dk_j = R_j^T sum_i ds_ij q_i / sqrt(E) and dv_j = sum_i p_ij do_i for BN keys of one head; 0 at ignored keys."""
    start_n, sample, head = locate(T, H, BN)
    limit = keys_of(key_length_ptr, sample, T, HAS_KEY_LENGTH)
    stride = 3 * H * E
    q_ptr = qkv_ptr + sample * T * stride + head * E
    do_ptr = d_attended_ptr + sample * T * H * E + head * E
    row_offset = (sample * H + head) * T
    o_n = start_n + tl.arange(0, BN)
    # Each key is a row of its own sums: rows after the last key repeat it, stay finite, and are dropped at the end.
    o_key = tl.maximum(tl.minimum(o_n, limit - 1), 0)
    b_k = load_rows(q_ptr + H * E, o_key, stride, T, E, False)  # [BN, E]
    b_v = load_rows(q_ptr + 2 * H * E, o_key, stride, T, E, False)
    b_dk = tl.zeros([BN, E], tl.float32)
    b_dv = tl.zeros([BN, E], tl.float32)
    # A tile of ignored keys only has no queries to look at.
    queries = tl.where(start_n < limit, T, 0)
    whole = queries // BM * BM
    if whole < queries:
        b_dk, b_dv = dkdv_step(
            b_k, b_v, b_dk, b_dv, q_ptr, do_ptr, lse_ptr + row_offset, delta_ptr + row_offset,
            whole, T, stride, H * E, BM, E, True,
        )  # fmt: skip
    for start in range(0, whole, BM):
        b_dk, b_dv = dkdv_step(
            b_k, b_v, b_dk, b_dv, q_ptr, do_ptr, lse_ptr + row_offset, delta_ptr + row_offset,
            start, T, stride, H * E, BM, E, False,
        )  # fmt: skip
    m_key = o_n[:, None] < limit
    m_row = o_n[:, None] < T
    d_ptr = d_qkv_ptr + sample * T * stride + head * E
    p_dv = d_ptr + 2 * H * E + o_n[:, None] * stride + tl.arange(0, E)[None, :]
    tl.store(p_dv, tl.where(m_key, b_dv, 0.0).to(d_qkv_ptr.dtype.element_ty), mask=m_row)
    b_dk = turn_back(b_dk * E**-0.5, cos_ptr, sin_ptr, o_n, T, BN, E)
    p_dk = d_ptr + H * E + o_n[:, None] * stride + tl.arange(0, E)[None, :]
    tl.store(p_dk, tl.where(m_key, b_dk, 0.0).to(d_qkv_ptr.dtype.element_ty), mask=m_row)

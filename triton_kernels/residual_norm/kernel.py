"""Projection + residual + RMSNorm of whole rows in one kernel, and the gradient of the norm.

A row of D = D0 + D1 lives in one program: D0 is a power of two, D1 another or 0 (384 = 256 + 128), because ranges
have lengths that are powers of two, and padding 384 to 512 would be a third more tensor-core work. Zhang & Sennrich
2019 (arXiv 1910.07467). The products of the backward (d_branch, d_weight) need no epilogue: torch does them.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def store_normed(
    b_total,
    b_tail,
    y_ptr,
    rstd_ptr,
    o_row,
    m_row,
    eps,
    D0: tl.constexpr,
    D1: tl.constexpr,
):
    """y = total rstd, rstd = 1 / sqrt(mean(total^2) + eps): all in fp32, y rounded once.

    The pointers are at the first row of the block. b_tail holds columns D0 to D0 + D1; unused where D1 is 0.
    """
    D: tl.constexpr = D0 + D1
    b_square = tl.sum(b_total * b_total, 1)  # [BM]
    if D1 > 0:
        b_square += tl.sum(b_tail * b_tail, 1)
    b_rstd = tl.rsqrt(b_square / D + tl.cast(eps, tl.float32))
    tl.store(rstd_ptr + o_row, b_rstd, mask=m_row)
    o_left = o_row[:, None] * D + tl.arange(0, D0)[None, :]  # [BM, D0]
    tl.store(y_ptr + o_left, (b_total * b_rstd[:, None]).to(y_ptr.dtype.element_ty), mask=m_row[:, None])
    if D1 > 0:
        o_right = o_row[:, None] * D + (D0 + tl.arange(0, D1))[None, :]  # [BM, D1]
        tl.store(y_ptr + o_right, (b_tail * b_rstd[:, None]).to(y_ptr.dtype.element_ty), mask=m_row[:, None])


@triton.jit(do_not_specialize=["num_rows"])
def residual_norm_forward_kernel(
    branch_ptr,
    weight_ptr,
    residual_ptr,
    y_ptr,
    rstd_ptr,
    num_rows,
    eps,
    INNER: tl.constexpr,
    D0: tl.constexpr,
    D1: tl.constexpr,
    BM: tl.constexpr,
    BK: tl.constexpr,
):
    """total = residual + branch W^T; rstd = 1 / sqrt(mean(total^2) + eps); y = total rstd. Grid: (ceil(N / BM),).

    branch (N, INNER), W (D, INNER), residual and y (N, D), rstd (N) fp32. INNER is a multiple of BK. The sum starts
    with the residual: adding it at the end costs 30 registers a thread on sm_90, and spills at D = 512.
    """
    D: tl.constexpr = D0 + D1
    first = tl.program_id(0).to(tl.int64) * BM
    o_row = tl.arange(0, BM)
    m_row = o_row < (num_rows - first).to(tl.int32)
    o_k = tl.arange(0, BK)
    o_left = tl.arange(0, D0)
    residual_ptr += first * D
    branch_ptr += first * INNER
    o_branch = o_row[:, None] * INNER + o_k[None, :]  # [BM, BK]
    o_weight = o_left[None, :] * INNER + o_k[:, None]  # [BK, D0]
    b_sum = tl.load(residual_ptr + o_row[:, None] * D + o_left[None, :], mask=m_row[:, None], other=0.0).to(tl.float32)
    b_tail = b_sum
    if D1 > 0:
        o_right = D0 + tl.arange(0, D1)
        o_weight_tail = o_right[None, :] * INNER + o_k[:, None]  # [BK, D1]
        o_residual = o_row[:, None] * D + o_right[None, :]  # [BM, D1]
        b_tail = tl.load(residual_ptr + o_residual, mask=m_row[:, None], other=0.0).to(tl.float32)
    for k in range(0, INNER, BK):
        b_branch = tl.load(branch_ptr + o_branch + k, mask=m_row[:, None], other=0.0)  # [BM, BK]
        b_sum = tl.dot(b_branch, tl.load(weight_ptr + o_weight + k), b_sum, input_precision="ieee")
        if D1 > 0:
            b_tail = tl.dot(b_branch, tl.load(weight_ptr + o_weight_tail + k), b_tail, input_precision="ieee")
    store_normed(b_sum, b_tail, y_ptr + first * D, rstd_ptr + first, o_row, m_row, eps, D0, D1)


@triton.jit(do_not_specialize=["num_rows"])
def residual_norm_backward_kernel(
    d_y_ptr,
    y_ptr,
    rstd_ptr,
    d_total_ptr,
    num_rows,
    D: tl.constexpr,
    WIDTH: tl.constexpr,
    BM: tl.constexpr,
):
    """d_total = rstd (d_y - y mean(d_y y)): with y = total rstd, total itself is not needed. Grid: (ceil(N / BM),).

    d_residual = d_total, d_branch = d_total W, d_W = d_total^T branch. WIDTH: the power of two at or over D.
    """
    first = tl.program_id(0).to(tl.int64) * BM
    o_row = tl.arange(0, BM)
    m_row = o_row < (num_rows - first).to(tl.int32)
    o_column = tl.arange(0, WIDTH)
    o_all = o_row[:, None] * D + o_column[None, :]  # [BM, WIDTH]
    m_all = m_row[:, None] & (o_column < D)[None, :]
    b_d_y = tl.load(d_y_ptr + first * D + o_all, mask=m_all, other=0.0).to(tl.float32)
    b_y = tl.load(y_ptr + first * D + o_all, mask=m_all, other=0.0).to(tl.float32)
    b_rstd = tl.load(rstd_ptr + first + o_row, mask=m_row, other=0.0)  # [BM]
    b_mean = tl.sum(b_d_y * b_y, 1) / D
    b_d_total = b_rstd[:, None] * (b_d_y - b_y * b_mean[:, None])
    tl.store(d_total_ptr + first * D + o_all, b_d_total.to(d_total_ptr.dtype.element_ty), mask=m_all)

"""The gated MLP's kernels: gate and up with their epilogue, its gradient, and the whole MLP with residual and norm.

Gate rows of the weight come first, then up. sigmoid(x) = 1 / (1 + 2^(-x log2 e)). The down projection with residual
and norm is `residual_norm`'s kernel; products without an epilogue are torch's. Shazeer 2020 (arXiv 2002.05202).
"""

from __future__ import annotations

import triton
import triton.language as tl

from triton_kernels.residual_norm.kernel import store_normed

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)


@triton.jit
def gate_and_up(
    x_ptr,
    weight_ptr,
    o_row,
    m_row,
    o_inner,
    INNER: tl.constexpr,
    D: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """x Wg^T and x Wu^T for BM rows (x_ptr is at the first) and the BN columns o_inner, fp32: two of [BM, BN]."""
    o_k = tl.arange(0, BK)
    o_x = o_row[:, None] * D + o_k[None, :]  # [BM, BK]
    o_weight = o_inner[None, :] * D + o_k[:, None]  # [BK, BN]
    b_gate = tl.zeros([BM, BN], tl.float32)
    b_up = tl.zeros([BM, BN], tl.float32)
    for k in range(0, D, BK):
        b_x = tl.load(x_ptr + o_x + k, mask=m_row[:, None], other=0.0)
        b_gate = tl.dot(b_x, tl.load(weight_ptr + o_weight + k), b_gate, input_precision="ieee")
        b_up = tl.dot(b_x, tl.load(weight_ptr + INNER * D + o_weight + k), b_up, input_precision="ieee")
    return b_gate, b_up


@triton.jit(do_not_specialize=["num_rows"])
def gate_up_forward_kernel(
    x_ptr,
    weight_ptr,
    inner_ptr,
    num_rows,
    INNER: tl.constexpr,
    D: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """inner = silu(x Wg^T) (x Wu^T). x (N, D), W (2 INNER, D), inner (N, INNER). Grid: (ceil(N / BM) INNER / BN,).

    The programs of one block of rows follow each other, so that x comes from the cache; W fits there whole.
    """
    COLUMNS: tl.constexpr = INNER // BN
    program = tl.program_id(0)
    first = (program // COLUMNS).to(tl.int64) * BM
    o_row = tl.arange(0, BM)
    m_row = o_row < (num_rows - first).to(tl.int32)
    o_inner = (program % COLUMNS) * BN + tl.arange(0, BN)
    b_gate, b_up = gate_and_up(x_ptr + first * D, weight_ptr, o_row, m_row, o_inner, INNER, D, BM, BN, BK)
    b_inner = b_gate / (1.0 + tl.exp2(b_gate * -LOG2_E)) * b_up
    o_out = o_row[:, None] * INNER + o_inner[None, :]  # [BM, BN]
    tl.store(inner_ptr + first * INNER + o_out, b_inner.to(inner_ptr.dtype.element_ty), mask=m_row[:, None])


@triton.jit(do_not_specialize=["num_rows"])
def gate_up_backward_kernel(
    x_ptr,
    weight_ptr,
    d_inner_ptr,
    d_gate_up_ptr,
    inner_ptr,
    num_rows,
    INNER: tl.constexpr,
    D: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """Gate, up and inner again, and their gradient; s = sigmoid(gate). Grid as in the forward.

    d_up = d_inner gate s; d_gate = d_inner up (s + gate s (1 - s)); inner = gate s up, as the forward had it.
    d_inner and inner (N, INNER); d_gate_up (N, 2 INNER): d_gate first. The weights' and x's gradients are products of
    these: d_W = d_gate_up^T x, d_x = d_gate_up W + d_total, d_Wd = d_total^T inner.
    """
    COLUMNS: tl.constexpr = INNER // BN
    program = tl.program_id(0)
    first = (program // COLUMNS).to(tl.int64) * BM
    o_row = tl.arange(0, BM)
    m_row = o_row < (num_rows - first).to(tl.int32)
    o_inner = (program % COLUMNS) * BN + tl.arange(0, BN)
    b_gate, b_up = gate_and_up(x_ptr + first * D, weight_ptr, o_row, m_row, o_inner, INNER, D, BM, BN, BK)
    o_out = o_row[:, None] * INNER + o_inner[None, :]  # [BM, BN]
    b_d_inner = tl.load(d_inner_ptr + first * INNER + o_out, mask=m_row[:, None], other=0.0).to(tl.float32)
    b_sigmoid = 1.0 / (1.0 + tl.exp2(b_gate * -LOG2_E))
    b_silu = b_gate * b_sigmoid
    tl.store(inner_ptr + first * INNER + o_out, (b_silu * b_up).to(inner_ptr.dtype.element_ty), mask=m_row[:, None])
    b_d_gate = b_d_inner * b_up * (b_sigmoid + b_silu * (1.0 - b_sigmoid))
    b_d_up = b_d_inner * b_silu
    d_gate_up_ptr += first * (2 * INNER)
    o_gate = o_row[:, None] * (2 * INNER) + o_inner[None, :]
    tl.store(d_gate_up_ptr + o_gate, b_d_gate.to(d_gate_up_ptr.dtype.element_ty), mask=m_row[:, None])
    tl.store(d_gate_up_ptr + o_gate + INNER, b_d_up.to(d_gate_up_ptr.dtype.element_ty), mask=m_row[:, None])


@triton.jit(do_not_specialize=["num_rows"])
def whole_mlp_forward_kernel(
    x_ptr,
    gate_up_ptr,
    down_ptr,
    y_ptr,
    rstd_ptr,
    num_rows,
    eps,
    INNER: tl.constexpr,
    D0: tl.constexpr,
    D1: tl.constexpr,
    BM: tl.constexpr,
    BI: tl.constexpr,
):
    """y = rmsnorm(x + (silu(x Wg^T) (x Wu^T)) Wd^T), rows of D = D0 + D1 in one program. Grid: (ceil(N / BM),).

    The inner width passes by in tiles of BI columns, each rounded to x's dtype as in the two-kernel form, and never
    reaches memory; the weights stream from the cache once a program.
    """
    D: tl.constexpr = D0 + D1
    first = tl.program_id(0).to(tl.int64) * BM
    o_row = tl.arange(0, BM)
    m_row = o_row < (num_rows - first).to(tl.int32)
    o_inner = tl.arange(0, BI)
    o_left = tl.arange(0, D0)
    x_ptr += first * D
    b_x = tl.load(x_ptr + o_row[:, None] * D + o_left[None, :], mask=m_row[:, None], other=0.0)  # [BM, D0]
    b_sum = b_x.to(tl.float32)
    b_tail = b_sum
    if D1 > 0:
        o_right = D0 + tl.arange(0, D1)
        b_x_tail = tl.load(x_ptr + o_row[:, None] * D + o_right[None, :], mask=m_row[:, None], other=0.0)
        b_tail = b_x_tail.to(tl.float32)
    for i in range(0, INNER, BI):
        p_gate = gate_up_ptr + (i + o_inner)[None, :] * D + o_left[:, None]  # [D0, BI]
        b_gate = tl.dot(b_x, tl.load(p_gate), input_precision="ieee")  # [BM, BI]
        b_up = tl.dot(b_x, tl.load(p_gate + INNER * D), input_precision="ieee")
        if D1 > 0:
            p_gate = gate_up_ptr + (i + o_inner)[None, :] * D + o_right[:, None]  # [D1, BI]
            b_gate = tl.dot(b_x_tail, tl.load(p_gate), b_gate, input_precision="ieee")
            b_up = tl.dot(b_x_tail, tl.load(p_gate + INNER * D), b_up, input_precision="ieee")
        b_inner = (b_gate / (1.0 + tl.exp2(b_gate * -LOG2_E)) * b_up).to(b_x.dtype)
        p_down = down_ptr + o_left[None, :] * INNER + (i + o_inner)[:, None]  # [BI, D0]
        b_sum = tl.dot(b_inner, tl.load(p_down), b_sum, input_precision="ieee")
        if D1 > 0:
            p_down = down_ptr + o_right[None, :] * INNER + (i + o_inner)[:, None]  # [BI, D1]
            b_tail = tl.dot(b_inner, tl.load(p_down), b_tail, input_precision="ieee")
    store_normed(b_sum, b_tail, y_ptr + first * D, rstd_ptr + first, o_row, m_row, eps, D0, D1)

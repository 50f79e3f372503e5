"""The kernel of the projection: residual = state + injections; qkv = rotary(residual W^T).

Forward:  r = x + a + b (fp32, rounded to the dtype);  y = r W^T (fp32 accumulators);  for a column pair (2i, 2i + 1) of
q and k at token t, with c = cos(t, i) and s = sin(t, i):  (y', y'') = (c y - s z, s y + c z) where (y, z) is the pair.
Backward: the turn is undone by the attention's own backward (same formula with -s), so that what arrives here is dy:
dr = dy W + (gradient of r);  dx = da = db = dr;  dW = dy^T r.  These are plain matrix products and have no kernel.

Rotary positions of interleaved pairs: Su et al. 2021 (arXiv 2104.09864, eq. 34). The two of a pair are neighbours, so
in the accumulators' layout one thread holds both, and the turn moves nothing between threads.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def turned(
    b_y,
    o_positions,
    first_column,
    cos_ptr,
    sin_ptr,
    E: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
):
    """Turns the column pairs of b_y [BM, BN] fp32, columns from first_column on; o_positions [BM]: each row's token."""
    # The tables hold each angle twice, and sin with signs (-, +): the even cosine and the odd sine are all of it.
    o_even = (first_column + 2 * tl.arange(0, BN // 2)) % E  # [BN / 2]
    o_table = o_positions[:, None] * E + o_even[None, :]  # [BM, BN / 2]
    b_cos = tl.load(cos_ptr + o_table).to(tl.float32)
    b_sin = tl.load(sin_ptr + o_table + 1).to(tl.float32)
    b_left, b_right = tl.split(tl.reshape(b_y, (BM, BN // 2, 2)))  # [BM, BN / 2] each
    b_both = tl.join(b_left * b_cos - b_right * b_sin, b_left * b_sin + b_right * b_cos)
    return tl.reshape(b_both, (BM, BN))


@triton.jit(do_not_specialize=["num_rows", "num_tokens"])
def projection_forward_kernel(
    state_ptr,
    first_ptr,
    second_ptr,
    weight_ptr,
    cos_ptr,
    sin_ptr,
    residual_ptr,
    qkv_ptr,
    num_rows,
    num_tokens,
    INJECTIONS: tl.constexpr,
    D: tl.constexpr,
    E: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """BM rows of x (num_rows, D) times BN rows of W (3 D, D): one tile of qkv (num_rows, 3 D); see the module.

    Row n is token n % num_tokens. INJECTIONS (0, 1, 2) says how many of first and second there are; with none, residual
    is not written. BN divides D, so that a tile is all of q, of k or of v; BK divides D.
    """
    # The tiles of one block of rows are neighbours in launch order: its rows are read from memory once, then from L2.
    num_columns: tl.constexpr = 3 * D // BN
    i_row = tl.program_id(0) // num_columns
    i_column = tl.program_id(0) % num_columns
    o_rows = i_row.to(tl.int64) * BM + tl.arange(0, BM)
    m_rows = o_rows < num_rows
    # Every tile of these rows computes the sum; the first one keeps it.
    m_residual = o_rows < tl.where(i_column == 0, num_rows, 0)
    o_columns = i_column * BN + tl.arange(0, BN)
    b_y = tl.zeros((BM, BN), dtype=tl.float32)
    for start in range(0, D, BK):
        o_inner = start + tl.arange(0, BK)
        o_x = o_rows[:, None] * D + o_inner[None, :]  # [BM, BK]
        b_x = tl.load(state_ptr + o_x, mask=m_rows[:, None], other=0.0)
        if INJECTIONS > 0:
            b_sum = b_x.to(tl.float32) + tl.load(first_ptr + o_x, mask=m_rows[:, None], other=0.0).to(tl.float32)
            if INJECTIONS > 1:
                b_sum += tl.load(second_ptr + o_x, mask=m_rows[:, None], other=0.0).to(tl.float32)
            b_x = b_sum.to(b_x.dtype)
            tl.store(residual_ptr + o_x, b_x, mask=m_residual[:, None])
        b_w = tl.load(weight_ptr + o_columns[:, None] * D + o_inner[None, :])  # [BN, BK]
        b_y = tl.dot(b_x, tl.trans(b_w), b_y, input_precision="ieee")
    if i_column * BN < 2 * D:
        o_positions = o_rows.to(tl.int32) % num_tokens
        b_y = turned(b_y, o_positions, i_column * BN, cos_ptr, sin_ptr, E, BM, BN)
    o_y = o_rows[:, None] * (3 * D) + o_columns[None, :]
    tl.store(qkv_ptr + o_y, b_y.to(qkv_ptr.dtype.element_ty), mask=m_rows[:, None])

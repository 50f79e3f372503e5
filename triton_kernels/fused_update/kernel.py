"""Kernels of the update: norm of the gradients in two steps, the update itself, rows by sign. No atomics anywhere."""

from __future__ import annotations

import triton
import triton.language as tl

from triton_kernels.fused_update.reference import PURPOSE_ANGLE, PURPOSE_RADIUS
from triton_kernels.hashing import GOLDEN as HASH_GOLDEN

ADAM_ATAN2 = tl.constexpr(1)
LION = tl.constexpr(2)
EMA = tl.constexpr(1)
SWA = tl.constexpr(2)
GOLDEN = tl.constexpr(HASH_GOLDEN)
RADIUS = tl.constexpr(PURPOSE_RADIUS)
ANGLE = tl.constexpr(PURPOSE_ANGLE)


@triton.jit
def mix32(word):
    """The mixer of `hashing.py` on uint32, where products wrap by themselves."""
    word = (word ^ (word >> 16)) * 0x7FEB352D
    word = (word ^ (word >> 15)) * 0x846CA68B
    return word ^ (word >> 16)


@triton.jit
def uniform_draw(seed, purpose, step, position):
    """uniform(hash32(seed, purpose, step, position)): fp32 in [0, 1), the reference's bits. All uint32."""
    state = mix32(seed + GOLDEN)
    state = mix32(state * 31 + purpose + GOLDEN)
    state = mix32(state * 31 + step + GOLDEN)
    word = mix32(state * 31 + position + GOLDEN)
    return (word >> 8).to(tl.float32) * (1.0 / 16777216.0)


@triton.jit
def cos_of_turns(turns):
    """cos(2 pi turns) for turns in [0, 1]: exact reduction to an eighth of a turn, then Taylor; the library's cosine
    keeps a table in local memory for large arguments, which do not occur here."""
    quarters = turns * 4.0
    nearest = tl.floor(quarters + 0.5)
    x = (quarters - nearest) * 1.5707963267948966
    z = x * x
    sine = x * (1.0 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880)))))
    cosine = 1.0 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320))))
    quadrant = nearest.to(tl.int32)
    even = (quadrant & 1) == 0
    minus = (quadrant == 1) | (quadrant == 2)
    size = tl.where(even, cosine, sine)
    return tl.where(minus, -size, size)


@triton.jit
def atan2_upper(y, x):
    """atan2(y, x) for x >= 0; 0 where both are 0. t = smaller / larger of |y| and x; above tan(pi / 8) the angle is
    pi / 4 + atan((t - 1) / (t + 1)). Polynomial of our own fit, relative error 6.4e-8 in fp32."""
    size = tl.abs(y)
    steep = size > x
    larger = tl.where(steep, size, x)
    t = tl.div_rn(tl.where(steep, x, size), tl.where(larger > 0.0, larger, 1.0))
    upper = t > 0.4142135623730950
    t = tl.where(upper, tl.div_rn(t - 1.0, t + 1.0), t)
    z = t * t
    q = -0.060834139585494995 * z + 0.10595984756946564
    q = (q * z - 0.14243845641613007) * z + 0.19998489320278168
    angle = t + t * z * (q * z - 0.33333316445350647)
    angle = tl.where(upper, angle + 0.7853981633974483, angle)
    angle = tl.where(steep, 1.5707963267948966 - angle, angle)
    return tl.where(y < 0.0, -angle, angle)


@triton.jit
def one_minus_power(log_base, exponent):
    """1 - exp(log_base * exponent) for arguments <= 0, by a series where the difference would cancel."""
    x = log_base * exponent
    near = tl.maximum(x, -0.7)
    series = 1.0 + near * 0.1
    for back in tl.static_range(8):
        series = 1.0 + near * (1.0 / (9 - back)) * series
    return tl.where(x > -0.7, -near * series, 1.0 - tl.exp(x))


@triton.jit
def lerp(start, end, weight):
    """start + weight (end - start), exact at weight 0 and 1."""
    difference = end - start
    return tl.where(weight < 0.5, start + weight * difference, end - difference * (1.0 - weight))


@triton.jit
def norm_kernel(g_ptr, partial_ptr, n, REPEAT: tl.constexpr, BLOCK: tl.constexpr):
    """partial[p] = sum of g_i^2 over the p-th REPEAT * BLOCK numbers, fp32."""
    start = tl.program_id(0).to(tl.int64) * (REPEAT * BLOCK)
    b_sum = tl.zeros([BLOCK], dtype=tl.float32)  # [BLOCK]
    for turn in tl.static_range(REPEAT):
        o_g = start + turn * BLOCK + tl.arange(0, BLOCK)
        b_g = tl.load(g_ptr + o_g, mask=o_g < n, other=0.0)
        b_sum += b_g * b_g
    tl.store(partial_ptr + tl.program_id(0), tl.sum(b_sum, axis=0))


@triton.jit
def finish_kernel(partial_ptr, out_ptr, num_partials, clip, CLIP: tl.constexpr, BLOCK: tl.constexpr):
    """One program. out = [norm, keep, scale]: norm = sqrt(sum of partials in a fixed order), keep = norm is finite,
    scale = min(1, clip / (norm + 1e-6)) * keep, or keep where there is no clip."""
    b_sum = tl.zeros([BLOCK], dtype=tl.float32)  # [BLOCK]
    for start in range(0, num_partials, BLOCK):
        o_p = start + tl.arange(0, BLOCK)
        b_sum += tl.load(partial_ptr + o_p, mask=o_p < num_partials, other=0.0)
    norm = tl.sqrt_rn(tl.sum(b_sum, axis=0))
    finite = norm < float("inf")  # false for NaN too
    keep = tl.where(finite, 1.0, 0.0)
    scale = keep
    if CLIP:
        factor = tl.div_rn(tl.cast(clip, tl.float32), tl.where(finite, norm, 0.0) + 1e-6)
        scale = tl.minimum(factor, 1.0) * keep
    tl.store(out_ptr, norm)
    tl.store(out_ptr + 1, keep)
    tl.store(out_ptr + 2, scale)


@triton.jit
def average_weight(count_ptr, decay_ptr, taken_ptr, AVERAGE: tl.constexpr):
    """Weight of the present values: EMA 1 - min(decay, (1 + count) / (10 + count)), SWA 1 / count; times taken."""
    count = tl.load(count_ptr)
    if AVERAGE == EMA:
        decay = tl.minimum(tl.div_rn(1.0 + count, 10.0 + count), tl.load(decay_ptr))
        weight = 1.0 - decay
    else:
        weight = tl.div_rn(1.0, tl.maximum(count, 1.0))
    return weight * tl.load(taken_ptr)


@triton.jit(do_not_specialize=["seed"])
def update_kernel(
    values_ptr,
    gradients_ptr,
    first_ptr,
    second_ptr,
    average_ptr,
    copy_ptr,
    lr_ptr,
    keep_ptr,
    scale_ptr,
    count_ptr,
    sigma_ptr,
    average_count_ptr,
    decay_ptr,
    taken_ptr,
    n,
    seed,
    rest1,
    rest2,
    log_beta1,
    log_beta2,
    weight_decay,
    KIND: tl.constexpr,
    NOISE: tl.constexpr,
    AVERAGE: tl.constexpr,
    COPY: tl.constexpr,
    CLEAR: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One step for BLOCK positions; rest_k = 1 - beta_k, r = lr keep, t = count, no store but the last two at keep 0:

    g <- scale g (+ sigma z)
    AdamW, Adam-atan2: m <- m + rest1 (g - m);  v <- v + rest2 (g^2 - v);  a = m / (1 - beta1^t);
                       d = sqrt(v / (1 - beta2^t));  u = a / (d + 1e-8)  or  atan2(a, d)
    Lion:              u = sign(m + rest1 (g - m));  m <- m + rest2 (g - m)
    w <- w (1 - r weight_decay) - r u;  average <- average + weight (w - average);  copy <- w;  gradient <- 0
    """
    o_n = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    m_n = o_n < n
    keep = tl.load(keep_ptr)
    m_keep = o_n < tl.where(keep > 0.0, n, 0)  # as a bound: the interpreter cannot join a mask and a scalar
    rate = tl.load(lr_ptr) * keep
    count = tl.load(count_ptr)
    b_w = tl.load(values_ptr + o_n, mask=m_n, other=0.0)  # [BLOCK]
    b_g = tl.load(gradients_ptr + o_n, mask=m_keep, other=0.0) * tl.load(scale_ptr)
    b_g = tl.where(tl.abs(b_g) < float("inf"), b_g, 0.0)  # false for NaN too
    b_m = tl.load(first_ptr + o_n, mask=m_n, other=0.0)
    if NOISE:
        position = o_n.to(tl.uint32)
        step = count.to(tl.int32).to(tl.uint32)
        radius = uniform_draw(seed.to(tl.uint32), RADIUS, step, position)
        angle = uniform_draw(seed.to(tl.uint32), ANGLE, step, position)
        b_g += tl.load(sigma_ptr) * tl.sqrt_rn(-2.0 * tl.log(1.0 - radius)) * cos_of_turns(angle)
    rest1 = tl.cast(rest1, tl.float32)
    rest2 = tl.cast(rest2, tl.float32)
    if KIND == LION:
        b_c = lerp(b_m, b_g, rest1)
        b_u = tl.where(b_c > 0.0, 1.0, tl.where(b_c < 0.0, -1.0, 0.0))
        b_m = lerp(b_m, b_g, rest2)
    else:
        b_v = tl.load(second_ptr + o_n, mask=m_n, other=0.0)
        b_m = lerp(b_m, b_g, rest1)
        b_v = lerp(b_v, b_g * b_g, rest2)
        tl.store(second_ptr + o_n, b_v, mask=m_keep)
        t = tl.maximum(count, 1.0)
        b_a = tl.div_rn(b_m, one_minus_power(tl.cast(log_beta1, tl.float32), t))
        b_d = tl.sqrt_rn(tl.div_rn(b_v, one_minus_power(tl.cast(log_beta2, tl.float32), t)))
        if KIND == ADAM_ATAN2:
            b_u = atan2_upper(b_a, b_d)
        else:
            b_u = tl.div_rn(b_a, b_d + 1e-8)
    tl.store(first_ptr + o_n, b_m, mask=m_keep)
    b_new = b_w * (1.0 - rate * tl.cast(weight_decay, tl.float32)) - rate * b_u
    b_w = tl.where(m_keep, b_new, b_w)
    tl.store(values_ptr + o_n, b_w, mask=m_keep)
    if AVERAGE:
        weight = average_weight(average_count_ptr, decay_ptr, taken_ptr, AVERAGE)
        m_taken = o_n < tl.where(weight > 0.0, n, 0)
        b_average = tl.load(average_ptr + o_n, mask=m_taken, other=0.0)
        tl.store(average_ptr + o_n, lerp(b_average, b_w, weight), mask=m_taken)
    if COPY:
        tl.store(copy_ptr + o_n, b_w.to(copy_ptr.dtype.element_ty), mask=m_n)
    if CLEAR:
        tl.store(gradients_ptr + o_n, tl.zeros([BLOCK], dtype=tl.float32), mask=m_n)


@triton.jit
def next_slot(index_ptr, row, after, num_slots, SLOTS: tl.constexpr):
    """The first slot behind `after` that has this row; num_slots where there is none."""
    found = tl.cast(num_slots, tl.int32)
    for start in range(0, num_slots, SLOTS):
        o_s = start + tl.arange(0, SLOTS)
        b_row = tl.load(index_ptr + o_s, mask=o_s < num_slots, other=-1)  # [SLOTS]
        found = tl.minimum(found, tl.min(tl.where((b_row == row) & (o_s > after), o_s, num_slots), axis=0))
    return found


@triton.jit
def rows_sign_kernel(
    table_ptr,
    index_ptr,
    gradients_ptr,
    schedule_ptr,
    keep_ptr,
    num_slots,
    num_columns,
    last_row,
    lr,
    weight_decay,
    SLOTS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Program (slot, block of COLUMNS columns). Of the slots that share a row the first adds up their gradients in slot
    order: s = sum_k g_k; row <- row (1 - r weight_decay) - r sign(s), r = lr schedule keep. Nobody else writes it.
    The last row stands for no row: it stays 0."""
    slot = tl.program_id(0).to(tl.int64)
    o_d = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    m_d = o_d < num_columns
    row = tl.load(index_ptr + slot)
    if next_slot(index_ptr, row, -1, num_slots, SLOTS) == slot:
        b_sum = tl.zeros([COLUMNS], dtype=tl.float32)  # [COLUMNS]
        other = slot
        while other < num_slots:
            b_sum += tl.load(gradients_ptr + other * num_columns + o_d, mask=m_d, other=0.0)
            other = next_slot(index_ptr, row, other, num_slots, SLOTS).to(tl.int64)
        keep = tl.load(keep_ptr)
        rate = tl.load(schedule_ptr) * keep * tl.cast(lr, tl.float32)
        b_sign = tl.where(b_sum > 0.0, 1.0, tl.where(b_sum < 0.0, -1.0, 0.0))
        o_t = row * num_columns + o_d
        b_row = tl.load(table_ptr + o_t, mask=m_d, other=0.0)
        b_row = b_row * (1.0 - rate * tl.cast(weight_decay, tl.float32)) - rate * b_sign
        b_row = tl.where(row == last_row, 0.0, b_row)
        tl.store(table_ptr + o_t, b_row, mask=o_d < tl.where(keep > 0.0, num_columns, 0))

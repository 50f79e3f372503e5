"""Bytes that the operations of a step hold and need, as running totals: what the memory plan is put together from.

Recipe room; free of torch. A `Passage` is one operation seen by the allocator: how far it rises above where it began,
and what it leaves behind. Passages follow one another as the code does, so that the highest point of a whole step is
arithmetic. Each list of changes below names, in order, the tensors that the public operations of `triton_kernels`
allocate (+) and free (-): the references as they are written, the kernels as their `autograd.py` saves tensors.
What is not here: recipes, lanes and what lives for a whole run (`memory.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, final

AttentionForm = Literal["materialised", "by_sample", "fused", "kernel"]
NormForm = Literal["steps", "fused", "kernel"]

VOCABULARY = 12
FP32 = 4
INT64 = 8

# As in triton_kernels.runtime and recurrent_attention.by_sample, which this room may not import; a test compares.
BY_SAMPLE_MIN_TOKENS = 256
BY_SAMPLE_MIN_TOKENS_GRADIENT = 512
SCORE_BYTES = 4 * 2**20
MIN_ROWS = 64


@final
@dataclass(frozen=True)
class Passage:
    """peak: bytes above the start at the highest point, at least 0; left: bytes above (or below) the start after it."""

    peak: int = 0
    left: int = 0

    def then(self, *others: Passage) -> Passage:
        """This, then the others."""
        peak, left = self.peak, self.left
        for other in others:
            peak = max(peak, left + other.peak)
            left += other.left
        return Passage(peak, left)

    def times(self, count: int) -> Passage:
        """This, `count` times. The highest point is in the first or in the last time."""
        if count == 0:
            return Passage()
        return Passage(self.peak + max(0, (count - 1) * self.left), count * self.left)


def changes(*deltas: int) -> Passage:
    """Allocations (positive) and frees (negative), in order."""
    totals = list(accumulate(deltas, initial=0))
    return Passage(max(totals), totals[-1])


@final
@dataclass(frozen=True)
class Forms:
    """Which implementation runs: attention with and without gradient, norm, MLP and head."""

    attention: AttentionForm
    quiet_attention: AttentionForm
    norm: NormForm
    kernels: bool


def choose_forms(cuda: bool, kernels: bool, tokens: int) -> Forms:
    """What `triton_kernels` chooses for so many tokens a sample. Kernels need CUDA."""
    if cuda and kernels:
        return Forms("kernel", "kernel", "kernel", True)
    if cuda:
        return Forms("fused", "fused", "fused", False)
    recorded: AttentionForm = "by_sample" if tokens >= BY_SAMPLE_MIN_TOKENS_GRADIENT else "materialised"
    quiet: AttentionForm = "by_sample" if tokens >= BY_SAMPLE_MIN_TOKENS else "materialised"
    return Forms(recorded, quiet, "steps", False)


@final
@dataclass(frozen=True)
class Sizes:
    """Bytes of the tensors of one piece: `samples` of `tokens` each, prefix included, `itemsize` 2 or 4.

    state (B, T, D) and inner (B, T, I) in the compute dtype; wide: a state in fp32; copy: what casting a state to
    fp32 allocates; scores (B, H, T, T); turn: complex rotary factors (T, E / 2); rows: a number a token in fp32.
    """

    samples: int
    tokens: int
    prefix: int
    hidden: int
    inner_width: int
    heads: int
    itemsize: int

    @property
    def half(self) -> bool:
        """Whether the compute dtype is narrower than fp32."""
        return self.itemsize < FP32

    @property
    def positions(self) -> int:
        """Tokens of the whole piece."""
        return self.samples * self.tokens

    @property
    def state(self) -> int:
        """One (B, T, D)."""
        return self.positions * self.hidden * self.itemsize

    @property
    def inner(self) -> int:
        """One (B, T, I)."""
        return self.positions * self.inner_width * self.itemsize

    @property
    def wide(self) -> int:
        """One (B, T, D) in fp32."""
        return self.positions * self.hidden * FP32

    @property
    def copy(self) -> int:
        """A state cast to fp32: nothing where it is fp32."""
        return self.wide if self.half else 0

    @property
    def scores(self) -> int:
        """Attention scores of the whole piece."""
        return self.samples * self.heads * self.tokens * self.tokens * self.itemsize

    @property
    def turn(self) -> int:
        """Rotary factors as complex numbers."""
        return self.tokens * self.hidden // self.heads * FP32

    @property
    def rows(self) -> int:
        """One fp32 number a token."""
        return self.positions * FP32

    @property
    def logsumexp(self) -> int:
        """One fp32 number a token and head."""
        return self.rows * self.heads

    @property
    def portion(self) -> int:
        """Scores that attention by sample works on at once."""
        rows = max(MIN_ROWS, SCORE_BYTES // (self.heads * self.tokens * self.itemsize))
        count = max(1, math.ceil(self.tokens / rows))
        return self.heads * math.ceil(self.tokens / count) * self.tokens * self.itemsize

    @property
    def portions(self) -> int:
        """Portions of a sample."""
        return round(self.heads * self.tokens * self.tokens * self.itemsize / self.portion)

    def weight(self, *shape: int) -> int:
        """A weight of this shape in the compute dtype."""
        return math.prod(shape) * self.itemsize


# Forward --------------------------------------------------------------------------------------------------------------


def _rotation(z: Sizes, record: bool) -> Passage:
    """One of query and key, turned as complex numbers in fp32."""
    narrow = (z.state, -z.wide, -z.copy) if z.half else ()
    table = (z.turn // 2, z.turn // 2, z.turn, -z.turn) if z.half else (z.turn,)
    return changes(z.copy, *table, z.wide, *narrow, *(() if record else (-z.turn,)))


def _attend(z: Sizes, form: AttentionForm, record: bool) -> Passage:
    """Query, key (each a state) and the packed projection (three) are there; leaves what is kept, and the attended."""
    x, s = z.state, z.scores
    if form == "materialised":
        inputs = changes(x, x, x, s, -x) if record else changes(x, x, x, s, -3 * x)
        weighted = changes(s, x, x) if record else changes(s, x, x, -x, -s)
        # The attended tokens are copied to be in order; scores, query, key and projection go with their functions.
        return inputs.then(weighted, changes(-s, x, -x, -5 * x))
    if form == "by_sample":
        one = x // z.samples
        r = z.portion
        more = (r, r, -r, -r) if z.portions > 1 else ()
        sample = changes(one, one, -one, one, one, r, r, -r, *more, one // z.portions, -one // z.portions, -3 * one, -r)
        return changes(x).then(sample, changes() if record else changes(-5 * x))
    kept = z.logsumexp
    return changes(x, kept) if record else changes(x, kept, -kept, -5 * x)


def attention_forward(z: Sizes, form: AttentionForm, record: bool, injections: int) -> Passage:
    """Leaves the attended state, the injected one where there are injections, and what is kept for the backward."""
    x = z.state
    injected = changes(x, *(x, -x) * (injections - 1)) if injections else changes()
    if form == "kernel":
        kept = z.logsumexp
        return injected.then(changes(3 * x, x, kept) if record else changes(3 * x, x, kept, -kept, -3 * x))
    projected = changes(3 * x).then(_rotation(z, record), _rotation(z, record))
    return injected.then(projected, _attend(z, form, record))


def norm_forward(z: Sizes, form: NormForm, record: bool) -> Passage:
    """Projection, residual, norm. Leaves the result and what is kept: the sum in fp32, or as it is, or nothing."""
    x, w = z.state, z.wide
    if form == "kernel":
        return changes(x, z.rows) if record else changes(x)
    total = changes(x, x, -x)
    if form == "fused":
        return total.then(changes(x, z.rows) if record else changes(x, -x))
    squares = changes(z.copy, w, -w, w)
    if z.half:
        return total.then(squares, changes(x, -w, -x) if record else changes(x, -2 * w, -x))
    return total.then(squares, changes() if record else changes(-x))


def mlp_forward(z: Sizes, forms: Forms, record: bool) -> Passage:
    """SwiGLU with its norm. Leaves the result, and gate, up, silu and product where they are kept."""
    i = z.inner
    norm = norm_forward(z, forms.norm, record)
    if forms.kernels:
        return changes(i).then(norm, changes(-i))
    if record:
        return changes(i, i, i, i).then(norm)
    return changes(i, i, i, i, -i).then(norm, changes(-3 * i))


def block_forward(z: Sizes, forms: Forms, record: bool, injections: int) -> Passage:
    """A block that is recorded leaves all that is kept and its result; one that is not leaves residual, attended and
    result, and drops those of the block before it (`run_level`'s variables)."""
    x = z.state
    attention = attention_forward(z, forms.attention if record else forms.quiet_attention, record, injections)
    first, second = norm_forward(z, forms.norm, record), mlp_forward(z, forms, record)
    if record:
        return attention.then(first, second)
    return attention.then(changes() if injections else changes(-2 * x), first, second, changes(-x))


def level_forward(z: Sizes, forms: Forms, record: bool, blocks: int, injections: int) -> Passage:
    """A call of a level. Leaves its result, and what is kept where it is recorded."""
    calls = block_forward(z, forms, record, injections).then(block_forward(z, forms, record, 0).times(blocks - 1))
    return calls if record else calls.then(changes(-2 * z.state))


# Backward -------------------------------------------------------------------------------------------------------------


def weight_gradient(z: Sizes, stays: bool, *shape: int) -> Passage:
    """fp32: added to the flat gradients at once. Else the first use's waits for the cast, which runs last."""
    size = z.weight(*shape)
    return changes(size) if stays else changes(size, -size)


def norm_backward(z: Sizes, form: NormForm) -> Passage:
    """A gradient comes in and another goes out; what the norm kept is freed. Not for kernels, whose norm is a part of
    the operation before it."""
    x, w = z.state, z.wide
    if form == "fused":
        return changes(x, -2 * x - z.rows)
    return changes(w, -x, 4 * w, -6 * w, x) if z.half else changes(4 * w, -5 * w)


def mlp_backward(z: Sizes, forms: Forms, stays: bool) -> Passage:
    """Frees what the MLP kept, its input included; the gradient goes on."""
    x, i = z.state, z.inner
    down, half = weight_gradient(z, stays, z.hidden, z.inner_width), z.weight(z.inner_width, z.hidden)
    product = changes(i, -i).then(changes(i, i, -3 * i), changes(i, -2 * i))
    up = changes(half, x, -i, -x)
    gate = changes(half, x, -i, -x, -x)
    joined = changes(2 * half, -2 * half, *(() if stays else (-2 * half,)))
    return norm_backward(z, forms.norm).then(down, product, up, gate, joined)


def _attend_backward(z: Sizes, form: AttentionForm) -> Passage:
    """From the gradient of the attended state to those of query, key and value; all that was kept for it is freed."""
    x, s = z.state, z.scores
    if form == "materialised":
        return changes(x, -x, x, s, -2 * x, s, -2 * s, x, x, -s, -2 * x, x, -x)
    if form == "by_sample":
        one, r = x // z.samples, z.portion
        sums = 2 * one * FP32 // z.itemsize  # of keys' and values' gradients, over portions
        more = (sums, r, r, -r, -r, r, r, -r, -r, -sums) if z.portions > 1 else ()
        sample = changes(one, one, -one, one, one, one, r, r, -r, r, r, -r, *more)
        return changes(3 * x).then(Passage(sample.peak, 0), changes(-x, -5 * x))
    # torch's flash backward gathers the query's gradient in fp32.
    return changes(3 * x, z.wide, -z.wide, -2 * x - z.logsumexp, -5 * x)


def _rotation_backward(z: Sizes) -> Passage:
    """One of query and key."""
    x, w = z.state, z.wide
    if z.half:
        return changes(w, -x, w, -w, z.turn, w, -z.turn, -w, -z.turn, x, -w)
    return changes(w, -x, z.turn, w, -z.turn, -w, -z.turn)


def attention_backward(z: Sizes, form: AttentionForm, stays: bool) -> Passage:
    """Two gradients come in, of the attended state and of the residual; one goes out."""
    x = z.state
    turned = _rotation_backward(z).times(2).then(changes(3 * x, -3 * x))
    projected = weight_gradient(z, stays, 3 * z.hidden, z.hidden).then(changes(x, -3 * x, -x, -x))
    return _attend_backward(z, form).then(turned, projected)


def block_backward(z: Sizes, forms: Forms, stays: bool) -> Passage:
    """Frees all that a recorded block of references kept, and its input; one gradient in, one out."""
    x = z.state
    # torch's fused attention keeps the attended state itself, until its own backward.
    out = weight_gradient(z, stays, z.hidden, z.hidden).then(changes(x, *(() if forms.attention == "fused" else (-x,))))
    attention = attention_backward(z, forms.attention, stays)
    return mlp_backward(z, forms, stays).then(norm_backward(z, forms.norm), out, attention)


def kernel_block_backward(z: Sizes, stays: bool, frees_output: bool, frees_input: bool) -> Passage:
    """The same for kernels: each operation's backward holds all that it kept, and its gradients, until it is done.

    The result of a block is kept twice, by its MLP for the norm and by the next block's attention.
    """
    x, i, hidden = z.state, z.inner, z.hidden
    wide_weights = (weight_gradient(z, stays, width, hidden) for width in (2 * z.inner_width, z.inner_width))
    # Sum before the norm; gradient of the product; gate, up and product again; gradient of the input.
    mlp = changes(x, i, 3 * i, -i, x).then(*wide_weights, changes(-3 * i - 2 * x - z.rows - frees_output * x))
    norm = changes(x, x).then(weight_gradient(z, stays, hidden, hidden), changes(-2 * x - z.rows))
    projected = weight_gradient(z, stays, 3 * hidden, hidden)
    freed = -3 * x - 2 * x - z.logsumexp - 4 * x - frees_input * x
    attention = changes(3 * x, z.logsumexp, -z.logsumexp).then(projected, changes(x, freed))
    return mlp.then(norm, attention)


def level_backward(z: Sizes, forms: Forms, stays: bool, blocks: int, output_stays: bool) -> Passage:
    """Backward of a recorded call of a level. output_stays: its result is the new carry, which outlives it."""
    if not forms.kernels:
        return block_backward(z, forms, stays).times(blocks)
    last = kernel_block_backward(z, stays, not output_stays, blocks == 1)
    if blocks == 1:
        return last
    between = kernel_block_backward(z, stays, True, False).times(blocks - 2)
    return last.then(between, kernel_block_backward(z, stays, True, True))


# Embeddings and head --------------------------------------------------------------------------------------------------


def embed_forward(z: Sizes, tokens_too: bool) -> Passage:
    """Cells from the table, prefix before them, scaled, cast. Leaves the embedded state."""
    w = z.wide
    cells = changes(w, w, -w) if tokens_too else changes(w)
    return cells.then(changes(w, w, -w), changes(z.state, -2 * w) if z.half else changes(-w))


def embed_backward(z: Sizes) -> Passage:
    """From the gradient of the embedded state to that of the token table."""
    w = z.wide
    return changes(w, -z.state, w, -w, w, -w, -w) if z.half else changes(w, -w, w, -w, -w)


def _cells(z: Sizes) -> tuple[int, int, int]:
    """Bytes of the cells' states, of their logits in fp32, and of one int64 a cell."""
    count = z.samples * (z.tokens - z.prefix)
    return count * z.hidden * z.itemsize, count * VOCABULARY * FP32, count * INT64


def head_forward(z: Sizes, forms: Forms, stablemax: bool) -> Passage:
    """Logits, scores, losses and counts; leaves what is kept."""
    cells, logits, whole = _cells(z)
    if forms.kernels:
        return Passage()  # a part of the last state is kept as it is; logits are computed again
    narrow = (logits // 2, logits, -(logits // 2)) if z.half else (logits,)
    scores = 4 * logits if stablemax else 0
    return changes(cells, *narrow, whole, scores, logits + whole, -logits - whole)


def head_backward(z: Sizes, forms: Forms, stablemax: bool) -> Passage:
    """Frees what the head kept; leaves the gradient of the last state."""
    cells, logits, whole = _cells(z)
    x = z.state
    if forms.kernels:
        return changes(x, cells, x, -cells, -x)
    narrow = logits // 2 if z.half else logits
    kept = 5 * logits if stablemax else logits
    return changes(x, 4 * logits, -4 * logits - kept - whole + narrow, cells, -narrow - cells, x, -cells, -x)

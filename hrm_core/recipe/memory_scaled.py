"""Bytes of a level whose last blocks have their branches scaled, as stochastic depth does (`techniques.drop_path`).

Recipe room; free of torch. As `memory_bytes.py` for a block, with what `layers.run_level` does otherwise there: the
attended state and the MLP's product are multiplied by a factor for each sample, and the MLP is plain torch, which keeps
gate, up and silu where the kernel would compute them again.
"""

from __future__ import annotations

from hrm_core.recipe.memory_bytes import (
    Forms,
    Passage,
    Sizes,
    attention_backward,
    attention_forward,
    block_backward,
    block_forward,
    changes,
    kernel_block_backward,
    norm_backward,
    norm_forward,
    weight_gradient,
)


def _mlp_forward(z: Sizes, forms: Forms, record: bool) -> Passage:
    """Gate, up, silu, their product, and that scaled; leaves the result and, recorded, all but the product."""
    i = z.inner
    norm = norm_forward(z, forms.norm, record)
    if record:
        return changes(i, i, i, i, i, -i).then(norm)
    return changes(i, i, i, i, -i, i, -i).then(norm, changes(-3 * i))


def scaled_block_forward(z: Sizes, forms: Forms, record: bool, injections: int) -> Passage:
    """As `memory_bytes.block_forward`."""
    x = z.state
    attention = attention_forward(z, forms.attention if record else forms.quiet_attention, record, injections)
    first, second = norm_forward(z, forms.norm, record), _mlp_forward(z, forms, record)
    if record:
        # Fused attention keeps the attended state for its own backward, beside the scaled one.
        unscaled = changes() if forms.attention in ("fused", "kernel") else changes(-x)
        return attention.then(changes(x), first, second, unscaled)
    dropped = changes() if injections else changes(-2 * x)
    return attention.then(dropped, changes(x), first, changes(-x), second, changes(-x))


def _mlp_backward(z: Sizes, stays: bool, frees_input: bool) -> Passage:
    """From the gradient of the scaled product, which is there, to that of the input."""
    x, i = z.state, z.inner
    half = z.weight(z.inner_width, z.hidden)
    product = changes(i, -i).then(changes(i, i, -3 * i), changes(i, -2 * i))
    up = changes(half, x, -i, -x)
    gate = changes(half, x, -i, -x, *((-x,) if frees_input else ()))
    joined = changes(2 * half, -2 * half, *(() if stays else (-2 * half,)))
    return product.then(up, gate, joined)


def scaled_block_backward(z: Sizes, forms: Forms, stays: bool) -> Passage:
    """As `memory_bytes.block_backward`."""
    x, i = z.state, z.inner
    down = weight_gradient(z, stays, z.hidden, z.inner_width).then(changes(i, -i))
    out = weight_gradient(z, stays, z.hidden, z.hidden).then(changes(x, -x), changes(x, -x))
    mlp = norm_backward(z, forms.norm).then(down, _mlp_backward(z, stays, frees_input=True))
    return mlp.then(norm_backward(z, forms.norm), out, attention_backward(z, forms.attention, stays))


def scaled_kernel_block_backward(z: Sizes, stays: bool, frees_output: bool, frees_input: bool) -> Passage:
    """As `memory_bytes.kernel_block_backward`: the norm's operation holds the scaled product and its result."""
    x, i, hidden = z.state, z.inner, z.hidden
    down = changes(x, i).then(weight_gradient(z, stays, hidden, z.inner_width))
    down = down.then(changes(-i - x - z.rows - frees_output * x))
    norm = changes(x, x).then(weight_gradient(z, stays, hidden, hidden), changes(-3 * x - z.rows), changes(x, -x))
    projected = weight_gradient(z, stays, 3 * hidden, hidden)
    freed = -3 * x - 2 * x - z.logsumexp - 4 * x - frees_input * x
    attention = changes(3 * x, z.logsumexp, -z.logsumexp).then(projected, changes(x, freed))
    return down.then(_mlp_backward(z, stays, frees_input=False), norm, attention)


def scaled_level_forward(z: Sizes, forms: Forms, record: bool, blocks: int, scaled: int, injections: int) -> Passage:
    """As `memory_bytes.level_forward`, the last `scaled` of the blocks scaled."""
    passage = Passage()
    for number in range(blocks):
        block = block_forward if number < blocks - scaled else scaled_block_forward
        passage = passage.then(block(z, forms, record, injections if number == 0 else 0))
    return passage if record else passage.then(changes(-2 * z.state))


def scaled_level_backward(z: Sizes, forms: Forms, stays: bool, blocks: int, scaled: int, output_stays: bool) -> Passage:
    """As `memory_bytes.level_backward`."""
    passage = Passage()
    for number in reversed(range(blocks)):
        plain = number < blocks - scaled
        if forms.kernels:
            kernel = kernel_block_backward if plain else scaled_kernel_block_backward
            passage = passage.then(kernel(z, stays, number < blocks - 1 or not output_stays, number == 0))
        else:
            passage = passage.then((block_backward if plain else scaled_block_backward)(z, forms, stays))
    return passage

"""Allocates what the flash attention kernels write, and launches them.

Input: the packed projection qkv (B, T, 3, H, E), q and k already rotated, fp32, fp16 or bf16, and a key length per
sample or None; output: attended (B, T, H, E) and lse (B, H, T), then d_qkv (B, T, 3, H, E) before the rotation.
Choosing between kernel and reference, and checking shapes, is the operation's business, not done here.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from triton_kernels.launch import Meta, launch
from triton_kernels.recurrent_attention.flash.kernel import (
    attention_dkdv_kernel,
    attention_dq_kernel,
    attention_forward_kernel,
)
from triton_kernels.runtime import arch_of

OP = "recurrent_attention"


def row(kernel: str, x: Tensor, width: int) -> Meta:
    """The launch row of a kernel for the device of x and this head dim."""
    return launch(OP, kernel, arch_of(x.device), E=width)


def attention_forward(qkv: Tensor, key_length: Tensor | None) -> tuple[Tensor, Tensor]:
    """qkv (B, T, 3, H, E) contiguous, q and k rotated -> (attended (B, T, H, E), lse (B, H, T) fp32), contiguous.

    key_length (B) int64: keys of a sample from there on are ignored; a sample of length 0 attends to nothing (0, -inf).
    lse is the logarithm to base 2 of the sum over keys of 2^(log2(e) q . k / sqrt(E)).
    """
    batch, tokens, _, heads, width = qkv.shape
    attended = torch.empty((batch, tokens, heads, width), dtype=qkv.dtype, device=qkv.device)
    lse = torch.empty((batch, heads, tokens), dtype=torch.float32, device=qkv.device)
    meta = row("attention_forward_kernel", qkv, width)
    grid = (triton.cdiv(tokens, meta.blocks["BM"]) * batch * heads,)
    attention_forward_kernel[grid](
        qkv,
        key_length,
        attended,
        lse,
        tokens,
        heads,
        E=width,
        HAS_KEY_LENGTH=key_length is not None,
        **meta.options(),
    )
    return attended, lse


def attention_backward(
    d_attended: Tensor,
    qkv: Tensor,
    attended: Tensor,
    lse: Tensor,
    cos: Tensor,
    sin: Tensor,
    key_length: Tensor | None,
) -> Tensor:
    """Gradient with respect to the projection's output before its q and k were rotated: (B, T, 3, H, E), qkv's dtype.

    d_attended (B, T, H, E) contiguous; qkv, attended, lse, key_length as in the forward; cos and sin (T, E) contiguous:
    angles repeated for the two of a pair, sin carrying the signs (-, +). Two runs give the same bits.
    """
    batch, tokens, _, heads, width = qkv.shape
    d_qkv = torch.empty(qkv.shape, dtype=qkv.dtype, device=qkv.device)
    delta = torch.empty(lse.shape, dtype=torch.float32, device=qkv.device)
    flags = {"E": width, "HAS_KEY_LENGTH": key_length is not None}
    meta = row("attention_dq_kernel", qkv, width)
    grid = (triton.cdiv(tokens, meta.blocks["BM"]) * batch * heads,)
    attention_dq_kernel[grid](
        d_attended,
        qkv,
        attended,
        lse,
        cos,
        sin,
        key_length,
        d_qkv,
        delta,
        tokens,
        heads,
        **flags,
        **meta.options(),
    )
    # After dQ on the same stream: it reads the delta that dQ has written.
    meta = row("attention_dkdv_kernel", qkv, width)
    grid = (triton.cdiv(tokens, meta.blocks["BN"]) * batch * heads,)
    attention_dkdv_kernel[grid](
        d_attended, qkv, lse, delta, cos, sin, key_length, d_qkv, tokens, heads, **flags, **meta.options()
    )
    return d_qkv

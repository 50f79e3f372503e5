"""Attention of a post-norm block in plain torch: injections, QKV projection, rotary positions, softmax(QK^T/sqrt(d))V.

Full (not causal) attention, Vaswani et al. 2017 (arXiv 1706.03762, sec. 3.2); rotary positions on interleaved pairs,
Su et al. 2021 (arXiv 2104.09864, eq. 34), axial (row and column halves) or 1-D by the tables that are passed in.
The output projection is residual_norm's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from triton_kernels.recurrent_attention.by_sample import attend_by_sample
from triton_kernels.runtime import attention_path


def rotate(x_BTHE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Turns each pair (x[2i], x[2i+1]) by the position's angle, in fp32 or above; tables as in the public function.

    A pair is a complex number here: on a CPU that takes half the time of multiplying, swapping and adding.
    """
    wide = x_BTHE if x_BTHE.dtype in (torch.float32, torch.float64) else x_BTHE.float()
    pairs = torch.view_as_complex(wide.reshape(*wide.shape[:-1], -1, 2))
    turn = torch.complex(cos_TE[:, ::2].to(wide.dtype), sin_TE[:, 1::2].to(wide.dtype))[:, None]
    return torch.view_as_real(pairs * turn).flatten(-2).to(x_BTHE.dtype)


def attend(query: Tensor, key: Tensor, value: Tensor, key_length: Tensor | None = None) -> Tensor:
    """(B, H, T, E) x 3 -> (B, H, T, E); keys at and after a sample's key_length (B) are not attended."""
    needs_grad = torch.is_grad_enabled() and query.requires_grad
    mask = None
    if key_length is not None:
        mask = (torch.arange(key.shape[-2], device=key.device) < key_length[:, None])[:, None, None, :]
    path = attention_path(query, needs_grad)
    if path == "fused":
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    if path == "by_sample" and mask is None:
        return attend_by_sample(query, key, value)
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.matmul(torch.softmax(scores, -1), value)


def recurrent_attention(
    state_BTD: Tensor,
    weight_qkv: Tensor,
    rotary: tuple[Tensor, Tensor],
    num_heads: int,
    injections: tuple[Tensor, ...] = (),
    key_length: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """See `triton_kernels.recurrent_attention.recurrent_attention`."""
    residual = state_BTD
    for injection in injections:
        residual = residual + injection
    batch, tokens, hidden = residual.shape
    query, key, value = (
        functional.linear(residual, weight_qkv).view(batch, tokens, 3, num_heads, hidden // num_heads).unbind(2)
    )
    query, key = (rotate(x, *rotary).transpose(1, 2) for x in (query, key))
    attended = attend(query, key, value.transpose(1, 2), key_length)
    return residual, attended.transpose(1, 2).reshape(batch, tokens, hidden)

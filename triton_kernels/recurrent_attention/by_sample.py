"""softmax(QK^T/sqrt(d))V for a CPU: one sample and a few hundred queries at a time, probabilities recomputed backward.

The formula is `reference.attend`'s; what changes is what lies in memory at once. Scores of a whole batch leave the
last-level cache at some hundred tokens, and torch's fused attention gains nothing from bf16 on a CPU; a portion of
`SCORE_BYTES` stays in the cache and runs at the speed of bf16 matrix products. Nothing of size T x T is kept for the
backward. Gradients of keys and values are summed over portions in fp32.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor

# Scores in flight. 4 MiB of a 32 MiB cache that two cores share (measured: twice the speed at 8 heads, 901 tokens).
SCORE_BYTES = 4 * 2**20
MIN_ROWS = 64


def portions(heads: int, tokens: int, itemsize: int) -> list[slice]:
    """Query rows that are worked on together, even in size."""
    rows = max(MIN_ROWS, SCORE_BYTES // (heads * tokens * itemsize))
    count = max(1, math.ceil(tokens / rows))
    edges = [round(number * tokens / count) for number in range(count + 1)]
    return [slice(low, high) for low, high in pairwise(edges)]


def forward(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(B, H, T, E) x 3 -> (B, H, T, E), without gradient; a view of (B, T, H, E), which the projection wants next."""
    batch, heads, tokens, width = query.shape
    output = torch.empty(batch, tokens, heads, width, dtype=query.dtype).transpose(1, 2)
    pieces = portions(heads, tokens, query.element_size())
    for sample in range(batch):
        # Contiguous first: a batched product of strided heads costs more than these small copies (40 % of the whole).
        q, k, v = (query[sample] * width**-0.5).contiguous(), key[sample].contiguous(), value[sample].contiguous()
        for rows in pieces:
            p = torch.softmax(torch.bmm(q[:, rows], k.mT), -1)
            output[sample, :, rows] = torch.bmm(p, v)
    return output


@final
class AttendBySample(torch.autograd.Function):
    """Attention that keeps only its inputs for the backward."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `forward` of this module."""
        ctx.save_for_backward(query, key, value)
        return forward(query, key, value)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """dV = P^T dO; dP = dO V^T; dS = P (dP - sum P dP); dQ = dS K / sqrt(d); dK = dS^T Q / sqrt(d)."""
        query, key, value = ctx.saved_tensors
        (d_output,) = gradients
        batch, heads, tokens, width = query.shape
        d_query, d_key, d_value = (
            torch.empty(batch, tokens, heads, width, dtype=query.dtype).transpose(1, 2) for _ in range(3)
        )
        scale = width**-0.5
        pieces = portions(heads, tokens, query.element_size())
        for sample in range(batch):
            q, k, v = (query[sample] * scale).contiguous(), key[sample].contiguous(), value[sample].contiguous()
            d_o = d_output[sample].contiguous()
            sums: list[Tensor] = []
            for rows in pieces:
                p = torch.softmax(torch.bmm(q[:, rows], k.mT), -1)
                d_s = torch._softmax_backward_data(torch.bmm(d_o[:, rows], v.mT), p, -1, p.dtype)
                d_query[sample, :, rows] = torch.bmm(d_s, k).mul_(scale)
                part = [torch.bmm(d_s.mT, q[:, rows]), torch.bmm(p.mT, d_o[:, rows])]
                part = part if len(pieces) == 1 else [tensor.float() for tensor in part]
                sums = part if not sums else [total.add_(more) for total, more in zip(sums, part, strict=True)]
            d_key[sample], d_value[sample] = sums
        return d_query, d_key, d_value


def attend_by_sample(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(B, H, T, E) x 3 on a CPU -> (B, H, T, E), with gradients where they are being recorded."""
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad):
        result = AttendBySample.apply(query, key, value)  # type: ignore[no-untyped-call]
        assert isinstance(result, Tensor)
        return result
    return forward(query, key, value)

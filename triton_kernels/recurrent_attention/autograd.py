"""The operation for autograd and torch.compile: two custom ops, what is kept between them, and its gradient.

Input: state (B, T, D), injections, weight (3 D, D), tables (T, E), key_length (B) or None; output: residual, qkv,
attended, lse. Where a kernel can be launched the ops launch it (`launcher.py`); elsewhere they compute the same values
with torch, so that `torch.library.opcheck` and `torch.compile` work on any machine. Which calls come here at all is
decided in `__init__.py`.

Kept for the backward: residual, packed qkv, attended, lse, and references to weight, tables and key_length.
The probabilities are recomputed (Dao et al. 2022, arXiv 2205.14135, sec. 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from triton_kernels import runtime
from triton_kernels.recurrent_attention import reference


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _scores(query_BTHE: Tensor, key_BTHE: Tensor, key_length: Tensor | None) -> Tensor:
    """Base-2 scores (B, H, T, T): scaled by log2(e) / sqrt(E), -inf at keys beyond the length."""
    tokens, width = query_BTHE.shape[1], query_BTHE.shape[3]
    scores: Tensor = torch.einsum("bihe,bjhe->bhij", query_BTHE, key_BTHE) * (math.log2(math.e) * width**-0.5)
    if key_length is not None:
        beyond = torch.arange(tokens, device=key_length.device) >= key_length[:, None]
        scores = scores.masked_fill(beyond[:, None, None, :], float("-inf"))
    return scores


def plain_forward(
    state_BTD: Tensor,
    injections: Sequence[Tensor],
    weight_qkv: Tensor,
    cos_TE: Tensor,
    sin_TE: Tensor,
    key_length: Tensor | None,
    num_heads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`recurrent_attention_forward` in torch; sums, turn and softmax in fp32 as in the kernels."""
    batch, tokens, hidden = state_BTD.shape
    total = state_BTD
    if injections:
        total = sum((_wide(injection) for injection in injections), start=_wide(state_BTD)).to(state_BTD.dtype)
    residual = total if injections else state_BTD.new_empty(0)
    projected = _wide(functional.linear(total, weight_qkv)).view(batch, tokens, 3, num_heads, hidden // num_heads)
    query, key, value = projected.unbind(2)
    query, key = reference.rotate(query, cos_TE, sin_TE), reference.rotate(key, cos_TE, sin_TE)
    qkv = torch.stack([query, key, value], 2).to(state_BTD.dtype)
    query, key, value = _wide(qkv).unbind(2)
    scores = _scores(query, key, key_length)
    lse = torch.logsumexp(scores * math.log(2), -1) / math.log(2)
    attended = torch.einsum("bhij,bjhe->bihe", torch.exp2(scores - lse[..., None]), value)
    return residual, qkv, attended.to(state_BTD.dtype).contiguous(), lse.float()


def plain_backward(
    d_attended_BTHE: Tensor,
    qkv: Tensor,
    attended_BTHE: Tensor,
    lse_BHT: Tensor,
    cos_TE: Tensor,
    sin_TE: Tensor,
    key_length: Tensor | None,
) -> Tensor:
    """`recurrent_attention_backward` in torch.

    P = 2^(scores - lse); dV = P^T dO; dS = P (dO V^T - rowsum(dO O)); dQ = dS K / sqrt(E); dK = dS^T Q / sqrt(E); then
    the turn by minus the angle.
    """
    query, key, value = _wide(qkv).unbind(2)
    d_attended = _wide(d_attended_BTHE)
    scale = query.shape[-1] ** -0.5
    p = torch.exp2(_scores(query, key, key_length) - lse_BHT[..., None])
    d_value = torch.einsum("bhij,bihe->bjhe", p, d_attended)
    delta = (d_attended * _wide(attended_BTHE)).sum(-1).transpose(1, 2)
    d_scores = p * (torch.einsum("bihe,bjhe->bhij", d_attended, value) - delta[..., None]) * scale
    d_query = torch.einsum("bhij,bjhe->bihe", d_scores, key)
    d_key = torch.einsum("bhij,bihe->bjhe", d_scores, query)
    d_query, d_key = (reference.rotate(x.contiguous(), cos_TE, -sin_TE) for x in (d_query, d_key))
    return torch.stack([d_query, d_key, d_value], 2).to(qkv.dtype)


@torch.library.custom_op("hrm::recurrent_attention_forward", mutates_args=())
def recurrent_attention_forward(
    state: Tensor,
    injections: Sequence[Tensor],
    weight_qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    key_length: Tensor | None,
    num_heads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(residual (B, T, D), qkv (B, T, 3, H, E), attended (B, T, H, E), base-2 lse (B, H, T) fp32).

    Without injections residual would be the state itself, which an op must not return: it is empty, of shape (0).
    """
    if not runtime.launches(state):
        return plain_forward(state, injections, weight_qkv, cos, sin, key_length, num_heads)
    from triton_kernels.recurrent_attention import launcher

    return launcher.forward(state, injections, weight_qkv, cos, sin, key_length, num_heads)


@recurrent_attention_forward.register_fake
def _(
    state: Tensor,
    injections: Sequence[Tensor],
    weight_qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    key_length: Tensor | None,
    num_heads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, tokens, hidden = state.shape
    width = hidden // num_heads
    return (
        state.new_empty(state.shape if injections else (0,)),
        state.new_empty(batch, tokens, 3, num_heads, width),
        state.new_empty(batch, tokens, num_heads, width),
        state.new_empty(batch, num_heads, tokens, dtype=torch.float32),
    )


@torch.library.custom_op("hrm::recurrent_attention_backward", mutates_args=())
def recurrent_attention_backward(
    d_attended: Tensor,
    qkv: Tensor,
    attended: Tensor,
    lse: Tensor,
    cos: Tensor,
    sin: Tensor,
    key_length: Tensor | None,
    num_heads: int,
) -> Tensor:
    """d_qkv (B, T, 3, H, E): gradient of the projection's output before the turn."""
    assert qkv.shape[3] == num_heads
    if not runtime.launches(qkv):
        return plain_backward(d_attended, qkv, attended, lse, cos, sin, key_length)
    from triton_kernels.recurrent_attention import launcher

    return launcher.backward(d_attended, qkv, attended, lse, cos, sin, key_length)


@recurrent_attention_backward.register_fake
def _(
    d_attended: Tensor,
    qkv: Tensor,
    attended: Tensor,
    lse: Tensor,
    cos: Tensor,
    sin: Tensor,
    key_length: Tensor | None,
    num_heads: int,
) -> Tensor:
    return torch.empty_like(qkv)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    state, injections, weight_qkv, cos, sin, key_length, num_heads = inputs
    residual, qkv, attended, lse = output
    # qkv and lse are for the backward alone. Without this, two times their size in zeros would be handed to it.
    ctx.mark_non_differentiable(qkv, lse)
    ctx.set_materialize_grads(False)
    total = residual if injections else state
    ctx.save_for_backward(total, qkv, attended, lse, weight_qkv, cos, sin, key_length)
    ctx.num_heads = num_heads
    ctx.injected_shapes = [injection.shape for injection in injections]


def _backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
    """dr = d_qkv W + (gradient of the residual); state and injections get dr, the weight d_qkv^T r."""
    d_residual, _, d_attended, _ = gradients
    total, qkv, attended, lse, weight, cos, sin, key_length = ctx.saved_tensors
    needs_state, needs_injections, needs_weight = ctx.needs_input_grad[:3]
    shapes = ctx.injected_shapes
    if not shapes:
        d_residual = None  # of the empty stand-in
    d_total, d_weight = d_residual, None
    if d_attended is not None:
        d_qkv = torch.ops.hrm.recurrent_attention_backward(
            d_attended, qkv, attended, lse, cos, sin, key_length, ctx.num_heads
        )
        d_rows, rows = d_qkv.view(-1, weight.shape[0]), total.reshape(-1, weight.shape[1])
        if needs_weight:
            d_weight = d_rows.T @ rows
        if needs_state or needs_injections:
            d_total = d_rows @ weight if d_residual is None else torch.addmm(d_residual.flatten(0, 1), d_rows, weight)
            d_total = d_total.view(total.shape)
    d_injections = [None if d_total is None else d_total.sum_to_size(shape) for shape in shapes]
    return d_total, d_injections, d_weight, None, None, None, None


recurrent_attention_forward.register_autograd(_backward, setup_context=_keep)

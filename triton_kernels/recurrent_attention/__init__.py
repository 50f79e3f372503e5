"""Attention with rotary positions for the recurrent block: public function; reference in plain torch beside it."""

from __future__ import annotations

from torch import Tensor

from triton_kernels.recurrent_attention import reference

__all__ = ["recurrent_attention"]


def recurrent_attention(
    state_BTD: Tensor,
    weight_qkv: Tensor,
    rotary: tuple[Tensor, Tensor],
    num_heads: int,
    injections: tuple[Tensor, ...] = (),
    key_length: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Adds the injections, then attends: returns (residual (B, T, D), attended (B, T, D)), in the state's dtype.

    state_BTD (B, T, D) and each injection (broadcastable to it): residual = state + sum of injections.
    weight_qkv (3 D, D): rows are q, k, v, each of num_heads x head_dim. rotary: (cos, sin), each (T, head_dim), angles
    repeated for the two of a pair, sin carrying the signs (-, +). key_length (B) int64: keys from there on are ignored.
    Raises ValueError where D is not a multiple of num_heads, or the tables do not fit T and head_dim.
    """
    tokens, hidden = state_BTD.shape[-2:]
    if tokens == 0 or hidden % num_heads or weight_qkv.shape != (3 * hidden, hidden):
        raise ValueError(
            f"recurrent_attention: state {tuple(state_BTD.shape)}, weight_qkv {tuple(weight_qkv.shape)} and "
            f"{num_heads} heads do not fit; needs T > 0, weight (3 D, D), D a multiple of the heads"
        )
    if rotary[0].shape != (tokens, hidden // num_heads) or rotary[1].shape != rotary[0].shape:
        raise ValueError(
            f"recurrent_attention: rotary tables {tuple(rotary[0].shape)}, {tuple(rotary[1].shape)}; "
            f"needs ({tokens}, {hidden // num_heads}) twice"
        )
    return reference.recurrent_attention(state_BTD, weight_qkv, rotary, num_heads, injections, key_length)

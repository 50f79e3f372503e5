"""Host side of the operation on a GPU (or in Triton's interpreter): projection here, attention in `flash.launcher`.

Input: the operation's tensors on one device, checked by the public function; output: new tensors. The one module of
the operation, with `flash.launcher`, that imports Triton: it is loaded at the first launch, not with the model.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from triton_kernels.launch import launch
from triton_kernels.recurrent_attention.flash.launcher import attention_backward, attention_forward
from triton_kernels.recurrent_attention.projection.kernel import projection_forward_kernel
from triton_kernels.runtime import arch_of


def project(
    state_BTD: Tensor,
    injections: Sequence[Tensor],
    weight_qkv: Tensor,
    cos_TE: Tensor,
    sin_TE: Tensor,
    num_heads: int,
) -> tuple[Tensor, Tensor]:
    """(residual (B, T, D), qkv (B, T, 3, H, E) with q and k turned); residual is empty without injections."""
    batch, tokens, hidden = state_BTD.shape
    width = hidden // num_heads
    assert len(injections) <= 2
    state_BTD = state_BTD.contiguous()
    added = [injection.expand_as(state_BTD).contiguous() for injection in injections]
    residual = state_BTD.new_empty(state_BTD.shape if added else 0)
    qkv = state_BTD.new_empty(batch, tokens, 3, num_heads, width)
    rows = batch * tokens
    meta = launch("recurrent_attention", "projection_forward_kernel", arch_of(state_BTD.device), D=hidden, E=width)
    grid = (-(-rows // meta.blocks["BM"]) * (3 * hidden // meta.blocks["BN"]),)
    first, second = (*added, None, None)[:2]
    projection_forward_kernel[grid](
        state_BTD,
        first,
        second,
        weight_qkv.contiguous(),
        cos_TE.contiguous(),
        sin_TE.contiguous(),
        residual if added else None,
        qkv,
        rows,
        tokens,
        INJECTIONS=len(added),
        D=hidden,
        E=width,
        **meta.options(),
    )
    return residual, qkv


def forward(
    state_BTD: Tensor,
    injections: Sequence[Tensor],
    weight_qkv: Tensor,
    cos_TE: Tensor,
    sin_TE: Tensor,
    key_length: Tensor | None,
    num_heads: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(residual, qkv, attended (B, T, H, E), lse (B, H, T) fp32): see `autograd.recurrent_attention_forward`."""
    residual, qkv = project(state_BTD, injections, weight_qkv, cos_TE, sin_TE, num_heads)
    attended, lse = attention_forward(qkv, key_length)
    return residual, qkv, attended, lse


def backward(
    d_attended_BTHE: Tensor,
    qkv: Tensor,
    attended_BTHE: Tensor,
    lse_BHT: Tensor,
    cos_TE: Tensor,
    sin_TE: Tensor,
    key_length: Tensor | None,
) -> Tensor:
    """d_qkv (B, T, 3, H, E), the turn of q and k undone."""
    return attention_backward(
        d_attended_BTHE.contiguous(),
        qkv,
        attended_BTHE,
        lse_BHT,
        cos_TE.contiguous(),
        sin_TE.contiguous(),
        key_length,
    )

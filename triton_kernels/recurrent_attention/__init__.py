"""Attention with rotary positions for the recurrent block: the public function, which chooses kernels or reference.

Input: state (B, T, D), injections, QKV weight (3 D, D), rotary tables (T, E); output: (residual, attended), (B, T, D)
each. The formula is `reference.py`'s (Vaswani et al. 2017; Su et al. 2021), the kernels are in `projection` and
`flash`, gradients in `autograd.py`. The output projection is residual_norm's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.recurrent_attention import reference
from triton_kernels.recurrent_attention.autograd import recurrent_attention_forward

__all__ = ["recurrent_attention"]

HIDDEN_SIZES = (128, 256, 384, 512)
HEAD_DIMS = (32, 64)
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
# The projection's load has room for so many tensors beside the state.
MAX_INJECTIONS = 2


def validate(
    state: Tensor,
    weight: Tensor,
    rotary: tuple[Tensor, Tensor],
    num_heads: int,
    injections: tuple[Tensor, ...],
    key_length: Tensor | None,
) -> None:
    """Raises ValueError that names the argument, what it is and what is allowed."""
    name = "recurrent_attention"
    shape = tuple(state.shape)
    if state.dim() != 3 or 0 in shape or num_heads < 1 or shape[2] % (2 * num_heads):
        raise ValueError(
            f"{name}: state {shape} and {num_heads} heads do not fit; needs (B, T, D) with B, T > 0 and D a "
            "multiple of twice the heads"
        )
    batch, tokens, hidden = shape
    if weight.shape != (3 * hidden, hidden):
        raise ValueError(f"{name}: weight_qkv {tuple(weight.shape)}; needs {(3 * hidden, hidden)} for state {shape}")
    table = (tokens, hidden // num_heads)
    if rotary[0].shape != table or rotary[1].shape != table:
        raise ValueError(
            f"{name}: rotary tables {tuple(rotary[0].shape)}, {tuple(rotary[1].shape)}; needs {table} twice"
        )
    for injection in injections:
        fits = injection.dim() <= 3 and all(
            have in (1, need) for have, need in zip(reversed(injection.shape), reversed(shape), strict=False)
        )
        if not fits:
            raise ValueError(f"{name}: injection {tuple(injection.shape)}; needs a shape that broadcasts to {shape}")
    if key_length is not None and (key_length.shape != (batch,) or key_length.is_floating_point()):
        raise ValueError(
            f"{name}: key_length {tuple(key_length.shape)} {key_length.dtype}; needs whole numbers of shape ({batch},)"
        )
    tensors = (state, weight, *rotary, *injections, *(() if key_length is None else (key_length,)))
    if len({tensor.device for tensor in tensors}) > 1:
        raise ValueError(f"{name}: tensors on {', '.join(sorted({str(x.device) for x in tensors}))}; needs one device")
    # Reading lengths that are on a GPU would wait for it; there the kernels stop at T by themselves.
    readable = (
        key_length is not None
        and key_length.numel()
        and key_length.device.type == "cpu"
        and not torch.compiler.is_compiling()
    )
    if readable and key_length is not None and not 1 <= int(key_length.min()) <= int(key_length.max()) <= tokens:
        raise ValueError(f"{name}: key_length {key_length.tolist()}; needs 1 to T = {tokens} each")


def problem_of(
    state: Tensor, weight: Tensor, rotary: tuple[Tensor, Tensor], num_heads: int, injections: tuple[Tensor, ...]
) -> str | None:
    """Why valid arguments are not the kernels', in a few words; None where they are."""
    hidden, width = state.shape[2], state.shape[2] // num_heads
    if hidden not in HIDDEN_SIZES:
        return f"hidden size {hidden}; kernels have {', '.join(map(str, HIDDEN_SIZES))}"
    if width not in HEAD_DIMS:
        return f"head dim {width}; kernels have {', '.join(map(str, HEAD_DIMS))}"
    if state.dtype not in DTYPES:
        return f"{state.dtype}; kernels have float16, bfloat16, float32"
    if state.dtype == torch.float32 and state.device.type == "cuda":
        return "float32 on a GPU: the tiles are made for 16 bits and would spill"
    if any(tensor.dtype != state.dtype for tensor in (weight, *rotary, *injections)):
        return "weight, tables or injections of another dtype than the state"
    if len(injections) > MAX_INJECTIONS:
        return f"{len(injections)} injections; the kernel adds up to {MAX_INJECTIONS}"
    if rotary[0].requires_grad or rotary[1].requires_grad:
        return "the kernels have no gradient of the rotary tables"
    return None


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
    Raises ValueError where D is not a multiple of twice num_heads, the tables do not fit T and head_dim, an injection
    does not broadcast to the state, tensors are on different devices, or a key_length (if on a CPU) is not in 1..T.
    """
    validate(state_BTD, weight_qkv, rotary, num_heads, injections, key_length)
    problem = problem_of(state_BTD, weight_qkv, rotary, num_heads, injections)
    hidden = state_BTD.shape[2]
    choice = runtime.choose("recurrent_attention", state_BTD, {"D": hidden, "E": hidden // num_heads}, problem)
    if not choice.kernel:
        return reference.recurrent_attention(state_BTD, weight_qkv, rotary, num_heads, injections, key_length)
    lengths = None if key_length is None else key_length.to(torch.int64)
    residual, _, attended, _ = recurrent_attention_forward(
        state_BTD, list(injections), weight_qkv, *rotary, lengths, num_heads
    )
    return residual if injections else state_BTD, attended.flatten(2)

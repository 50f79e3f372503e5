"""What is measured of the operation at hidden 256: without and with gradients, and the attention alone.

Input: device and dtype; output: specimens of 101, 325 and 901 tokens, head dim 64 and 32, one injection. The peers
"sdpa flash" and "sdpa cudnn" are the reference with torch's attention pinned to that backend, rotary turn separate.
"Attention alone" sets our kernel, which reads q and k already turned, against turning and torch's attention: the turn
costs our projection nothing to speak of and theirs two passes, and that is part of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from triton_kernels import runtime
from triton_kernels.benchmarking import Specimen
from triton_kernels.recurrent_attention import recurrent_attention, reference

OP = "recurrent_attention"
HIDDEN = 256
# Tokens -> samples on a CPU, so that a call stays under 0.3 s; on a GPU always GPU_BATCH.
CPU_BATCH = {101: 8, 325: 4, 901: 1}
GPU_BATCH = 64
FORMS = {"sdpa": "fused", "whole batch": "materialised"}
BACKENDS = {"sdpa flash": SDPBackend.FLASH_ATTENTION, "sdpa cudnn": SDPBackend.CUDNN_ATTENTION}

Function = Callable[..., tuple[Tensor, Tensor]]


def forced(*arguments: object) -> tuple[Tensor, Tensor]:
    """The kernels, whatever `kernels.mode` is."""
    with runtime.mode("force"):
        return recurrent_attention(*arguments)  # type: ignore[arg-type]


def pinned(backend: SDPBackend, function: Callable[..., object], *arguments: object) -> object:
    """A function with torch's attention held to one backend; an error where that backend cannot do it."""
    with sdpa_kernel(backend):
        return function(*arguments)


def held(path: str, function: Callable[..., object], *arguments: object) -> object:
    """A function with the reference's attention held to one of its forms on a CPU."""
    with runtime.held_attention(path):
        return function(*arguments)


def infer(function: Function, arguments: tuple[object, ...]) -> tuple[Tensor, ...]:
    """Outputs, nothing recorded."""
    with torch.no_grad():
        return function(*arguments)


def quiet(function: Callable[..., Tensor], *arguments: object) -> Tensor:
    """One output, nothing recorded."""
    with torch.no_grad():
        return function(*arguments)


def train(function: Function, arguments: tuple[object, ...], gradients: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Gradients of state, weight and injections."""
    state, weight, rotary, heads, injections = arguments
    assert isinstance(state, Tensor) and isinstance(weight, Tensor) and isinstance(injections, tuple)
    leaves = [tensor.detach().requires_grad_() for tensor in (state, weight, *injections)]
    outputs = function(leaves[0], leaves[1], rotary, heads, tuple(leaves[2:]))
    return torch.autograd.grad(outputs, leaves, gradients)


def separate(qkv: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Turn of q and k, then torch's attention: what the attention kernel is compared with."""
    query, key, value = qkv.unbind(2)
    query, key = (reference.rotate(x, *rotary).transpose(1, 2) for x in (query, key))
    return reference.attend(query, key, value.transpose(1, 2))


def turned(qkv: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """qkv as the projection kernel writes it."""
    query, key, value = qkv.unbind(2)
    return torch.stack([reference.rotate(query, *rotary), reference.rotate(key, *rotary), value], 2)


def attention_kernel(qkv: Tensor) -> Tensor:
    """The forward kernel of the attention."""
    from triton_kernels.recurrent_attention.flash.launcher import attention_forward

    return attention_forward(qkv, None)[0]


def relative(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> float:
    """The largest relative Frobenius error."""
    pairs = [(a.double(), e.double()) for a, e in zip(actual, expected, strict=True)]
    return max(float((a - e).norm() / e.norm()) for a, e in pairs)


def in_float32(value: object) -> object:
    """Tensors, also those in tuples, as fp32."""
    if isinstance(value, tuple):
        return tuple(in_float32(part) for part in value)
    return value.float() if isinstance(value, Tensor) else value


def check_operation(call: Callable[..., tuple[Tensor, ...]], *given: object) -> float:
    """Error of the kernels against the reference in fp32, of `infer` or `train`."""
    wide = [in_float32(part) for part in given]
    return relative(call(forced, *given), call(reference.recurrent_attention, *wide))


def check_attention(qkv: Tensor, rotary: tuple[Tensor, Tensor]) -> float:
    """Error of the attention kernel against turning and attending in fp32."""
    expected = separate(qkv.float(), (rotary[0].float(), rotary[1].float())).transpose(1, 2)
    return relative((attention_kernel(turned(qkv, rotary)),), (expected,))


def normal(device: torch.device, dtype: torch.dtype, seed: int, *shape: int) -> Tensor:
    """Standard normal values from a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype)


def tables(device: torch.device, dtype: torch.dtype, tokens: int, width: int) -> tuple[Tensor, Tensor]:
    """1-D rotary tables."""
    frequency = 1e4 ** (-torch.arange(width // 2) / (width // 2))
    angle = torch.arange(tokens)[:, None] * frequency
    sine = torch.stack([-angle.sin(), angle.sin()], -1).flatten(-2)
    return angle.cos().repeat_interleave(2, -1).to(device, dtype), sine.to(device, dtype)


def own_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy with a code object of its own: torch.compile counts recompilations by it, and gives up at eight."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__.replace(), function.__globals__, function.__name__, function.__defaults__)


def peers_of(
    call: Callable[..., object], plain: Callable[..., Any], x: Tensor, *given: object
) -> dict[str, Callable[[], object]]:
    """call(plain, *given) eager; on a GPU also compiled, and with torch's two fast attentions (which have no fp32).

    On a CPU the reference works sample by sample where that is faster; beside it torch's attention and the whole batch.
    """
    peers: dict[str, Callable[[], object]] = {"reference": partial(call, plain, *given)}
    if x.device.type == "cpu":
        peers |= {name: partial(held, path, call, plain, *given) for name, path in FORMS.items()}
    if x.device.type == "cuda":
        peers["compile"] = partial(call, torch.compile(own_code(plain), dynamic=False), *given)
        if x.dtype in (torch.float16, torch.bfloat16):
            peers |= {name: partial(pinned, backend, call, plain, *given) for name, backend in BACKENDS.items()}
    return peers


def operation_specimens(
    device: torch.device, dtype: torch.dtype, batch: int, tokens: int, width: int
) -> list[Specimen]:
    """The whole operation without and with gradients."""
    make = partial(normal, device, dtype)
    state, injection = make(1, batch, tokens, HIDDEN), make(2, batch, tokens, HIDDEN)
    weight = make(3, 3 * HIDDEN, HIDDEN) * HIDDEN**-0.5
    arguments = (state, weight, tables(device, dtype, tokens, width), HIDDEN // width, (injection,))
    gradients = (make(4, *state.shape), make(5, *state.shape))
    product, scores = 6.0 * state.numel() * HIDDEN, 4.0 * state.numel() * tokens
    size = state.element_size()
    # In passes over (B, T, D): two read, two written, qkv written and read. The backward reads two gradients, residual,
    # attended and qkv, writes d_qkv and reads it twice, and writes one gradient for state and injection.
    forward, backward = 10.0 * state.numel() * size, 17.0 * state.numel() * size
    weights = float(weight.numel() * size)
    plans: list[tuple[str, Callable[..., tuple[Tensor, ...]], tuple[object, ...], float, float]] = [
        ("forward", infer, (arguments,), product + scores, forward + weights),
        (
            "forward+backward",
            train,
            (arguments, gradients),
            3 * product + 3.5 * scores,
            forward + backward + 3 * weights,
        ),
    ]
    found = []
    for direction, call, given, flops, traffic in plans:
        peers = peers_of(call, reference.recurrent_attention, state, *given)
        check = None
        if runtime.launches(state):
            peers["kernel"] = partial(call, forced, *given)
            check = partial(check_operation, call, *given)
        shape = f"{batch} x {tokens} tokens, hidden {HIDDEN}, {HIDDEN // width} x {width}"
        found.append(Specimen(OP, shape, direction, flops, traffic, peers, check))
    return found


def attention_specimen(device: torch.device, dtype: torch.dtype, batch: int, tokens: int, width: int) -> Specimen:
    """The attention alone, forward."""
    qkv = normal(device, dtype, 1, batch, tokens, 3, HIDDEN // width, width)
    rotary = tables(device, dtype, tokens, width)
    peers = peers_of(quiet, separate, qkv, qkv, rotary)
    check = None
    if runtime.launches(qkv):
        peers["kernel"] = partial(quiet, attention_kernel, turned(qkv, rotary))
        check = partial(check_attention, qkv, rotary)
    passes = qkv.numel() * 4 / 3
    shape = f"attention alone, {batch} x {tokens} tokens, {HIDDEN // width} x {width}"
    flops = 4.0 * batch * tokens * tokens * HIDDEN
    return Specimen(OP, shape, "forward", flops, passes * qkv.element_size(), peers, check)


def specimens(device: torch.device, dtype: torch.dtype) -> list[Specimen]:
    """Three lengths x two head dims x (forward, forward+backward, attention alone)."""
    found: list[Specimen] = []
    for tokens, cpu_batch in CPU_BATCH.items():
        batch = GPU_BATCH if device.type == "cuda" else cpu_batch
        for width in (64, 32):
            found += operation_specimens(device, dtype, batch, tokens, width)
            found.append(attention_specimen(device, dtype, batch, tokens, width))
    return found

"""Post-norm blocks and a level (a stack of them) as functions of cast weights.

Model room: state (B, T, D) and injections -> state (B, T, D). x = rmsnorm(x + attention(x)); x = rmsnorm(x +
swiglu(x)), no biases, no gains (Wang et al. 2025, arXiv 2506.21734, sec. 4, and their published code). The heavy
operations are `triton_kernels`' public functions; parameters stay fp32 and are cast once for each use of the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from triton_kernels.recurrent_attention import recurrent_attention
from triton_kernels.residual_norm import residual_norm
from triton_kernels.swiglu import swiglu


class BlockWeights(NamedTuple):
    """Weights of one block in the compute dtype: qkv (3 D, D), out (D, D), gate_up (2 I, D), down (D, I)."""

    qkv: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor


def lecun_normal(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """Normal of standard deviation 1/sqrt(fan_in), cut at two and rescaled so that the cut keeps that deviation."""
    weight = torch.empty(shape)
    cut_deviation = 0.87962566103423978  # of a standard normal cut at +-2
    nn.init.trunc_normal_(weight, std=1.0, a=-2.0, b=2.0, generator=generator)
    return weight / (cut_deviation * math.sqrt(fan_in))


def inner_width(hidden: int, expansion: float) -> int:
    """SwiGLU's inner width: two thirds of expansion x hidden, up to the next multiple of 256 (HRM's rule)."""
    return math.ceil(round(expansion * hidden * 2 / 3) / 256) * 256


@final
class Block(nn.Module):
    """Parameters of one block, fp32."""

    def __init__(self, hidden: int, expansion: float, generator: torch.Generator) -> None:
        super().__init__()
        inner = inner_width(hidden, expansion)
        self.qkv = nn.Parameter(lecun_normal((3 * hidden, hidden), hidden, generator))
        self.out = nn.Parameter(lecun_normal((hidden, hidden), hidden, generator))
        self.gate_up = nn.Parameter(lecun_normal((2 * inner, hidden), hidden, generator))
        self.down = nn.Parameter(lecun_normal((hidden, inner), inner, generator))

    def cast(self, to: Callable[[Tensor], Tensor]) -> BlockWeights:
        """The weights in the compute dtype, by a function that keeps them connected to the parameters."""
        return BlockWeights(to(self.qkv), to(self.out), to(self.gate_up), to(self.down))


def scaled_swiglu(state_BTD: Tensor, block: BlockWeights, scale_B11: Tensor) -> Tensor:
    """The gated MLP with its branch multiplied by a factor for each sample before the residual joins it."""
    # Two products, as in swiglu's reference: with a factor of 1 the results are the same to the last bit.
    gate, up = (functional.linear(state_BTD, weight) for weight in block.gate_up.chunk(2))
    return residual_norm(functional.silu(gate) * up * scale_B11, block.down, state_BTD)


def run_level(
    blocks: tuple[BlockWeights, ...],
    state_BTD: Tensor,
    injections: tuple[Tensor, ...],
    rotary: tuple[Tensor, Tensor],
    num_heads: int,
    scales: Tensor | None = None,
) -> Tensor:
    """One call of a level: the injections are added once, before its first block.

    scales (layers, B): factor of both branches of each of the last `layers` blocks, for each sample; 1 in the blocks
    before. A projection is linear, so the factor goes onto its input.
    """
    unscaled = len(blocks) if scales is None else len(blocks) - len(scales)
    for number, block in enumerate(blocks):
        added = injections if number == 0 else ()
        residual, attended = recurrent_attention(state_BTD, block.qkv, rotary, num_heads, added)
        if scales is None or number < unscaled:
            state_BTD = residual_norm(attended, block.out, residual)
            state_BTD = swiglu(state_BTD, block.gate_up, block.down)
        else:
            scale_B11 = scales[number - unscaled][:, None, None].to(attended.dtype)
            state_BTD = residual_norm(attended * scale_B11, block.out, residual)
            state_BTD = scaled_swiglu(state_BTD, block, scale_B11)
    return state_BTD

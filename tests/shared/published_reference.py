"""The published HRM and TRM, attention form, as a few lines over a state dict with their names: what an import equals.

Written from the papers (Wang et al. 2025, arXiv 2506.21734, sec. 2 and 4; Jolicoeur-Martineau 2025, arXiv 2510.04871,
fig. 3) and the layouts that the published checkpoints have: rotary pairs are the halves of a head, q, k and v are
stacked in this order, the identity row stands before the grid and is filled up with zeros.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

VOCABULARY = 12


@final
@dataclass(frozen=True)
class Published:
    """Sizes of a small checkpoint. `high` layers 0: TRM, whose levels are one."""

    hidden: int = 64
    inner: int = 256
    heads: int = 2
    low: int = 2
    high: int = 2
    rows: int = 9
    prefix: int = 1
    h_cycles: int = 2
    l_cycles: int = 2

    @property
    def arch(self) -> dict[str, object]:
        """What all_config.yaml says of it."""
        return {
            "hidden_size": self.hidden,
            "num_heads": self.heads,
            "H_cycles": self.h_cycles,
            "L_cycles": self.l_cycles,
            "H_layers": self.high,
            "L_layers": self.low,
            "expansion": 4,
            "pos_encodings": "rope",
            "puzzle_emb_len": self.prefix,
            "halt_max_steps": 16,
            "halt_exploration_prob": 0.1,
        }


HRM = Published()
TRM = Published(high=0, prefix=4, h_cycles=3, l_cycles=2)


def make_state(sizes: Published, prefix: str = "model.inner.", seed: int = 0) -> dict[str, Tensor]:
    """A state dict of random numbers with the published names."""
    draw = torch.Generator().manual_seed(seed)

    def matrix(rows: int, columns: int, scale: float | None = None) -> Tensor:
        return torch.randn(rows, columns, generator=draw) * (columns**-0.5 if scale is None else scale)

    hidden = sizes.hidden
    state = {
        "embed_tokens.embedding_weight": matrix(VOCABULARY, hidden),
        "lm_head.weight": matrix(VOCABULARY, hidden),
        "q_head.weight": matrix(2, hidden),
        "q_head.bias": torch.randn(2, generator=draw),
        "puzzle_emb.weights": matrix(sizes.rows, hidden),
        "H_init": matrix(1, hidden, 1.0)[0],
        "L_init": matrix(1, hidden, 1.0)[0],
    }
    for level, count in (("H", sizes.high), ("L", sizes.low)):
        for layer in range(count):
            name = f"{level}_level.layers.{layer}."
            state[name + "self_attn.qkv_proj.weight"] = matrix(3 * hidden, hidden)
            state[name + "self_attn.o_proj.weight"] = matrix(hidden, hidden)
            state[name + "mlp.gate_up_proj.weight"] = matrix(2 * sizes.inner, hidden)
            state[name + "mlp.down_proj.weight"] = matrix(hidden, sizes.inner)
    return {prefix + name: tensor for name, tensor in state.items()}


def _norm(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)


def _turn(x: Tensor) -> Tensor:
    """Rotary positions, (B, heads, T, d): the pairs are (i, i + d / 2)."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[2])[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)


def reference(
    state: dict[str, Tensor], sizes: Published, tokens: Tensor, identity: Tensor, segments: int
) -> tuple[Tensor, Tensor]:
    """logits (B, T, V) and halting logits (B, 2) after so many segments."""
    weights = {name.removeprefix("model.inner."): tensor for name, tensor in state.items()}

    def block(x: Tensor, name: str) -> Tensor:
        q, k, v = (x @ weights[name + "self_attn.qkv_proj.weight"].T).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (sizes.heads, -1)).transpose(1, 2) for part in (q, k, v))
        q, k = _turn(q).to(x.dtype), _turn(k).to(x.dtype)
        seen = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1) @ v
        x = _norm(x + seen.transpose(1, 2).flatten(2) @ weights[name + "self_attn.o_proj.weight"].T)
        gate, up = (x @ weights[name + "mlp.gate_up_proj.weight"].T).chunk(2, dim=-1)
        return _norm(x + (functional.silu(gate) * up) @ weights[name + "mlp.down_proj.weight"].T)

    def level(name: str, x: Tensor) -> Tensor:
        for layer in range(sizes.high if name == "H" else sizes.low):
            x = block(x, f"{name}_level.layers.{layer}.")
        return x

    high = "H" if sizes.high else "L"
    cells = weights["embed_tokens.embedding_weight"][tokens]
    before = cells.new_zeros(len(cells), sizes.prefix, sizes.hidden)
    before[:, 0] = weights["puzzle_emb.weights"][identity]
    x = math.sqrt(sizes.hidden) * torch.cat([before, cells], dim=1)
    z_high, z_low = weights["H_init"].expand_as(x), weights["L_init"].expand_as(x)
    for _ in range(segments * sizes.h_cycles):
        for _ in range(sizes.l_cycles):
            z_low = level("L", z_low + z_high + x)
        z_high = level(high, z_high + z_low)
    halting = z_high[:, 0] @ weights["q_head.weight"].T + weights["q_head.bias"]
    return z_high[:, sizes.prefix :] @ weights["lm_head.weight"].T, halting

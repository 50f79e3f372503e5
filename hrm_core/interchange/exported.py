"""A model for other runtimes: one canvas, one batch size, its loop inside, in operations that every exporter knows.

Interchange room: HRM -> ExportedModel, tokens (B, T) int32 and identity rows (B,) int64 -> token logits (B, T, V) and
halting logits (B, 2), fp32. It computes what `model/inference.run_logits` does, which it is compared with after every
export; written again, because the model's own operations choose kernels, turn pairs as complex numbers and record
gradients, none of which crosses the border. The view is the published one: no flip, every colour itself.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch._higher_order_ops import while_loop
from torch.nn import functional

from hrm_core.errors import UserError
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import published_identity, run_logits, wants_halt
from hrm_core.model.layers import Block
from triton_kernels import runtime

EPS = 1e-5  # residual_norm's


def turn(x_BHTE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Turns each pair (x[2i], x[2i+1]) by its position's angle: multiplied, swapped, added; nothing is complex."""
    swapped = x_BHTE.reshape(*x_BHTE.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return x_BHTE * cos_TE + swapped * sin_TE


def normed(x_BTD: Tensor) -> Tensor:
    """RMSNorm without gain, written out: not every exporter has it as one operation."""
    return x_BTD * torch.rsqrt(x_BTD.square().mean(-1, keepdim=True) + EPS)


@final
class PlainBlock(nn.Module):
    """One post-norm block: attention with rotary positions, gated MLP. Weights are fp32 and fixed."""

    def __init__(self, block: Block, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # Each in memory of its own: a loop of a graph refuses views of one another.
        gate, up = (half.clone() for half in block.gate_up.detach().chunk(2))
        self.qkv, self.out = nn.Buffer(block.qkv.detach().clone()), nn.Buffer(block.out.detach().clone())
        self.gate, self.up, self.down = nn.Buffer(gate), nn.Buffer(up), nn.Buffer(block.down.detach().clone())

    def forward(self, state_BTD: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
        """state (B, T, D) -> (B, T, D)."""
        batch, tokens, hidden = state_BTD.shape
        heads = (batch, tokens, 3, self.heads, hidden // self.heads)
        query, key, value = functional.linear(state_BTD, self.qkv).view(heads).permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(
            turn(query, cos_TE, sin_TE), turn(key, cos_TE, sin_TE), value
        )
        attended_BTD = attended.transpose(1, 2).reshape(batch, tokens, hidden)
        state_BTD = normed(state_BTD + functional.linear(attended_BTD, self.out))
        inner = functional.silu(functional.linear(state_BTD, self.gate)) * functional.linear(state_BTD, self.up)
        return normed(state_BTD + functional.linear(inner, self.down))


@final
class ExportedModel(nn.Module):
    """What is exported. The segments are a loop of the graph, not copies of it: its size does not grow with them.

    `halting`: a sample keeps the state it had when its Q head said halt, and the loop ends when all have halted;
    otherwise every sample has all `segments`, as in evaluation.
    """

    def __init__(self, model: HRM, side: int, segments: int, halting: bool = False) -> None:
        super().__init__()
        if model.object_features is not None:
            raise UserError(
                "this model reads features of objects (input.object_features), which are found on the host before "
                "every call\nand are no part of a graph: only `--to safetensors` can be written"
            )
        config, self.kind = model.recipe.model, model.recipe.halting.kind
        self.segments, self.halting, self.inject = segments, halting, config.inject_input
        self.h_cycles, self.l_cycles = config.h_cycles, config.l_cycles
        self.prefix = model.recipe.identity.prefix_tokens
        self.place = "nowhere" if model.rows.kind == "none" else model.recipe.identity.place
        self.scale = model.embeddings.scale
        blocks = [
            nn.ModuleList(PlainBlock(block, config.heads) for block in level if isinstance(block, Block))
            for level in (model.low, model.high)
        ]
        self.low = blocks[0]
        self.high = blocks[1] if len(blocks[1]) else blocks[0]
        cos, sin = (table.clone() for table in model.rotary(side))
        self.cos, self.sin = nn.Buffer(cos), nn.Buffer(sin)
        self.token, self.head = (nn.Buffer(weight.detach().clone()) for weight in (model.embeddings.token, model.head))
        self.q_weight, self.q_bias = (nn.Buffer(weight.detach().clone()) for weight in (model.q_weight, model.q_bias))
        self.high_start, self.low_start = nn.Buffer(model.high_start.clone()), nn.Buffer(model.low_start.clone())
        self.rows = nn.Buffer(rows_as_published(model))

    def embed(self, tokens_BT: Tensor, row_B: Tensor) -> Tensor:
        """tokens and rows -> (B, prefix + T, D)."""
        cells = functional.embedding(tokens_BT, self.token)
        prefix = cells.new_zeros(cells.shape[0], self.prefix, cells.shape[-1])
        if self.place != "nowhere":
            vector = functional.embedding(row_B, self.rows)[:, None]
            if self.place in ("tokens", "both"):
                cells = cells + vector
            if self.place in ("prefix", "both"):
                prefix = torch.cat([vector, prefix[:, 1:]], dim=1)
        return torch.cat([prefix, cells], dim=1) * self.scale

    def level(self, blocks: nn.ModuleList, state_BTD: Tensor) -> Tensor:
        """One call of a level."""
        for block in blocks:
            state_BTD = block(state_BTD, self.cos, self.sin)
        return state_BTD

    def segment(self, high: Tensor, low: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """One segment of reasoning."""
        for _ in range(self.h_cycles):
            for _ in range(self.l_cycles):
                low = self.level(self.low, low + high + embedded if self.inject else low + high)
            high = self.level(self.high, high + low)
        return high, low

    def q_logits(self, high: Tensor) -> Tensor:
        """(B, T, D) -> (B, 2)."""
        return functional.linear(high[:, 0], self.q_weight, self.q_bias)

    def forward(self, tokens_BT: Tensor, row_B: Tensor) -> tuple[Tensor, Tensor]:
        """Token logits (B, T, V) and halting logits (B, 2) after the last segment."""
        embedded = self.embed(tokens_BT, row_B)
        high = self.high_start.expand(embedded.shape).clone()
        low = self.low_start.expand(embedded.shape).clone()
        if not self.inject:
            low = low + embedded

        def more(count: Tensor, going: Tensor, high: Tensor, low: Tensor) -> Tensor:
            return (count < self.segments) & going.any()

        def step(count: Tensor, going: Tensor, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            next_high, next_low = self.segment(high, low, embedded)
            if not self.halting:
                return count + 1, going.clone(), next_high, next_low
            kept = going[:, None, None]
            next_high, next_low = torch.where(kept, next_high, high), torch.where(kept, next_low, low)
            stays = going & (wants_halt(self.q_logits(next_high), self.kind) <= 0)
            return count + 1, stays, next_high, next_low

        count = torch.zeros((), dtype=torch.int64, device=embedded.device)
        going = torch.ones(embedded.shape[0], dtype=torch.bool, device=embedded.device)
        _, _, high, _ = while_loop(more, step, (count, going, high, low))  # type: ignore[no-untyped-call]
        return functional.linear(high[:, self.prefix :], self.head), self.q_logits(high)


def rows_as_published(model: HRM) -> Tensor:
    """The identity table with what the published view adds to every row, without the scratch row at its end."""
    rows = model.rows.table[:-1]
    if not len(rows):
        return model.rows.table.clone()
    with torch.no_grad():
        numbers = torch.zeros(1, dtype=torch.int64, device=rows.device)
        return model.embeddings.identity_vector(published_identity(model, numbers), rows)


def original_answer(
    model: HRM, tokens_BT: Tensor, row_B: Tensor, side: int, segments: int, halting: bool = False
) -> tuple[Tensor, Tensor]:
    """What the model itself says, by its own code (`run_logits`) in plain PyTorch."""
    with runtime.mode("off"):
        return run_logits(model, tokens_BT, published_identity(model, row_B), side, segments, halting)

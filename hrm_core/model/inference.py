"""Runs all segments of an evaluation on a batch: no gradient, no halting.

Model room: tokens (B, T) int32 and Identity -> SegmentsOutput. Evaluation always runs all segments (as HRM does);
where a sample would have halted is read from the halt logits. `Predictor` is what evaluation calls.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from hrm_core.model.embeddings import NUM_COLORS
from hrm_core.model.hrm import HRM
from hrm_core.model.segment import reasoning_segment
from hrm_core.model.types import Identity, SegmentsOutput
from triton_kernels.act_halting import halting_logits
from triton_kernels.stablemax_loss import stablemax_loss


def wants_halt(q_logits_B2: Tensor, kind: str) -> Tensor:
    """(B, 2) -> (B) fp32, positive where the head would halt: q_halt, or q_halt - q_continue."""
    return q_logits_B2[:, 0] - q_logits_B2[:, 1] if kind == "q_learning" else q_logits_B2[:, 0]


def embed_input(model: HRM, tokens_BT: Tensor, identity: Identity, rows_BD: Tensor, side: int) -> Tensor:
    """The embedded input of a batch from its tokens alone, with their objects' features where the recipe has them.

    For whatever embeds outside the training step; labelling is on the host.
    """
    embedded: Tensor = model.embeddings(tokens_BT, identity, rows_BD, model.dtype)
    if model.object_features is None:
        return embedded
    added: Tensor = model.object_features(embedded, model.object_features.of_tokens(tokens_BT, side), tokens_BT)
    return added


@torch.no_grad()
def run_segments(
    model: HRM,
    tokens_BT: Tensor,
    identity: Identity,
    side: int,
    num_segments: int,
    labels_BT: Tensor | None = None,
    every_segment: bool = False,
) -> SegmentsOutput:
    """Predicts a batch. tokens (B, side * side) int32; labels alike, 0 = not counted in the loss."""
    recipe = model.recipe
    prefix = recipe.identity.prefix_tokens
    weights = model.cast()
    rows = functional.embedding(model.rows.index(identity), model.rows.table)
    embedded = embed_input(model, tokens_BT, identity, rows, side)
    carry = model.start_carry(embedded)
    logits_q: list[Tensor] = []
    kept: list[Tensor] = []
    tokens = torch.zeros_like(tokens_BT, dtype=torch.int64)
    for segment in range(num_segments):
        carry = reasoning_segment(weights, carry, embedded, model.rotary(side), recipe.model)
        q_logits = halting_logits(carry.high[:, 0], model.q_weight, model.q_bias)
        logits_q.append(wants_halt(q_logits, recipe.halting.kind))
        if every_segment or segment == num_segments - 1:
            tokens = functional.linear(carry.high[:, prefix:], weights.head).argmax(-1)
            kept.append(tokens)
    loss = None
    if labels_BT is not None:
        cells = carry.high[:, prefix:]
        loss = stablemax_loss(cells, weights.head, labels_BT, recipe.loss.kind, recipe.loss.include_pad)[0]
    halt_logit = torch.stack(logits_q, dim=1)
    return SegmentsOutput(
        tokens, halt_logit, torch.sigmoid(halt_logit[:, -1]), loss, torch.stack(kept) if every_segment else None
    )


def published_identity(model: HRM, row_B: Tensor) -> Identity:
    """Rows (B) of the identity table in the published view: no flip, every colour itself."""
    pool = model.rows.pool if model.rows.kind == "per_augmentation" else 1
    colors = torch.arange(NUM_COLORS, device=row_B.device).expand(len(row_B), -1)
    return Identity(row_B // pool, torch.zeros_like(row_B), colors, row_B % pool)


@torch.no_grad()
def run_logits(
    model: HRM, tokens_BT: Tensor, identity: Identity, side: int, num_segments: int, halting: bool = False
) -> tuple[Tensor, Tensor]:
    """What the heads say after the last of `num_segments`: token logits (B, T, V) and halting logits (B, 2), fp32.

    `halting`: of each sample after the segment at which its Q head first says halt, at the latest the last.
    """
    weights = model.cast()
    rows = functional.embedding(model.rows.index(identity), model.rows.table)
    embedded = embed_input(model, tokens_BT, identity, rows, side)
    carry = model.start_carry(embedded)
    high, going = carry.high, torch.ones(len(tokens_BT), dtype=torch.bool, device=tokens_BT.device)
    for _ in range(num_segments):
        carry = reasoning_segment(weights, carry, embedded, model.rotary(side), model.recipe.model)
        high = torch.where(going[:, None, None], carry.high, high) if halting else carry.high
        if halting:
            q_logits = halting_logits(high[:, 0], model.q_weight, model.q_bias)
            going = going & (wants_halt(q_logits, model.recipe.halting.kind) <= 0)
    logits = functional.linear(high[:, model.recipe.identity.prefix_tokens :], weights.head).float()
    return logits, halting_logits(high[:, 0], model.q_weight, model.q_bias).float()


@final
class Predictor:
    """A model as evaluation sees it: a callable on a batch of one canvas."""

    def __init__(self, model: HRM) -> None:
        self.model = model

    def __call__(
        self,
        tokens: Tensor,
        identity: Identity,
        side: int,
        labels: Tensor | None = None,
        every_segment: bool = False,
    ) -> SegmentsOutput:
        """See `run_segments`; the number of segments is the recipe's."""
        segments = self.model.recipe.halting.max_segments
        return run_segments(self.model, tokens, identity, side, segments, labels, every_segment)

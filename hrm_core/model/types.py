"""What goes into and comes out of the model, as plain frozen records of tensors.

Model room. Nothing is computed here; `Identity` is written by data admission or evaluation views and read by the
embeddings, `SegmentsOutput` is written by inference and read by evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor


@final
@dataclass(frozen=True)
class Identity:
    """Which task, and in which view: all that the model is told beside the grid.

    task (B) int64 row of the task table; dihedral (B) int64 in 0..7; colors (B, 10) int64, the new colour of each
    colour; augmentation (B) int64 index in the task's pool, 0 = as published.
    """

    task: Tensor
    dihedral: Tensor
    colors: Tensor
    augmentation: Tensor


@final
@dataclass(frozen=True)
class SegmentsOutput:
    """Predictions after all segments of an evaluation.

    tokens (B, T) int64, most likely token at the last segment; halt_logit (B, segments) fp32, above 0 = would halt;
    confidence (B) fp32, sigmoid of the last halt logit; loss (B) fp32, mean token loss of each sample, None without
    labels; tokens_by_segment (segments, B, T) int64 where asked for.
    """

    tokens: Tensor
    halt_logit: Tensor
    confidence: Tensor
    loss: Tensor | None
    tokens_by_segment: Tensor | None

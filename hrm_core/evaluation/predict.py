"""Runs a predictor over one lane, piece by piece, and reads grids from what it predicts.

Evaluation room: LanePairs and an Admission of R rows (views of pairs, perhaps with another pair's input) -> tokens
(R, T), halting logits (R, segments), confidence (R), loss (R), on the host. The predictor may be any callable with
this signature; the model's is `hrm_core.model.inference.Predictor`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrm_core.data.grids import Grid
from hrm_core.data.lanes import LanePairs
from hrm_core.data.streams import Admission
from hrm_core.data.views import decode_grid, invert_grid
from hrm_core.evaluation.metrics import Tokens
from hrm_core.model.types import Identity, SegmentsOutput
from triton_kernels.lay import lay


class PredictsSegments(Protocol):
    """tokens (B, side * side) int32 and labels alike (0 = not counted), on the evaluation's device."""

    def __call__(
        self, tokens: Tensor, identity: Identity, side: int, labels: Tensor | None, every_segment: bool
    ) -> SegmentsOutput:
        """Predict one piece."""
        ...


@final
@dataclass(frozen=True)
class Predicted:
    """R predictions of a lane: tokens (R, T) uint8, halt_logit (R, segments), confidence (R) and loss (R) fp32.

    A confidence that is not a number, from weights that are not, is 0: such a model must be evaluated to be told so.
    by_segment: row -> (segments, T) uint8, for the rows that were asked for.
    """

    tokens: Tokens
    halt_logit: NDArray[np.float32]
    confidence: NDArray[np.float32]
    loss: NDArray[np.float32]
    by_segment: dict[int, Tokens]


@final
@dataclass(frozen=True)
class Runner:
    """How predictions are made: by what, where, in pieces of how many; `on_rows` is told of each piece done. With
    `may_halt` the answer and its confidence are those of the first segment in which the head would halt; all segments
    are still run, and the loss is the last one's.
    """

    predictor: PredictsSegments
    device: torch.device
    batch: int
    on_rows: Callable[[int], None]
    may_halt: bool = False

    def run(
        self, pairs: LanePairs, view: Admission, shown: Tensor | None = None, segments_of: Tensor | None = None
    ) -> Predicted:
        """Predict every row of `view`. `shown` (R) int64: the pair whose input is shown instead of the own;
        `segments_of` (R) bool: rows whose prediction is kept for every segment.
        """
        pairs = pairs.to(self.device)
        rows = len(view.index)
        outputs: list[SegmentsOutput] = []
        by_segment: dict[int, Tokens] = {}
        for start in range(0, rows, self.batch):
            piece = torch.arange(start, min(start + self.batch, rows))
            kept = [] if segments_of is None else piece[segments_of[piece]].tolist()
            every_segment = bool(kept) or self.may_halt
            seen = None if shown is None else shown[piece]
            output = self._piece(pairs, _rows(view, piece, self.device), seen, every_segment)
            if self.may_halt:
                output = _halted(output)
            if output.tokens_by_segment is not None:
                every = output.tokens_by_segment.to(torch.uint8).cpu().numpy()
                by_segment |= {row: every[:, row - start] for row in kept}
            outputs.append(output)
            self.on_rows(len(piece))
        return Predicted(
            tokens=torch.cat([output.tokens for output in outputs]).to(torch.uint8).cpu().numpy(),
            halt_logit=_numbers([output.halt_logit for output in outputs]),
            confidence=np.nan_to_num(_numbers([output.confidence for output in outputs]), nan=0.0),
            loss=_numbers([_loss(output) for output in outputs]),
            by_segment=by_segment,
        )

    def _piece(self, pairs: LanePairs, view: Admission, shown: Tensor | None, every_segment: bool) -> SegmentsOutput:
        grids = (pairs.input, pairs.target, pairs.sizes)
        change = (view.dihedral, view.colors, view.offset)
        tokens, labels = lay(*grids, view.index, *change)
        if shown is not None:
            tokens, _ = lay(*grids, shown.to(self.device), *change)
        identity = Identity(view.task, view.dihedral, view.colors, view.augmentation)
        return self.predictor(tokens, identity, pairs.side, labels, every_segment)


def read_grids(tokens: Tokens, side: int, view: Admission | None = None) -> list[Grid]:
    """Token fields (R, T) -> grids; with `view`, read at its offsets, and turned and coloured back as published."""
    fields = tokens.reshape(-1, side, side)
    if view is None:
        return [decode_grid(field) for field in fields]
    offsets, dihedrals, colors = view.offset.tolist(), view.dihedral.tolist(), view.colors.cpu().numpy()
    return [
        invert_grid(decode_grid(field, (offset[0], offset[1])), dihedral, color)
        for field, offset, dihedral, color in zip(fields, offsets, dihedrals, colors, strict=True)
    ]


def _rows(view: Admission, piece: Tensor, device: torch.device) -> Admission:
    parts = (view.index, view.task, view.dihedral, view.colors, view.offset, view.augmentation)
    return Admission(*(part[piece].to(device) for part in parts))


def _halted(output: SegmentsOutput) -> SegmentsOutput:
    """The output as of the first segment in which each row would halt, the last where none does."""
    assert output.tokens_by_segment is not None
    above = output.halt_logit > 0
    at = torch.where(above.any(dim=1), above.int().argmax(dim=1), above.shape[1] - 1)
    rows = torch.arange(len(at), device=at.device)
    return replace(
        output,
        tokens=output.tokens_by_segment[at, rows],
        confidence=torch.sigmoid(output.halt_logit[rows, at]),
    )


def _loss(output: SegmentsOutput) -> Tensor:
    return torch.full_like(output.confidence, torch.nan) if output.loss is None else output.loss


def _numbers(parts: list[Tensor]) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = torch.cat(parts).float().cpu().numpy()
    return numbers

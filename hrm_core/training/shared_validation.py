"""A validation by all ranks of a run: each predicts its part of every piece, rank 0 puts them together and scores.

Training room: a piece of grids on rank 0 -> what the model says of them, as if one had predicted it. Pieces are cut
where one rank alone would cut them, so that not even rounding tells how many ranks there were. Everything else of a
validation (views, votes, measures, rows) is rank 0's, which alone knows the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, final

import torch
from torch import Tensor

from hrm_core.evaluation.predict import PredictsSegments
from hrm_core.model.inference import Predictor
from hrm_core.model.types import Identity, SegmentsOutput
from hrm_core.training.crew import Crew, Order
from hrm_core.training.shortage import give_back, is_out_of_memory
from hrm_core.training.step import StepParts


@final
class SharedPredictor:
    """Rank 0's predictor for pieces of `grids` for each rank. `predict` is what it does with its own part."""

    def __init__(self, crew: Crew, predict: PredictsSegments, grids: int) -> None:
        self.crew = crew
        self.predict = predict
        self.grids = grids

    def __call__(
        self, tokens: Tensor, identity: Identity, side: int, labels: Tensor | None, every_segment: bool
    ) -> SegmentsOutput:
        """See `run_segments`."""
        if len(tokens) <= self.grids:  # the last rows of a lane, which one rank alone would take at once
            return self.predict(tokens, identity, side, labels, every_segment)
        about = {"rows": len(tokens), "grids": self.grids, "side": side, "every": every_segment}
        piece = about | {"labels": labels is not None}
        self.crew.tell(Order.PREDICT, piece)
        inputs = [tokens, *(getattr(identity, field.name) for field in fields(identity))]
        found = together(self.crew, self.predict, piece, inputs if labels is None else [*inputs, labels])
        if found is None:
            raise torch.OutOfMemoryError("a rank has no memory for its part of a piece")
        return found


@contextmanager
def sharing(crew: Crew | None) -> Iterator[None]:
    """While rank 0 validates: the others wait for pieces, with the weights that are evaluated."""
    if crew is None:
        yield
        return
    crew.tell(Order.VALIDATE)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):  # it is made anew, with smaller pieces
            crew.tell(Order.PREDICTED)
        raise
    crew.tell(Order.PREDICTED)


def take_pieces(crew: Crew, parts: StepParts) -> None:
    """Another rank's part of a validation."""
    predict = Predictor(parts.model)
    with parts.evaluation_weights():
        while True:
            order, piece = crew.hear()
            if order == Order.PREDICTED:
                return
            assert order == Order.PREDICT, order
            device, rows = parts.model.device, piece["rows"]
            cells = torch.zeros(rows, piece["side"] ** 2, dtype=torch.int32, device=device)
            numbers = torch.zeros(rows, dtype=torch.int64, device=device)
            colors = torch.zeros(rows, 10, dtype=torch.int64, device=device)
            made = [cells, numbers, numbers.clone(), colors, numbers.clone()]
            if together(crew, predict, piece, made + ([cells.clone()] if piece["labels"] else [])) is None:
                give_back(device)


def together(
    crew: Crew, predict: PredictsSegments, piece: Mapping[str, Any], inputs: Sequence[Tensor]
) -> SegmentsOutput | None:
    """All ranks: the inputs from rank 0, of which this one predicts its part; on rank 0 everybody's answers. None where
    a rank ran out of memory."""
    rows, grids = piece["rows"], piece["grids"]
    whole = [tensor.contiguous() for tensor in inputs]
    for tensor in whole:
        crew.spread(tensor)
    first = crew.world.rank * grids
    part = [tensor[first : first + grids] for tensor in whole]
    # A rank that has no row left predicts the first one again: its answers show the others' shapes, and are cut off.
    mine = part if len(part[0]) else [tensor[:1] for tensor in whole]
    output = _predicted(predict, piece, mine)
    if crew.any(output is None) or output is None:
        return None

    def collected(values: Tensor | None) -> Tensor | None:
        return None if values is None else crew.collect(values, grids)[:rows]

    every = output.tokens_by_segment
    every = collected(None if every is None else every.transpose(0, 1))
    tokens, halt, sure, loss = map(collected, (output.tokens, output.halt_logit, output.confidence, output.loss))
    assert tokens is not None and halt is not None and sure is not None
    return SegmentsOutput(tokens, halt, sure, loss, None if every is None else every.transpose(0, 1))


def _predicted(predict: PredictsSegments, piece: Mapping[str, Any], inputs: Sequence[Tensor]) -> SegmentsOutput | None:
    labels = inputs[5] if piece["labels"] else None
    try:
        return predict(inputs[0], Identity(*inputs[1:5]), piece["side"], labels, piece["every"])
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None

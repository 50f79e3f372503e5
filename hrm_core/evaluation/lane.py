"""Everything that is measured on one lane: the prediction as published, the swaps, the views that vote.

Evaluation room: LanePairs -> `LaneOutcome`, one entry a pair, to be joined over lanes and turned into a row by
`evaluate.py`. A fast evaluation stops after the prediction as published.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrm_core.data.derange import derange
from hrm_core.data.grids import Grid
from hrm_core.data.lanes import LanePairs, OversizePairs
from hrm_core.data.streams import Admission
from hrm_core.data.views import draw_views
from hrm_core.evaluation.metrics import Bools, Floats, Scores, Targets, score_samples
from hrm_core.evaluation.predict import Predicted, Runner, read_grids
from hrm_core.evaluation.targets import as_published, make_targets
from hrm_core.evaluation.trivial import trivial_fields
from hrm_core.evaluation.voting import Answer, rank_answers, right_rank
from hrm_core.recipe.augment import AugmentConfig


@final
@dataclass(frozen=True)
class Measures:
    """What to measure: views that vote (1: none but the first), swaps, and the keys of the pairs whose grid is kept for
    every segment; `every_segment`: whether exactness after each segment is measured.
    """

    num_views: int
    swap_input: bool
    swap_identity: bool
    segment_keys: Tensor
    every_segment: bool
    augment: AugmentConfig
    seed: int
    frequent_token: int


@final
@dataclass(frozen=True)
class SwapOutcome:
    """Grids of the M pairs that have a partner, predicted as they are and with the swap, and cell accuracies (M)."""

    own: list[Grid]
    swapped: list[Grid]
    own_cells: Floats
    swapped_cells: Floats


@final
@dataclass(frozen=True)
class LaneOutcome:
    """One lane's N pairs. grids: predicted as published; trivial: predictor -> scores; answers: best first, and the
    place of the right one (N); swaps by name, where measured; exact_by_segment (N, segments) bool in a full evaluation.
    """

    pairs: LanePairs
    targets: Targets
    predicted: Predicted
    grids: list[Grid]
    scores: Scores
    trivial: dict[str, Scores]
    answers: list[list[Answer]]
    ranks: NDArray[np.int64]
    swaps: dict[str, SwapOutcome]
    exact_by_segment: Bools | None


def evaluate_lane(runner: Runner, pairs: LanePairs, oversize: OversizePairs, measures: Measures) -> LaneOutcome:
    """Predict and score one lane."""
    targets = make_targets(pairs, oversize)
    view = as_published(pairs)
    every = torch.full((pairs.num_pairs,), measures.every_segment)
    predicted = runner.run(pairs, view, segments_of=every)
    exact_by_segment = _exact_by_segment(predicted, pairs.side, targets) if measures.every_segment else None
    kept = set(torch.isin(pairs.key, measures.segment_keys).nonzero().flatten().tolist())
    fields = {row: tokens for row, tokens in predicted.by_segment.items() if row in kept}
    predicted = replace(predicted, by_segment=fields)
    grids = read_grids(predicted.tokens, pairs.side)
    scores = score_samples(predicted.tokens, grids, targets)
    answers = _vote(runner, pairs, measures, grids, predicted.confidence)
    ranks = [right_rank(ranked, target) for ranked, target in zip(answers, targets.grids, strict=True)]
    return LaneOutcome(
        pairs=pairs,
        targets=targets,
        predicted=predicted,
        grids=grids,
        scores=scores,
        trivial={
            name: score_samples(fields, read_grids(fields, pairs.side), targets)
            for name, fields in trivial_fields(targets.inputs, measures.frequent_token).items()
        },
        answers=answers,
        ranks=np.array(ranks, dtype=np.int64),
        swaps=_swaps(runner, pairs, targets, view, grids, scores["cell_accuracy"], measures),
        exact_by_segment=exact_by_segment,
    )


def _exact_by_segment(predicted: Predicted, side: int, targets: Targets) -> Bools:
    """(N, segments) bool: whether the grid after each segment is the target. Grids that do not change are read once."""
    right = np.zeros(predicted.halt_logit.shape, dtype=np.bool_)
    for row, fields in predicted.by_segment.items():
        for segment, field in enumerate(fields):
            if segment and np.array_equal(field, fields[segment - 1]):
                right[row, segment] = right[row, segment - 1]
            else:
                right[row, segment] = np.array_equal(read_grids(field[None], side)[0], targets.grids[row])
    return right & targets.fits[:, None]


def _vote(
    runner: Runner, pairs: LanePairs, measures: Measures, first: list[Grid], confidence: NDArray[np.float32]
) -> list[list[Answer]]:
    """The prediction as published is the first view; the others are drawn and run here."""
    num_pairs, num_views = pairs.num_pairs, measures.num_views
    if num_views == 1:
        return [rank_answers([grid], [float(sure)]) for grid, sure in zip(first, confidence, strict=True)]
    drawn = draw_views(pairs, torch.arange(num_pairs), measures.augment, num_views, measures.seed)
    others = _take(drawn, torch.arange(num_pairs * num_views) % num_views > 0)
    predicted = runner.run(pairs, others)
    grids = read_grids(predicted.tokens, pairs.side, others)
    answers = []
    for pair in range(num_pairs):
        mine = slice(pair * (num_views - 1), (pair + 1) * (num_views - 1))
        sure = [float(confidence[pair]), *predicted.confidence[mine].tolist()]
        answers.append(rank_answers([first[pair], *grids[mine]], sure))
    return answers


def _swaps(
    runner: Runner,
    pairs: LanePairs,
    targets: Targets,
    view: Admission,
    grids: list[Grid],
    cells: Floats,
    measures: Measures,
) -> dict[str, SwapOutcome]:
    partner, has_partner = derange(pairs)
    rows = has_partner.nonzero().flatten()
    wanted = [name for name, on in (("input", measures.swap_input), ("identity", measures.swap_identity)) if on]
    if not len(rows):
        return {}
    own = _take(view, rows)
    held = Targets(
        targets.labels[rows],
        targets.inputs[rows],
        tuple(targets.grids[row] for row in rows.tolist()),
        targets.fits[rows],
        targets.same_size[rows],
    )
    outcomes = {}
    for name in wanted:
        if name == "input":
            tokens = runner.run(pairs, own, shown=partner[rows]).tokens
        else:
            tokens = runner.run(pairs, replace(own, task=pairs.task[partner[rows]])).tokens
        swapped = read_grids(tokens, pairs.side)
        swapped_cells = score_samples(tokens, swapped, held)["cell_accuracy"]
        outcomes[name] = SwapOutcome([grids[row] for row in rows.tolist()], swapped, cells[rows.numpy()], swapped_cells)
    return outcomes


def _take(view: Admission, rows: Tensor) -> Admission:
    parts = (view.index, view.task, view.dihedral, view.colors, view.offset, view.augmentation)
    return Admission(*(part[rows] for part in parts))

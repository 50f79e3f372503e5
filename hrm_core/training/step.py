"""One training step, on one page: every slot advances one segment, then the weights are updated once.

Training room. Lane by lane: admit into halted slots -> reset their carry -> segment -> heads, loss, metrics -> halt
decision -> backward; then clip, trunk optimizer, task rows, averaging. At named points the recipe's techniques act
(`hrm_core/techniques/points.py`). Loss: sum over the S slots of the mean token
loss of a sample, over S, plus the weighted halting loss likewise (Wang et al. 2025, arXiv 2506.21734, sec. 2).
Nothing here asks the device for a number: no `.item()`, no data-dependent shape, no branch on a tensor; what varies
comes in as 0-d tensors (`Scalars`), what is measured goes into `sums`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional

from hrm_core.data.streams import choose
from hrm_core.learning.averaging import Average
from hrm_core.learning.flat import FlatParameters
from hrm_core.learning.lanes import LaneState
from hrm_core.learning.optimizers import TrunkOptimizer
from hrm_core.learning.rows import RowsOptimizer
from hrm_core.model.copies import WeightCopies
from hrm_core.model.hrm import HRM
from hrm_core.model.segment import Carry, TrunkWeights, reasoning_segment
from hrm_core.recipe.schema import Recipe
from hrm_core.techniques.points import LossView, Techniques
from hrm_core.training.crew import Crew
from triton_kernels import act_halting
from triton_kernels.act_halting import halting_logits
from triton_kernels.fused_update import measure_gradients
from triton_kernels.lay import lay_into
from triton_kernels.stablemax_loss import stablemax_loss


class Sum(IntEnum):
    """Places in the vector of running sums, fp64; the host reads and clears it every `training.log_every` steps."""

    SAMPLES = 0
    TOKEN_LOSS = 1
    HALT_LOSS = 2
    RIGHT = 3
    COUNTED = 4
    HALTED = 5
    HALTED_EXACT = 6
    HALTED_SEGMENTS = 7
    STEPS = 8
    GRADIENT_NORM = 9
    CLIPPED = 10
    NONFINITE = 11


# The places before this one count slots; those from here on count steps, which are the same for all processes.
OF_SLOTS = Sum.STEPS


@final
class Scalars:
    """What the host sets before a step, as 0-d fp32 tensors: the trunk's learning rate and the schedule's factor."""

    def __init__(self, device: torch.device) -> None:
        self.lr = torch.zeros((), device=device)
        self.schedule = torch.zeros((), device=device)


@final
class PieceLimit:
    """How many slots pass through memory together at most. It changes memory, never the result beyond rounding."""

    def __init__(self, slots: int) -> None:
        self.slots = slots


class StepParts(NamedTuple):
    """All that a step works on. Built once by `training/setup.py`; everything in it is changed in place."""

    recipe: Recipe
    model: HRM
    lanes: list[LaneState]
    flat: FlatParameters
    trunk: TrunkOptimizer
    rows: RowsOptimizer
    average: Average
    scalars: Scalars
    sums: Tensor
    num_slots: int
    copies: WeightCopies | None = None
    techniques: Techniques = Techniques()
    limit: PieceLimit | None = None  # `training.batch`, or less after memory ran out
    crew: Crew | None = None  # the other processes that train this run, where there are any

    @property
    def largest_piece(self) -> int:
        """The most slots that pass through memory together."""
        return self.recipe.training.batch if self.limit is None else self.limit.slots

    @property
    def weights_name(self) -> str:
        """What evaluations call the weights that they use now."""
        return self.techniques.weights_name() or self.average.name

    @contextmanager
    def evaluation_weights(self) -> Iterator[None]:
        """Within the block the model has the weights that it is evaluated with; afterwards the raw ones again."""
        with self.average.evaluation_weights(), self.techniques.evaluation_weights():
            yield


def admit(lane: LaneState, recipe: Recipe, techniques: Techniques) -> None:
    """Puts the next sample of its stream into every halted slot; the others keep theirs."""
    seed, augment = recipe.training.seed, recipe.augment
    new = choose(lane.pairs, augment, seed, lane.number, lane.num_slots, lane.slots, lane["admissions"])
    new = techniques.choose(lane, new)
    pairs = lane.pairs
    halted = lane["halted"]
    views = (new.index, new.dihedral, new.colors, new.offset)
    lay_into(pairs.input, pairs.target, lane.sizes, *views, halted, lane["tokens"], lane["labels"])
    fresh = {
        "task": new.task,
        "dihedral": new.dihedral,
        "augmentation": new.augmentation,
        "colors": new.colors,
    }
    for name, value in fresh.items():
        mask = halted if value.dim() == 1 else halted[:, None]
        lane[name].copy_(torch.where(mask, value, lane[name]))
    lane["admissions"].add_(halted)
    lane["segment"].mul_(~halted)
    techniques.admitted(lane, new)


def halting_loss(
    parts: StepParts,
    weights: TrunkWeights,
    carry: Carry,
    embedded: Tensor,
    lane: LaneState,
    piece: slice,
    exact: Tensor,
    logits: Tensor,
) -> Tensor:
    """(B) fp32 loss of the Q head, whose `logits` (B, 2) are of this segment's carry."""
    config = parts.recipe.halting
    model = parts.model
    loss = functional.binary_cross_entropy_with_logits(logits[:, 0], exact.float(), reduction="none")
    if config.kind == "q_learning" and config.bootstrap:
        with torch.no_grad():
            detached = Carry(carry.high.detach(), carry.low.detach())
            following = reasoning_segment(
                weights.detach(), detached, embedded.detach(), model.rotary(lane.side), parts.recipe.model
            )
            next_logits = halting_logits(following.high[:, 0], model.q_weight, model.q_bias)
            last = lane["segment"][piece] + 2 >= config.max_segments
            target = torch.where(last, next_logits[:, 0], next_logits.amax(-1)).sigmoid()
        loss = loss + functional.binary_cross_entropy_with_logits(logits[:, 1], target, reduction="none")
    return loss


def admitted_carry(parts: StepParts, lane: LaneState, piece: slice, embedded: Tensor) -> Carry:
    """The carry that a segment begins with: the start vectors where a new sample has come in.

    The segment reads the lane's buffers themselves; they are written to only after the backward.
    """
    high, low, halted = lane["high"][piece], lane["low"][piece], lane["halted"][piece]
    if parts.recipe.model.inject_input:
        act_halting.reset_carry(high, low, parts.model.high_start, parts.model.low_start, halted)
        return Carry(high, low)
    start, fresh = parts.model.start_carry(embedded), halted[:, None, None]
    return Carry(torch.where(fresh, start.high, high), torch.where(fresh, start.low, low))


def advance(parts: StepParts, lane: LaneState, piece: slice) -> None:
    """One segment for these slots, forward and backward; their carry, counters and halt flags move on."""
    recipe, model, techniques = parts.recipe, parts.model, parts.techniques
    identity = lane.identity(piece)
    rows = functional.embedding(model.rows.index(identity), model.rows.table).requires_grad_()
    embedded = model.embeddings(lane["tokens"][piece], identity, techniques.rows(lane, piece, rows), model.dtype)
    embedded = techniques.embedded(lane, piece, embedded)
    weights = model.cast(parts.copies)
    carry = techniques.carry(lane, piece, admitted_carry(parts, lane, piece, embedded))
    regular = techniques.regularise(lane, piece)
    carry = reasoning_segment(weights, carry, embedded, model.rotary(lane.side), recipe.model, regular)
    cells = carry.high[:, recipe.identity.prefix_tokens :]
    token_loss, right, count, exact = stablemax_loss(
        cells, weights.head, lane["labels"][piece], recipe.loss.kind, recipe.loss.include_pad
    )
    logits = halting_logits(carry.high[:, 0], model.q_weight, model.q_bias)
    halt_loss = halting_loss(parts, weights, carry, embedded, lane, piece, exact, logits)
    view = LossView(lane, piece, carry, cells, logits, token_loss, exact, weights)
    total = techniques.weigh(lane, piece, token_loss).sum() + recipe.halting.weight * halt_loss.sum()
    added = techniques.loss(view)
    total = (total if added is None else total + added.sum()) / parts.num_slots
    total.backward()  # type: ignore[no-untyped-call]
    if rows.grad is not None:
        lane.row_gradients[piece].copy_(rows.grad)
    with torch.no_grad():
        lane["high"][piece].copy_(carry.high)
        lane["low"][piece].copy_(carry.low)
        decide(parts, lane, piece, carry.high, torch.isfinite(token_loss))
        count_sample(parts.sums, lane, piece, token_loss, halt_loss, right, count, exact)
        techniques.decided(view)


def decide(parts: StepParts, lane: LaneState, piece: slice, high_BTD: Tensor, finite: Tensor) -> None:
    """Counts the segment and sets the halt flags. A slot whose loss is not finite is given up for a new sample."""
    config = parts.recipe.halting
    act_halting.decide(
        high_BTD,
        parts.model.q_weight,
        parts.model.q_bias,
        lane["segment"][piece],
        lane["admissions"][piece],
        lane.slots[piece],
        lane["halted"][piece],
        finite,
        seed=parts.recipe.training.seed,
        lane=lane.number,
        num_slots_lane=lane.num_slots,
        kind=config.kind,
        exploration=config.exploration,
        max_segments=config.max_segments,
    )


def count_sample(
    sums: Tensor,
    lane: LaneState,
    piece: slice,
    token_loss: Tensor,
    halt_loss: Tensor,
    right: Tensor,
    count: Tensor,
    exact: Tensor,
) -> None:
    """Adds this piece to the running sums. Exactness is counted when a slot halts, accuracy at every segment."""
    halted = lane["halted"][piece]
    sums[Sum.SAMPLES] += token_loss.shape[0]
    sums[Sum.TOKEN_LOSS] += token_loss.detach().nan_to_num(0.0, 0.0, 0.0).sum()
    sums[Sum.HALT_LOSS] += halt_loss.detach().nan_to_num(0.0, 0.0, 0.0).sum()
    sums[Sum.RIGHT] += right.sum()
    sums[Sum.COUNTED] += count.sum()
    sums[Sum.HALTED] += halted.sum()
    sums[Sum.HALTED_EXACT] += (halted & exact).sum()
    sums[Sum.HALTED_SEGMENTS] += (lane["segment"][piece] * halted).sum()


@torch.no_grad()
def update(parts: StepParts) -> None:
    """Clip, trunk, task rows, averages: once a step. Non-finite gradients leave no trace but in the sums."""
    sums, clip = parts.sums, parts.recipe.optimizer.clip
    measured = parts.techniques.clip(measure_gradients(parts.flat.gradients, clip))
    norm, keep = measured.norm, measured.keep
    average = parts.average.count_step(keep)
    parts.trunk.clip_and_update(parts.scalars.lr, measured, average, parts.techniques.noise(measured))
    if parts.model.rows.kind != "none":
        if parts.crew is None:
            index = torch.cat([parts.model.rows.index(lane.identity()) for lane in parts.lanes])
            gradients = torch.cat([lane.row_gradients for lane in parts.lanes])
        else:
            index, gradients = parts.crew.index, parts.crew.gradients
        parts.rows.update(index, gradients.nan_to_num(0.0, 0.0, 0.0), parts.scalars.schedule, keep)
    parts.average.take_rows(average)
    sums[Sum.STEPS] += 1
    sums[Sum.GRADIENT_NORM] += norm.nan_to_num(0.0, 0.0, 0.0)
    if clip is not None:
        sums[Sum.CLIPPED] += norm > clip
    sums[Sum.NONFINITE] += 1 - keep


def begin(parts: StepParts) -> None:
    """Casts the weights once for all lanes; with fp32 there is nothing to cast."""
    if parts.copies is not None:
        parts.copies.refresh()


def step_lane(parts: StepParts, lane: LaneState) -> None:
    """Advances every slot of one lane one segment; the gradients are added to those of the lanes before."""
    if not lane.count:
        return  # more processes than slots: the others have them
    with torch.no_grad():
        admit(lane, parts.recipe, parts.techniques)
    for piece in lane.pieces(parts.largest_piece):
        advance(parts, lane, piece)


def exchange(parts: StepParts) -> None:
    """Brings the gradients of all processes that train this run together. No graph captures it."""
    if parts.crew is not None:
        parts.crew.exchange(parts)


def train_step(parts: StepParts) -> None:
    """Advances every slot one segment and updates the weights once. `graphs.py` captures all but the exchange."""
    begin(parts)
    for lane in parts.lanes:
        step_lane(parts, lane)
    exchange(parts)
    update(parts)

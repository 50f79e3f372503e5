"""EXP-09: a share of the slots holds hard samples of the recent past instead of the stream's next.

Techniques room. The plan: the 10,000 hardest samples of the last hour, 20 % of the minibatches, first in first out;
second arm with the importance weights of prioritized experience replay (Schaul et al. 2015, arXiv 1511.05952,
sections 3.3 and 3.4).

What differs from the plan, and why. Hardness is the token loss at one and the same segment (the second) for all
samples, per token, so that neither big grids nor samples that think long win. A slot's segment is the unit, not the
minibatch: `share` of the slots hold a replayed sample at any time. Kept are whole recipes of a sample (pair,
augmentation, offset), never its tokens or carry. The buffer is at most a tenth of the window's admissions, which are
steps x slots over the mean segments of a sample, taken as half of `halting.max_segments`; a lane has its share by
slots. Lanes hold training pairs only, so no test pair is ever replayed. The stream's own entry is passed over, not
postponed: slot k's n-th admission stays entry k + n S, so whoever replays less sees no other stream.

What the literature found: the hardest are often ambiguous rather than useful, and halting is a replay already (what is
not solved stays up to `max_segments`). Importance weights undo the preference among what is drawn from the buffer;
that only the hardest are in it they cannot undo. Measured: `replay_loss` and `replay_fresh_loss` at the same segment
(the first falling far below the second is overfitting to the buffer), `replay_drawn_loss`, which is what the replayed
samples had when they were drawn.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from hrm_core.data.streams import Admission, augmentation_of, pool_size
from hrm_core.learning.lanes import LaneState
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.techniques import ReplayConfig
from hrm_core.techniques.points import Bench, Event, LossView, Plug
from hrm_core.techniques.purposes import REPLAY_ENTRY, REPLAY_SLOT
from hrm_core.techniques.replay_file import FILE, load_rings, rings_to_bytes
from hrm_core.techniques.replay_ring import NOTHING, Int, Real, Ring, draw_by_priority, draw_uniform
from hrm_core.techniques.timeline import NEVER, Timeline
from triton_kernels.act_halting.reference import halting_entropy
from triton_kernels.hashing import hash32

HARD_SEGMENT = 2  # the first is often the same guess for all samples of a task
FILLED = 20  # replay begins when one in so many places is taken: a few samples would otherwise fill every slot


class Measure(IntEnum):
    """Places in the running sums, fp64."""

    SLOTS = 0
    REPLAYED = 1
    LOSS = 2
    LOSSES = 3
    FRESH_LOSS = 4
    FRESH_LOSSES = 5
    AGE = 6
    DRAWN_LOSS = 7
    DRAWN = 8


def capacity(config: ReplayConfig, window: int, slots: int, max_segments: int) -> int:
    """Samples that all lanes keep together: `config.capacity`, at most a tenth of the window's admissions."""
    return max(1, min(config.capacity, int(window * slots / max(max_segments / 2, 1) / 10)))


def lane_capacity(total: int, lane_slots: int, slots: int) -> int:
    """A lane's part of it, by slots; at least 1."""
    return max(1, total * lane_slots // slots)


def replay_slots(config: ReplayConfig, slots: Sequence[int]) -> list[int]:
    """How many slots of each lane are to hold a replayed sample: `share` of all, never more than `cap`, dealt to the
    lanes by largest remainder."""
    total = sum(slots)
    wanted = min(round(config.share * total), int(config.cap * total))
    exact = [wanted * count / total for count in slots]
    dealt = [int(part) for part in exact]
    for lane in sorted(range(len(slots)), key=lambda lane: (dealt[lane] - exact[lane], lane))[: wanted - sum(dealt)]:
        dealt[lane] += 1
    return dealt


def planned_window(recipe: Recipe) -> int:
    """Steps of the window as far as the recipe alone tells; NEVER where it is time."""
    length = recipe.training.max_steps
    config = recipe.techniques.replay
    assert config is not None
    return Timeline(length if isinstance(length, int) else NEVER).steps(config.window)


@final
class Replay:
    """The technique of one run: a ring for each lane, and what is measured."""

    def __init__(self, config: ReplayConfig, bench: Bench) -> None:
        self.config, self.bench, self.recipe = config, bench, bench.recipe
        device = bench.flat.values.device
        self.rings: WeakKeyDictionary[LaneState, Ring] = WeakKeyDictionary()
        self.pending: list[tuple[Tensor, Tensor, Tensor]] = []  # of the pieces of the lane at work
        self.segment = min(HARD_SEGMENT, self.recipe.halting.max_segments)
        self.slots = self.recipe.training.batch * self.recipe.training.accumulation
        self.pool = pool_size(self.recipe.augment)
        self.now = torch.zeros((), dtype=torch.int64, device=device)
        self.oldest = torch.zeros((), dtype=torch.int64, device=device)
        self.clock = torch.zeros((), dtype=torch.float64, device=device)
        self.beta = torch.full((), config.beta, device=device)
        self.sums = torch.zeros(len(Measure), dtype=torch.float64, device=device)

    def plug(self) -> Plug:
        """Its points."""
        return Plug(
            name="replay",
            attach=self.attach,
            choose=self.choose,
            admitted=self.admitted,
            weigh=self.weigh if self.config.importance else None,
            decided=self.decided,
            before_step=self.before_step,
            row=self.row,
            tensors={"sums": self.sums},
            scratch=self.scratch,
            save_files=lambda: {FILE: rings_to_bytes(self.bench.lanes, self.rings)},
            load_files=self.load_files,
        )

    def attach(self, lane: LaneState) -> None:
        """A ring for the lane and, for each slot: whether it is replayed, since when its sample is known, its pair and
        offset (the lane itself does not keep those), its weight."""
        total = capacity(self.config, planned_window(self.recipe), self.slots, self.recipe.halting.max_segments)
        device, count = lane.slots.device, lane.num_slots
        self.rings[lane] = Ring(lane_capacity(total, count, self.slots), lane.pairs.task, self.pool, lane.side)
        lane.buffers["replay_flag"] = torch.zeros(count, dtype=torch.bool, device=device)
        lane.buffers["replay_since"] = torch.zeros(count, dtype=torch.int64, device=device)
        lane.buffers["replay_index"] = torch.zeros(count, dtype=torch.int64, device=device)
        lane.buffers["replay_offset"] = torch.zeros(count, 2, dtype=torch.int64, device=device)
        if self.config.importance:
            lane.buffers["replay_weight"] = torch.ones(count, device=device)

    def scratch(self) -> Mapping[str, Tensor]:
        """The rings: put back after a capture; in a checkpoint they are `replay.h5`."""
        return {
            f"lane_{lane.side}.{name}": value
            for lane in self.bench.lanes
            for name, value in self.rings[lane].tensors().items()
        }

    def choose(self, lane: LaneState, admission: Admission) -> Admission:
        """As many of the halted slots as are missing take a sample from the ring, the rest what they would have."""
        ring, seed = self.rings[lane], self.recipe.training.seed
        halted, flag = lane["halted"], lane["replay_flag"]
        target = replay_slots(self.config, [each.num_slots for each in self.bench.lanes])[self.bench.lanes.index(lane)]
        entry = lane.slots + lane["admissions"] * lane.num_slots
        missing = (target - (flag & ~halted).sum()) * (ring.count >= (ring.limit + FILLED - 1) // FILLED)
        word = hash32(seed, REPLAY_SLOT, lane.number, entry) * lane.num_slots + lane.slots  # made unique
        rank = torch.argsort(torch.argsort(torch.where(halted, word, torch.iinfo(torch.int64).max), stable=True))
        replayed = halted & (rank < missing)
        words = hash32(seed, REPLAY_ENTRY, lane.number, entry, 0), hash32(seed, REPLAY_ENTRY, lane.number, entry, 1)
        if self.config.importance:
            place, weight = draw_by_priority(ring, *words, self.config.alpha, self.beta)
            new = torch.where(replayed, weight, 1.0)
            lane["replay_weight"].copy_(torch.where(halted, new, lane["replay_weight"]))
        else:
            place = draw_uniform(ring, words[0])
        ints = ring.ints[place]
        flag.copy_(torch.where(halted, replayed, flag))
        lane["replay_since"].copy_(torch.where(halted, ints[:, Int.STEP], lane["replay_since"]))
        drawn = torch.where(replayed, ring.reals[place, Real.LOSS], 0.0)
        self.sums[Measure.AGE] += ((self.now - ints[:, Int.STEP]) * replayed).sum()
        self.sums[Measure.DRAWN_LOSS] += drawn.sum()
        self.sums[Measure.DRAWN] += replayed.sum()
        return self._admission(lane, ints).where(replayed, admission)

    def _admission(self, lane: LaneState, ints_S: Tensor) -> Admission:
        """The samples of these rows, as they were when the stream gave them."""
        index, augmentation = ints_S[:, Int.INDEX], ints_S[:, Int.AUGMENTATION]
        task = lane.pairs.task[index]
        dihedral, colors = augmentation_of(self.recipe.augment, self.recipe.training.seed, task, augmentation)
        return Admission(index, task, dihedral, colors, ints_S[:, Int.ROW : Int.COLUMN + 1], augmentation)

    def admitted(self, lane: LaneState, admission: Admission) -> None:
        """Keeps of each sample what the lane's own buffers do not."""
        halted = lane["halted"]
        lane["replay_index"].copy_(torch.where(halted, admission.index, lane["replay_index"]))
        lane["replay_offset"].copy_(torch.where(halted[:, None], admission.offset, lane["replay_offset"]))

    def weigh(self, lane: LaneState, piece: slice) -> Tensor:
        """Importance weights: 1 for the stream's own samples."""
        return lane["replay_weight"][piece]

    def decided(self, view: LossView) -> None:
        """Notes the samples that have had just so many segments; with the lane's last piece they go into the ring."""
        lane, piece = view.lane, view.piece
        if piece.start == 0:
            self.pending.clear()
        segment, flag = lane["segment"][piece], lane["replay_flag"][piece]
        at_segment = (segment == self.segment) & torch.isfinite(view.token_loss)
        # Who halts before is solved, or given up for a loss that is not finite: its earlier row is true no longer.
        seen = (segment == self.segment) | (lane["halted"][piece] & (segment < self.segment))
        loss = view.token_loss.detach().double().clamp(min=0.0)
        logits = view.halt_logits.detach()
        logit = logits[:, 0] - logits[:, 1] if self.recipe.halting.kind == "q_learning" else logits[:, 0]
        ints = torch.stack(
            [
                lane["replay_index"][piece],
                lane["augmentation"][piece],
                lane["replay_offset"][piece, 0],
                lane["replay_offset"][piece, 1],
                segment,
                torch.where(flag, lane["replay_since"][piece], self.now),
            ],
            dim=1,
        )
        recorded = torch.where(at_segment, loss, NOTHING)
        reals = torch.stack([recorded, halting_entropy(logit).double(), self.clock.expand(len(loss))], dim=1)
        self.pending.append((ints, reals, seen))
        self._measure(loss, at_segment, flag)
        if piece.stop == lane.num_slots:
            whole_ints, whole_reals, whole_seen = (torch.cat(parts) for parts in zip(*self.pending, strict=True))
            self.rings[lane].insert(whole_ints, whole_reals, whole_seen, self.oldest)
            self.pending.clear()

    def _measure(self, loss: Tensor, at_segment: Tensor, flag: Tensor) -> None:
        for group, place in ((at_segment & flag, Measure.LOSS), (at_segment & ~flag, Measure.FRESH_LOSS)):
            self.sums[place] += torch.where(group, loss, 0.0).sum()
            self.sums[place + 1] += group.sum()
        self.sums[Measure.SLOTS] += len(flag)
        self.sums[Measure.REPLAYED] += flag.sum()

    def before_step(self, step: int) -> Sequence[Event]:
        """Sets the window, the limits that follow from it, the time and the exponent of the weights."""
        timeline = self.bench.timeline
        window = timeline.steps(self.config.window)
        self.now.fill_(step)
        self.oldest.fill_(max(0, step + 1 - window))  # a row that lives through this step is of use to the next
        self.clock.fill_(time.time())
        done = min(1.0, step / timeline.max_steps)
        self.beta.fill_(self.config.beta + (1.0 - self.config.beta) * done)
        total = capacity(self.config, window, self.slots, self.recipe.halting.max_segments)
        for lane in self.bench.lanes:
            ring = self.rings[lane]
            limit = min(ring.size, lane_capacity(total, lane.num_slots, self.slots))
            ring.limit.fill_(limit)
            ring.per_task.fill_(max(1, int(self.config.task_share * limit)))
        return ()

    def row(self, row: dict[str, Any]) -> Sequence[Event]:
        """Columns of the metrics; None where nothing was counted."""
        sums = self.sums.tolist()
        self.sums.zero_()

        def mean(total: Measure, count: Measure) -> float | None:
            return sums[total] / sums[count] if sums[count] else None

        rings = [self.rings[lane] for lane in self.bench.lanes]
        row["replay_fill"] = sum(int(ring.count) for ring in rings) / sum(int(ring.limit) for ring in rings)
        row["replay_share"] = mean(Measure.REPLAYED, Measure.SLOTS)
        row["replay_loss"] = mean(Measure.LOSS, Measure.LOSSES)
        row["replay_fresh_loss"] = mean(Measure.FRESH_LOSS, Measure.FRESH_LOSSES)
        row["replay_drawn_loss"] = mean(Measure.DRAWN_LOSS, Measure.DRAWN)
        row["replay_age"] = mean(Measure.AGE, Measure.DRAWN)
        return ()

    def load_files(self, folder: Path) -> None:
        """The rings as the checkpoint has them."""
        load_rings(folder / FILE, self.bench.lanes, self.rings, self.recipe)

"""EXP-05: a charge on the halting head, either its indecision in late segments or PonderNet's divergence.

Techniques room; points `admitted`, `loss`, `decided`, `row`. p = sigmoid(d) is the probability of halting, d = q_halt,
or q_halt - q_continue with Q-learning.

entropy (the plan's): weight x H(p) in every segment after the first `after`. dH/dd = -d p (1 - p): nothing at d = 0,
and |d| grows whether the head is right or wrong, so calibration is what to watch.

geometric (PonderNet, Banino et al. 2021, arXiv 2107.05407, eq. 6, its regularising term): KL(p_n || g_n), p_n = p(halts
at n) = l_n S_n with S_n = prod over j < n of (1 - l_j), g_n geometric of rate r; both end at N = max_segments, where a
slot halts in any case. A step has one segment of a slot, so the sum is taken apart by the chain rule of the divergence:

    KL(p || g) = sum over n < N of S_n k(l_n, r),    k(l, r) = l log(l / r) + (1 - l) log((1 - l) / (1 - r)),

since g halts at rate r whatever n is, and at N neither has a choice. Each segment adds its own term; S_n is a number
kept for each slot, without gradient. The terms p_n log(p_n / g_n) add up to the same, but with S_n held fixed their
slope is 0 at l = r / e in the first segment, not at r, so they are not what is used. Ours differs from PonderNet: the
token loss is not weighted by p_n, what halts has no later terms, and of S_n's own gradient nothing is kept.

Reported: halting hardly changes accuracy at evaluation. Columns: mean entropy by segment, and how many halted after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

from hrm_core.data.streams import Admission
from hrm_core.learning.lanes import LaneState
from hrm_core.model.inference import wants_halt
from hrm_core.recipe.techniques import HaltingEntropyConfig
from hrm_core.techniques.points import Bench, Event, LossView, Plug
from triton_kernels.act_halting import halting_logits

SURVIVAL = "halting_entropy_survival"


def coin_entropy(logit: Tensor) -> Tensor:
    """Entropy in nats of a coin of probability sigmoid(d): softplus(-|d|) + |d| sigmoid(-|d|)."""
    size = logit.abs()
    return functional.softplus(-size) + size * torch.sigmoid(-size)


def coin_divergence(logit: Tensor, rate: float) -> Tensor:
    """KL in nats of a coin of probability sigmoid(d) from one of probability `rate`."""
    chance = torch.sigmoid(logit)
    return -coin_entropy(logit) - chance * math.log(rate) - (1.0 - chance) * math.log1p(-rate)


@final
class HaltingEntropy:
    """Sums by segment number, fp64: entropies, segments, halts; and what each slot has survived (geometric)."""

    def __init__(self, config: HaltingEntropyConfig, bench: Bench) -> None:
        self.config = config
        self.bench = bench
        self.last = bench.recipe.halting.max_segments
        device = bench.model.device
        self.numbers = torch.arange(1, self.last + 1, device=device)
        self.sums = torch.zeros(3, self.last, dtype=torch.float64, device=device)

    def attach(self, lane: LaneState) -> None:
        """One number a slot."""
        lane.buffers[SURVIVAL] = torch.ones(lane.count, device=lane.slots.device)

    def admitted(self, lane: LaneState, admission: Admission) -> None:
        """A new sample has survived everything."""
        lane[SURVIVAL].copy_(torch.where(lane["halted"], 1.0, lane[SURVIVAL]))

    def loss(self, view: LossView) -> Tensor:
        """The segment's charge."""
        logits, model, config = view.halt_logits, self.bench.model, self.config
        if config.through == "head":
            logits = halting_logits(view.carry.high[:, 0].detach(), model.q_weight, model.q_bias)
        logit = wants_halt(logits, self.bench.recipe.halting.kind)
        before = view.lane["segment"][view.piece]
        if config.kind == "entropy":
            return config.weight * coin_entropy(logit) * (before >= config.after)
        charge = view.lane[SURVIVAL][view.piece] * (before + 1 < self.last)
        return config.weight * coin_divergence(logit, config.rate) * charge

    def decided(self, view: LossView) -> None:
        """Counts the segment, and what is left of the slot's chance of getting beyond it."""
        lane, piece = view.lane, view.piece
        logit = wants_halt(view.halt_logits.detach(), self.bench.recipe.halting.kind)
        here = (lane["segment"][piece][:, None] == self.numbers).double()
        entropy = coin_entropy(logit).nan_to_num(0.0, 0.0, 0.0).double()
        self.sums[0] += (entropy[:, None] * here).sum(0)
        self.sums[1] += here.sum(0)
        self.sums[2] += (lane["halted"][piece][:, None] * here).sum(0)
        if self.config.kind == "geometric":
            lane[SURVIVAL][piece].mul_(torch.sigmoid(-logit))

    def row(self, columns: dict[str, Any]) -> Sequence[Event]:
        """By segment, from the first: mean entropy in nats (None where no slot was), halts; since the last row."""
        entropies, segments, halts = self.sums.tolist()
        self.sums.zero_()
        columns["halting_entropy_by_segment"] = [
            total / count if count else None for total, count in zip(entropies, segments, strict=True)
        ]
        columns["halting_histogram"] = [int(count) for count in halts]
        return ()

    def plug(self) -> Plug:
        """Its points."""
        geometric = self.config.kind == "geometric"
        return Plug(
            "halting_entropy",
            attach=self.attach if geometric else None,
            admitted=self.admitted if geometric else None,
            loss=self.loss,
            decided=self.decided,
            row=self.row,
            tensors={"sums": self.sums},
            summed=(self.sums,),
        )

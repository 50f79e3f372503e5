"""EXP-07: small grids first, in stages of growing canvases.

Techniques room; points `before_step`, `row`, `pace`, `remember`, `recall`. A stage has a scale of the largest canvas,
and lanes of its own, which take the place of those before in the step's own list; slots start afresh. It ends at a step
or at a time on the run's clock, which counts training only. Validation is at full size always.

downsample (the plan): every training pair, input and output, shrunk by nearest neighbour, h' = max(1, round(scale h)),
on the stage's one canvas. Shrinking makes most labels wrong: of ARC-AGI-1's 2,665 training outputs 95.6 % cannot be had
back from 18 of 30, 91.2 % from 24. How many of this run's, the event says.
fit (second arm): whole pairs of the tasks that fit the stage, on the recipe's own canvases: a task's known side is at
most the stage's, and its canvas at most the smallest that holds the stage's. On the default canvases these are the row
ranges of the HDF5 file's `/curriculum/`. Large tasks get fewer visits so.

Ours: kin are length buckets from the first step, which is EXP-00; VARC (arXiv 2511.14761) scales grids up, not down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from hrm_core.data.dataset import Dataset
from hrm_core.data.grids import OUTSIDE
from hrm_core.data.lanes import LanePairs
from hrm_core.errors import UserError
from hrm_core.learning.lanes import LaneState, build_lanes
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.stages import mean_seconds, stage_sides, step_flops
from hrm_core.recipe.techniques import CurriculumConfig
from hrm_core.techniques.points import Bench, Event, Plug

# Lanes of different stages draw differently: their numbers are so far apart.
LANE_NUMBERS = 64


def resample(grids: Tensor, height: Tensor, width: Tensor, new_height: Tensor, new_width: Tensor, side: int) -> Tensor:
    """Nearest neighbour: grids (N, a, a) uint8, sizes (N) int64 -> (N, side, side), OUTSIDE beyond the new sizes.

    New cell i of h' shows the old cell of h under its centre: (2 i + 1) h // (2 h').
    """
    places = torch.arange(side)
    rows = ((2 * places + 1) * height[:, None] // (2 * new_height[:, None])).clamp(max=grids.shape[1] - 1)
    columns = ((2 * places + 1) * width[:, None] // (2 * new_width[:, None])).clamp(max=grids.shape[2] - 1)
    taken = grids[torch.arange(len(grids))[:, None, None], rows[:, :, None], columns[:, None, :]]
    inside = (places < new_height[:, None])[:, :, None] & (places < new_width[:, None])[:, None, :]
    return torch.where(inside, taken, OUTSIDE).to(torch.uint8)


def shrunk_size(size: Tensor, scale: float) -> Tensor:
    """max(1, round(scale x size)) of (N) int64."""
    return (size.double() * scale).round().long().clamp(min=1)


def shrink(pairs: LanePairs, scale: float, side: int) -> LanePairs:
    """The pairs at `scale` on a canvas of this side; the same pairs at scale 1."""
    if scale == 1.0 and side == pairs.side:
        return pairs
    changed: dict[str, Tensor] = {}
    for name in ("input", "target"):
        height, width = getattr(pairs, f"{name}_height"), getattr(pairs, f"{name}_width")
        changed[f"{name}_height"], changed[f"{name}_width"] = shrunk_size(height, scale), shrunk_size(width, scale)
        sizes = (changed[f"{name}_height"], changed[f"{name}_width"])
        changed[name] = resample(getattr(pairs, name), height, width, *sizes, side)
    return replace(pairs, side=side, **changed)


def lost_labels(pairs: LanePairs, shrunk: LanePairs) -> int:
    """How many targets differ from their shrunk form enlarged back by nearest neighbour: nothing can restore those."""
    small = (shrunk.target_height, shrunk.target_width)
    back = resample(shrunk.target, *small, pairs.target_height, pairs.target_width, pairs.side)
    return int((back != pairs.target).flatten(1).any(1).sum())


def fitting(pairs: LanePairs, canvas: Tensor, side: int, canvases: Sequence[int]) -> Tensor:
    """(N) bool: pairs of tasks that fit a stage of this side; canvas (T): each task's on the recipe's `canvases`."""
    largest = min((known for known in canvases if known >= side), default=max(canvases))
    return (pairs.known_side <= side) & (canvas[pairs.task] <= largest)


def stage_pairs(recipe: Recipe, dataset: Dataset, stage: int) -> dict[int, LanePairs]:
    """{side: pairs} of a stage, on the host. UserError where there are none."""
    config = recipe.techniques.curriculum
    assert config is not None
    canvases = sorted(dataset.train)
    side, scale = stage_sides(config.scales, max(recipe.data.canvases))[stage], config.scales[stage]
    found: dict[int, LanePairs] = {}
    for canvas, pairs in dataset.train.items():
        if config.kind == "downsample":
            found[side] = shrink(pairs, scale, side)
            continue
        chosen = fitting(pairs, dataset.tasks.canvas, side, recipe.data.canvases)
        if bool(chosen.any()):
            found[canvas] = pairs if bool(chosen.all()) else pairs.select(chosen.nonzero().flatten())
    if not found and canvases:
        raise UserError(
            f"techniques.curriculum: no training task fits {side}x{side}, the canvas of stage {stage + 1} (scale "
            f"{scale:g}).\nSet techniques.curriculum.scales to larger ones, such as 0.6,0.8,1.0.",
            1,
        )
    return found


def stage_counts(recipe: Recipe, dataset: Dataset) -> list[dict[int, int]]:
    """{side: training pairs} of every stage; one stage, all of them, without a curriculum."""
    config = recipe.techniques.curriculum
    if config is None:
        return [{side: pairs.num_pairs for side, pairs in dataset.train.items() if pairs.num_pairs}]
    stages = [stage_pairs(recipe, dataset, stage) for stage in range(len(config.scales))]
    return [{side: pairs.num_pairs for side, pairs in pairs_by_side.items()} for pairs_by_side in stages]


@final
class Curriculum:
    """Puts the first stage's lanes in the bench at once; `attach` gives new lanes the techniques' buffers."""

    def __init__(
        self, config: CurriculumConfig, bench: Bench, attach: Callable[[Sequence[LaneState]], None] | None = None
    ) -> None:
        self.config = config
        self.bench = bench
        self.attach = attach
        self.stage = 0
        self.lost = 0
        counts = stage_counts(bench.recipe, bench.dataset)
        slots = bench.recipe.training.batch * bench.recipe.training.accumulation
        most = max(len(sides) for sides in counts)
        if slots < most:
            raise UserError(
                f"training.batch x training.accumulation={slots}: a stage of techniques.curriculum has {most} "
                f"canvases, and each needs a slot.\nSet training.batch={most} or more."
            )
        self.flops = [step_flops(bench.recipe, sides) for sides in counts]
        self._enter(0)

    def _enter(self, stage: int) -> None:
        """Replaces the lanes, in place: the step holds the same list."""
        bench = self.bench
        pairs_by_side = stage_pairs(bench.recipe, bench.dataset, stage)
        self.stage, self.lost = stage, 0
        if self.config.kind == "downsample":
            whole = bench.dataset.train.values()
            self.lost = sum(lost_labels(one, small) for one, small in zip(whole, pairs_by_side.values(), strict=True))
        device = bench.model.device
        bench.lanes.clear()  # the old ones go before the new ones take memory
        moved = {side: pairs.to(device) for side, pairs in pairs_by_side.items()}
        bench.lanes[:] = build_lanes(moved, bench.recipe, bench.model.dtype, bench.share)
        for lane in bench.lanes:
            lane.number += LANE_NUMBERS * stage

    def _go_to(self, stage: int) -> None:
        self._enter(stage)
        assert self.attach is not None, "a stage without its techniques"
        self.attach(self.bench.lanes)

    def _due(self, step: int) -> int:
        """The stage of a step."""
        stage, timeline = 0, self.bench.timeline
        for end in self.config.ends:
            if not timeline.reached(f"curriculum_{stage + 1}", end, step):
                break
            stage += 1
        return stage

    def _event(self, recapture: bool) -> Event:
        lanes, stage = self.bench.lanes, self.stage
        pairs = sum(lane.pairs.num_pairs for lane in lanes)
        share = self.lost / pairs
        slots = {str(lane.side): lane.num_slots for lane in lanes}
        fields = {
            "stage": stage,
            "scale": self.config.scales[stage],
            "pairs": pairs,
            "slots": slots,
            "unrecoverable": share,
        }
        sides = ", ".join(f"{side}x{side}" for side in slots)
        say = f"stage {stage + 1} of {len(self.config.scales)}: {pairs} training pairs on {sides}"
        if self.config.kind == "downsample":
            say += f", shrunk to {self.config.scales[stage]:g}; {100 * share:.1f} % of their outputs cannot be had back"
        return Event("stage", say, fields, recapture=recapture)

    def before_step(self, step: int) -> Sequence[Event]:
        """Enters the stage of this step; the first one is only told of."""
        stage = self._due(step)
        if stage != self.stage:
            self._go_to(stage)
            return (self._event(recapture=True),)
        return (self._event(recapture=False),) if step == 0 else ()

    def row(self, columns: dict[str, Any]) -> Sequence[Event]:
        """The stage, from 0."""
        columns["stage"] = self.stage
        return ()

    def pace(self, total_s: float, step_s: float) -> float:
        """Mean seconds of a step, from those of one now and the FLOPs of the stages: later ones are slower."""
        seconds = [step_s * flops / self.flops[self.stage] for flops in self.flops]
        return mean_seconds(total_s, self.config.ends, seconds)

    def remember(self) -> dict[str, Any]:
        """The stage."""
        return {"stage": self.stage}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """The lanes of the stage that was left, for its tensors to be put into."""
        if int(kept["stage"]) != self.stage:
            self._go_to(int(kept["stage"]))

    def plug(self) -> Plug:
        """Its points."""
        return Plug(
            "curriculum",
            before_step=self.before_step,
            row=self.row,
            pace=self.pace,
            remember=self.remember,
            recall=self.recall,
        )

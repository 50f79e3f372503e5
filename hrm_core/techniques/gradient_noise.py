"""EXP-04: Gaussian noise on the trunk's gradient, after the clip, and calmer steps after a spike of the loss.

Neelakantan et al. 2015 (arXiv 1511.06807, sec. 2): g <- g + N(0, s_t^2), s_t^2 = eta / (1 + t)^0.55. `absolute` is the
plan's: s falls from `start` to `end` by a cosine. Its 1e-3 has the norm 1e-3 sqrt(N), 2.6 for 6.8 million numbers where
the clip allows 1, so it swamps the gradient. `relative` is the founded one: s = ratio rms(g) / (1 + t)^decay, of the
clipped gradient, measured on the device. Task rows that move by a sign get none: noise would move rows without a
gradient by whole steps; they are not in the flat buffer, and rows by Adam get none either. Draws are hashes of (seed,
step, place) in `triton_kernels/fused_update`. At a spike the deviation is halved for good, and for `CALM_STEPS` the
gradient's norm is held to `spike_clip`, by a limit on the device, where the recipe's clip is compiled in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor

from hrm_core.recipe.techniques import GradientNoiseConfig
from hrm_core.techniques.points import Bench, Event, Plug
from triton_kernels.fused_update import Measure, Noise
from triton_kernels.fused_update.reference import NORM_EPS

NAME = "gradient_noise"
CALM_STEPS = 100
# Divided by any norm that occurs it stays far above 1, the largest scale there is.
NO_LIMIT = 3e38


def level(config: GradientNoiseConfig, step: int, until: int) -> float:
    """Standard deviation at the update with this number (absolute), or over the gradient's rms (relative)."""
    if config.kind == "relative":
        return config.ratio / math.pow(1.0 + step, config.decay)
    falling = 0.5 * (1.0 + math.cos(math.pi * min(step / until, 1.0)))
    return config.end + (config.start - config.end) * falling


def limited(measured: Measure, limit: Tensor) -> Measure:
    """The same with a scale that holds the norm to `limit`, 0-d, too."""
    highest = (limit / (measured.norm + NORM_EPS)).nan_to_num(0.0)
    return measured._replace(scale=torch.minimum(measured.scale, highest))


def clipped_rms(measured: Measure, numbers: int) -> Tensor:
    """Root mean square of the gradient after the clip, 0-d; 0 where it is not finite."""
    return (measured.norm * measured.scale).nan_to_num(0.0, 0.0, 0.0) / math.sqrt(numbers)


@final
class GradientNoise:
    """`level` and `limit` are what the host sets; `sums`: deviation, steps, steps that the limit held, fp64."""

    def __init__(self, config: GradientNoiseConfig, bench: Bench) -> None:
        device = bench.flat.values.device
        self.config = config
        self.timeline = bench.timeline
        self.seed = bench.recipe.training.seed
        self.numbers = bench.flat.values.numel()
        self.level = torch.zeros((), device=device)
        self.limit = torch.full((), NO_LIMIT, device=device)
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.halvings = 0
        self.left = 1.0  # what the run's policy leaves of it; kept there, as it outlives a rollback
        self.calm_until = 0

    def clip(self, measured: Measure) -> Measure:
        """The gradient's measure, its scale held back after a spike."""
        held = limited(measured, self.limit)
        self.sums[2] += held.scale < measured.scale
        return held

    def noise(self, measured: Measure) -> Noise:
        """The step's noise, for the gradient as it was clipped."""
        absolute = self.config.kind == "absolute"
        sigma = self.level if absolute else self.level * clipped_rms(measured, self.numbers)
        self.sums[0] += sigma
        self.sums[1] += 1
        return Noise(sigma, self.seed)

    def before_step(self, step: int) -> Sequence[Event]:
        """Sets deviation and limit for the step to come."""
        until = self.timeline.at(NAME, self.config.until)
        self.timeline.reached(NAME, self.config.until, step)
        self.level.fill_(level(self.config, step, until) * 0.5**self.halvings * self.left)
        self.limit.fill_(self.config.spike_clip if step < self.calm_until else NO_LIMIT)
        return ()

    def quieten(self, factor: float) -> None:
        """What is left of the noise after losses or gradients that were not finite."""
        self.left = factor

    def row(self, row: dict[str, Any]) -> Sequence[Event]:
        """Adds the mean deviation and how many steps were held back; answers a spike."""
        sigma, steps, held = self.sums.tolist()
        self.sums.zero_()
        row["gradient_noise_sigma"] = sigma / steps if steps else None
        row["gradient_noise_held"] = int(held)
        if not row["loss_spike"]:
            return ()
        self.halvings += 1
        self.calm_until = row["step"] + CALM_STEPS
        say = f"noise halved, gradients held to a norm of {self.config.spike_clip:g} for {CALM_STEPS} steps"
        return (Event("noise_halved", say, {"halvings": self.halvings, "held_steps": CALM_STEPS}),)

    def remember(self) -> dict[str, Any]:
        """Plain values for the checkpoint."""
        return {"halvings": self.halvings, "calm_until": self.calm_until}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """The reverse of `remember`."""
        self.halvings, self.calm_until = int(kept["halvings"]), int(kept["calm_until"])

    def plug(self) -> Plug:
        """Where it acts."""
        return Plug(
            NAME,
            clip=self.clip,
            noise=self.noise,
            quieten=self.quieten,
            before_step=self.before_step,
            row=self.row,
            tensors={"level": self.level, "limit": self.limit, "sums": self.sums},
            remember=self.remember,
            recall=self.recall,
        )

"""EXP-03, stochastic depth of the high level: whole layers left out at random while training, never at evaluation.

Techniques room; point `regularise`. Huang et al. 2016 (arXiv 1603.09382, sec. 3): x <- rmsnorm(x + b / (1 - p) f(x)), b
drawn for each sample, p growing linearly with depth. Ours differs in two ways. The blocks are post-norm, so a dropped
block gives rmsnorm(x), which is x but for rounding: dropping is close to skipping. And the level is called once a cycle
with the same weights, so one p acts several times; a mask can hold for all cycles of a segment, or for all segments of
a sample, as dropout in recurrent networks does (Gal & Ghahramani 2016, arXiv 1512.05287). Both branches of a block go
together. The updates without gradient are dropped as well; the Q-learning target's extra pass is not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hrm_core.learning.lanes import LaneState
from hrm_core.model.segment import Regularisation
from hrm_core.recipe.techniques import DropPathConfig
from hrm_core.techniques.points import Bench, Plug
from hrm_core.techniques.purposes import DROP_PATH
from triton_kernels.hashing import hash32, uniform


def probabilities(probability: float, layers: int) -> list[float]:
    """Drop probability of each high layer: from 0 to `probability`, which a single layer has too."""
    return [probability * number / (layers - 1) for number in range(layers)] if layers > 1 else [probability]


def branch_scales(words: Tensor, chances: Tensor) -> Tensor:
    """Random words (calls, layers, B) and probabilities (layers, 1) -> factors: 0 or 1 / (1 - p), of mean 1."""
    return (uniform(words) >= chances) / (1.0 - chances)


def drop_path(config: DropPathConfig, bench: Bench) -> Plug:
    """The masks of each segment. The first of several layers is never dropped, so it has no factor."""
    recipe, device = bench.recipe, bench.model.device
    chances = probabilities(config.probability, recipe.model.h_layers)
    scaled = chances[1:] or chances
    numbers = torch.arange(len(chances) - len(scaled), len(chances), device=device)[:, None]
    chances_L1 = torch.tensor(scaled, device=device)[:, None]
    calls = torch.arange(recipe.model.h_cycles if config.mask == "call" else 1, device=device)[:, None, None]

    def regularise(lane: LaneState, piece: slice) -> Regularisation:
        entry = lane.entry(piece)
        segment = 0 if config.mask == "sample" else lane["segment"][piece]
        words = hash32(recipe.training.seed, DROP_PATH, lane.number, entry, segment, numbers, calls)
        return Regularisation(high_scales=branch_scales(words, chances_L1))

    return Plug("drop_path", regularise=regularise)

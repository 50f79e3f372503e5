"""Dropout with one mask for all cycles of all segments that a slot spends on a sample.

Techniques room; point `regularise`. Variational dropout (Gal & Ghahramani 2016, arXiv 1512.05287, sec. 4): a recurrent
network takes one mask for all its time steps, since a fresh one each step is noise that adds up. Here the mask is on
what one level tells the other, (B, 1, D), the same for all tokens, and holds until the slot takes its next sample.
Rates that were reported to help on ARC are small, about 0.025.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hrm_core.learning.lanes import LaneState
from hrm_core.model.segment import Regularisation
from hrm_core.recipe.techniques import SharedDropoutConfig
from hrm_core.techniques.points import Bench, Plug
from hrm_core.techniques.purposes import SHARED_DROPOUT
from triton_kernels.hashing import hash32, uniform


def channel_factors(words: Tensor, probability: float) -> Tensor:
    """Random words -> fp32 factors of the same shape: 0 with `probability`, else 1 / (1 - p)."""
    return (uniform(words) >= probability) / (1.0 - probability)


def shared_dropout(config: SharedDropoutConfig, bench: Bench) -> Plug:
    """The mask of each sample, from its entry of the stream alone."""
    seed, dtype = bench.recipe.training.seed, bench.model.dtype
    channels = torch.arange(bench.recipe.model.hidden, device=bench.model.device)

    def regularise(lane: LaneState, piece: slice) -> Regularisation:
        words = hash32(seed, SHARED_DROPOUT, lane.number, lane.entry(piece)[:, None, None], channels)
        return Regularisation(dropout=channel_factors(words, config.probability).to(dtype))

    return Plug("shared_dropout", regularise=regularise)

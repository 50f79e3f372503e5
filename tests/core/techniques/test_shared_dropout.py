"""The shared dropout mask against what it says: how often, which mean, one for a whole sample, and where it acts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from technique_bench import tiny_parts

from hrm_core.model.segment import Carry, Regularisation, reasoning_segment
from hrm_core.techniques.shared_dropout import channel_factors
from hrm_core.training.step import StepParts
from triton_kernels.hashing import hash32


def mask(parts: StepParts, piece: slice = slice(None)) -> torch.Tensor:
    regular = parts.techniques.regularise(parts.lanes[0], piece)
    assert regular is not None
    assert regular.dropout is not None
    return regular.dropout


def test_channels_fall_as_often_as_asked_and_the_mean_stays() -> None:
    factors = channel_factors(hash32(3, torch.arange(50_000)), 0.1)
    assert (factors == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert factors.mean().item() == pytest.approx(1.0, abs=0.01)
    assert factors.max().item() == pytest.approx(1 / 0.9)


def test_one_mask_for_all_segments_of_a_sample_and_another_for_each_slot_and_sample(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ("techniques.shared_dropout.probability=0.3", "training.batch=12"))
    lane = parts.lanes[0]
    lane["admissions"].fill_(1)
    first = mask(parts)
    assert first.shape == (12, 1, 64)
    assert len({tuple(row[0].tolist()) for row in first}) == 12
    lane["segment"].fill_(3)
    assert torch.equal(mask(parts), first)
    assert torch.equal(mask(parts, slice(4, 7)), first[4:7])
    lane["admissions"].fill_(2)
    assert not torch.equal(mask(parts), first)


def test_with_everything_dropped_the_high_level_hears_nothing(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file)
    model, config = parts.model, parts.recipe.model
    generator = torch.Generator().manual_seed(2)
    embedded, high, low, other = torch.randn(4, 2, 50, 64, generator=generator).unbind()
    deaf = Regularisation(dropout=torch.zeros(2, 1, 64))
    weights, rotary = model.cast(), model.rotary(7)
    results = [
        reasoning_segment(weights, Carry(high, state), embedded, rotary, config, deaf).high for state in (low, other)
    ]
    assert torch.equal(*results)
    plain = [reasoning_segment(weights, Carry(high, state), embedded, rotary, config).high for state in (low, other)]
    assert not torch.equal(*plain)

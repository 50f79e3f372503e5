"""State noise against its formula: size relative to each token's norm, normal draws, and nothing on a fresh sample."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from technique_bench import tiny_parts

from hrm_core.model.segment import Carry
from hrm_core.techniques.state_noise import POOL, add_noise, noise_pool
from hrm_core.training.step import StepParts

SCALE = 0.01


def noise(parts: StepParts, states: Carry, piece: slice = slice(None)) -> torch.Tensor:
    """(2, B, T, D) that was added."""
    noisy = parts.techniques.carry(parts.lanes[0], piece, states)
    return torch.stack([noisy.high - states.high, noisy.low - states.low])


def later_slots(arc1_file: Path) -> tuple[StepParts, Carry]:
    parts = tiny_parts(arc1_file, (f"techniques.state_noise.scale={SCALE}", "training.batch=12"))
    parts.lanes[0]["segment"].fill_(1)
    generator = torch.Generator().manual_seed(4)
    size = torch.rand(12, 50, 1, generator=generator) * 5
    return parts, Carry(*(torch.randn(12, 50, 64, generator=generator) * size for _ in range(2)))


def test_the_pool_is_normal() -> None:
    pool = noise_pool(5, 16, torch.device("cpu"))
    assert pool.shape == (POOL, 16)
    assert torch.equal(pool[1, :-1], pool[0, 1:])
    draws = pool[:, 0]
    assert draws.mean().item() == pytest.approx(0.0, abs=0.005)
    assert draws.std().item() == pytest.approx(1.0, abs=0.005)
    assert draws.pow(4).mean().item() == pytest.approx(3.0, abs=0.05)


def test_the_noise_has_the_scale_of_each_tokens_norm() -> None:
    state = torch.tensor([[[3.0, 4.0], [0.0, 10.0]]])
    found = add_noise(state, torch.ones(1, 2, 2), torch.full((1, 1, 1), 0.1)) - state
    torch.testing.assert_close(found, torch.tensor([[[0.5, 0.5], [1.0, 1.0]]]) / 2**0.5)


def test_over_all_tokens_it_is_as_large_as_asked_and_independent(arc1_file: Path) -> None:
    parts, states = later_slots(arc1_file)
    found = noise(parts, states)
    norms = torch.stack(states).norm(dim=-1)
    unit = found / norms[..., None] * 64**0.5 / SCALE
    assert unit.mean().item() == pytest.approx(0.0, abs=0.02)
    assert unit.std().item() == pytest.approx(1.0, abs=0.02)
    rows = unit.reshape(-1, 64)
    assert (rows @ rows.mT / 64).fill_diagonal_(0).square().mean().item() == pytest.approx(1 / 64, rel=0.1)


def test_a_fresh_sample_starts_without_and_segments_and_samples_draw_anew(arc1_file: Path) -> None:
    parts, states = later_slots(arc1_file)
    lane = parts.lanes[0]
    first = noise(parts, states)
    assert torch.equal(noise(parts, states), first)
    part = Carry(states.high[3:7], states.low[3:7])
    assert torch.equal(noise(parts, part, slice(3, 7)), first[:, 3:7])
    for buffer in ("segment", "admissions"):
        lane[buffer].add_(1)
        assert not torch.equal(noise(parts, states), first)
    lane["segment"][2:].zero_()
    found = noise(parts, states)
    assert found[:, 2:].count_nonzero() == 0
    assert found[:, :2].count_nonzero() > 0

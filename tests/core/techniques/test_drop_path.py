"""Stochastic depth against its formula: probabilities by depth, factors of mean 1, what a mask is shared by, and a
dropped layer, which leaves the norm of its input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from technique_bench import run_steps, tiny_parts
from torch.nn import functional

from hrm_core.model.inference import run_segments
from hrm_core.model.layers import Block, run_level
from hrm_core.model.positions import rotary_tables
from hrm_core.techniques.drop_path import branch_scales, probabilities
from hrm_core.training.step import StepParts
from triton_kernels.hashing import hash32

EVERYTHING = slice(None)


def scales(parts: StepParts) -> torch.Tensor:
    regular = parts.techniques.regularise(parts.lanes[0], EVERYTHING)
    assert regular is not None
    assert regular.high_scales is not None
    return regular.high_scales


def test_probability_grows_from_nothing_to_the_last_layer() -> None:
    assert probabilities(0.2, 5) == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])
    assert probabilities(0.2, 2) == [0.0, 0.2]
    assert probabilities(0.2, 1) == [0.2]


def test_factors_drop_as_often_as_asked_and_have_mean_one() -> None:
    chances = torch.tensor([[0.0], [0.1], [0.5]])
    found = branch_scales(hash32(7, torch.arange(60_000).reshape(1, 3, 20_000)), chances)[0]
    for factors, chance in zip(found, chances[:, 0].tolist(), strict=True):
        assert set(factors.tolist()) <= {0.0, torch.tensor(1.0).div(1.0 - torch.tensor(chance)).item()}
        assert (factors == 0).float().mean().item() == pytest.approx(chance, abs=0.012)
        assert factors.mean().item() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("mask", "calls"), [("call", 3), ("segment", 1), ("sample", 1)])
def test_a_mask_holds_for_as_long_as_it_says(mask: str, calls: int, arc1_file: Path) -> None:
    overrides = ("model.h_cycles=3", "model.h_layers=3", "training.batch=40", "techniques.drop_path.probability=0.5")
    parts = tiny_parts(arc1_file, (*overrides, f"techniques.drop_path.mask={mask}"))
    lane = parts.lanes[0]
    lane["admissions"].fill_(1)
    first = scales(parts)
    assert first.shape == (calls, 2, lane.num_slots)
    assert torch.equal(scales(parts), first)
    if calls > 1:
        assert not torch.equal(first[0], first[1])
    lane["segment"].fill_(1)
    assert torch.equal(scales(parts), first) == (mask == "sample")
    lane["segment"].zero_()
    lane["admissions"].fill_(2)
    assert not torch.equal(scales(parts), first)


def test_pieces_change_no_draw(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ("techniques.drop_path.probability=0.5", "training.batch=12"))
    part = parts.techniques.regularise(parts.lanes[0], slice(5, 9))
    assert part is not None
    assert part.high_scales is not None
    assert torch.equal(part.high_scales, scales(parts)[:, :, 5:9])


def level() -> tuple[tuple[Block, ...], torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    blocks = tuple(Block(64, 2.0, generator) for _ in range(3))
    rotary = rotary_tables(4, 1, 32, "rope2d", 100.0, torch.float32, torch.device("cpu"))
    return blocks, torch.randn(5, 17, 64, generator=generator), rotary


def test_factors_of_one_change_no_bit_of_results_and_gradients() -> None:
    blocks, state, rotary = level()
    found = []
    for factors in (None, torch.ones(2, 5)):
        weights = tuple(block.cast(lambda weight: weight) for block in blocks)
        result = run_level(weights, state, (state,), rotary, 2, factors)
        gradients = torch.autograd.grad(result.square().sum() + result.sum(), [*blocks[1].parameters()])
        found.append((result, *gradients))
    assert all(torch.equal(left, right) for left, right in zip(*found, strict=True))


def test_a_dropped_layer_leaves_the_norm_of_its_input_and_the_others_their_branches() -> None:
    blocks, state, rotary = level()
    weights = tuple(block.cast(lambda weight: weight) for block in blocks)
    factors = torch.tensor([[0.0, 1.0, 1.0, 1.0, 1.0]])
    before = run_level(weights[:2], state, (state,), rotary, 2)
    after, whole = (
        run_level(weights, state, (state,), rotary, 2, factors),
        run_level(weights, state, (state,), rotary, 2),
    )
    torch.testing.assert_close(after[0], functional.rms_norm(before[0], (64,), eps=1e-5), rtol=1e-4, atol=1e-4)
    assert torch.equal(after[1:], whole[1:])


def test_evaluation_drops_nothing(arc1_file: Path) -> None:
    """The same weights predict the same with the technique and without."""
    on, off = tiny_parts(arc1_file, ("techniques.drop_path.probability=0.9",)), tiny_parts(arc1_file)
    run_steps(on, 2)
    off.flat.values.copy_(on.flat.values)
    off.model.rows.table.copy_(on.model.rows.table)
    lane = on.lanes[0]
    outputs = [run_segments(parts.model, lane["tokens"], lane.identity(), lane.side, 2) for parts in (on, off)]
    assert torch.equal(outputs[0].halt_logit, outputs[1].halt_logit)

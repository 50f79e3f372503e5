"""Noise on the gradient: its deviation against the formulas, where it goes, and what a spike does to it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from technique_bench import run_steps, tiny_parts
from technique_resume import assert_resumes

from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.techniques import GradientNoiseConfig
from hrm_core.techniques.gradient_noise import CALM_STEPS, NO_LIMIT, clipped_rms, level, limited
from hrm_core.training.step import StepParts, update
from triton_kernels.fused_update import measure_gradients

ON = ("techniques.gradient_noise=on",)


def test_the_plans_cosine() -> None:
    config = GradientNoiseConfig()
    found = [level(config, step, 100_000) for step in (0, 50_000, 100_000, 150_000)]
    assert found == pytest.approx([1e-3, (1e-3 + 1e-5) / 2, 1e-5, 1e-5])


def test_neelakantans_decay() -> None:
    config = GradientNoiseConfig(kind="relative", ratio=0.1)
    variances = [level(config, step, 1) ** 2 for step in (0, 9, 999)]
    assert variances == pytest.approx([0.01 / (1 + step) ** 0.55 for step in (0, 9, 999)])


@pytest.mark.parametrize("clip", [None, 1.0])
def test_rms_is_that_of_the_clipped_gradient(clip: float | None) -> None:
    gradients = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    measured = measure_gradients(gradients, clip)
    clipped = gradients * measured.scale
    torch.testing.assert_close(clipped_rms(measured, 1000), clipped.square().mean().sqrt())
    broken = measure_gradients(torch.full((4,), math.nan), clip)
    assert clipped_rms(broken, 4) == 0.0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, math.inf, math.nan])
def test_without_a_limit_the_scale_stays_bit_for_bit(scale: float) -> None:
    gradients = torch.randn(100, generator=torch.Generator().manual_seed(1)) * scale
    measured = measure_gradients(gradients, 1.0)
    assert torch.equal(limited(measured, torch.tensor(NO_LIMIT)).scale, measured.scale)


def test_a_limit_holds_the_norm_and_never_raises_it() -> None:
    for size in (0.1, 0.4, 7.0):
        gradients = torch.full((4,), size / 2)  # norm `size`
        held = limited(measure_gradients(gradients, 1.0), torch.tensor(0.5))
        assert (gradients * held.scale).norm().item() == pytest.approx(min(size, 0.5), rel=1e-4)


def noise_of_one_update(arc1_file: Path, *overrides: str) -> tuple[torch.Tensor, StepParts]:
    """What the momentum took in beside the gradient, over every trunk number: with beta 0 that is the noise."""
    parts = tiny_parts(arc1_file, ("optimizer.betas=0.0,0.95", *overrides))
    parts.techniques.before_step(0)
    gradients = torch.randn(parts.flat.values.numel(), generator=torch.Generator().manual_seed(2))
    parts.flat.gradients.copy_(gradients)
    update(parts)
    clipped = gradients / gradients.norm()
    state = parts.trunk.state()
    # Muon's momentum weighs a gradient 0.05, the first moment of beta 0 weighs it 1.
    return torch.cat([state["momentum"] / 0.05, state["first"]]) - clipped, parts


@pytest.mark.parametrize("kind", ["adamw", "muon", "lion"])
def test_it_is_added_after_the_clip_to_every_trunk_number_and_to_no_row(kind: str, arc1_file: Path) -> None:
    betas = ("optimizer.betas=0.0,0.0",) if kind == "lion" else ()
    noise, parts = noise_of_one_update(arc1_file, f"optimizer.kind={kind}", *betas, *ON)
    numbers = noise.numel()
    assert noise.std().item() == pytest.approx(1e-3, rel=0.02)
    assert abs(noise.mean().item()) < 4e-3 / math.sqrt(numbers)
    assert (noise != 0).float().mean() > 0.999
    # parts of the buffer that are updated apart have draws of their own
    split = parts.trunk.split or numbers // 2
    shorter = min(split, numbers - split)
    pair = torch.stack([noise[:shorter], noise[split : split + shorter]])
    assert abs(torch.corrcoef(pair)[0, 1].item()) < 0.05
    assert not parts.model.rows.table.any()  # rows start at 0 and have had no gradient


def test_relative_noise_is_a_part_of_the_gradient(arc1_file: Path) -> None:
    noise, parts = noise_of_one_update(arc1_file, "techniques.gradient_noise.kind=relative")
    rms = 1.0 / math.sqrt(noise.numel())  # the clip's norm of 1
    assert noise.std().item() == pytest.approx(0.1 * rms, rel=0.02)
    row: dict[str, Any] = {"step": 1, "token_loss": 1.0}
    parts.techniques.row(row)
    assert row["gradient_noise_sigma"] == pytest.approx(0.1 * rms, rel=1e-4)
    assert row["gradient_noise_held"] == 0


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_a_step_that_is_not_finite_leaves_no_trace(kind: str, arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, (f"techniques.gradient_noise.kind={kind}",))
    run_steps(parts, 2)
    before = parts.flat.values.clone(), {name: value.clone() for name, value in parts.trunk.state().items()}
    parts.techniques.before_step(2)
    parts.flat.gradients.fill_(math.inf)
    update(parts)
    assert torch.equal(parts.flat.values, before[0])
    assert all(torch.equal(value, before[1][name]) for name, value in parts.trunk.state().items())


def test_a_spike_halves_the_noise_and_holds_the_gradient_for_a_while(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, (*ON, "techniques.gradient_noise.spike_factor=2.0"))
    techniques = parts.techniques
    names: list[str] = []
    for step in range(1, 9):
        row: dict[str, Any] = {"step": step, "token_loss": 2.5 if step == 8 else 1.0}
        names += [event.name for event in techniques.row(row)]
    assert names == ["loss_spike", "noise_halved"]
    tensors = techniques.tensors()
    found = []
    for step in (8, 8 + CALM_STEPS - 1, 8 + CALM_STEPS):
        techniques.before_step(step)
        found.append((tensors["gradient_noise.limit"].item(), tensors["gradient_noise.level"].item()))
    assert [limit for limit, _ in found] == [0.5, 0.5, pytest.approx(NO_LIMIT)]
    whole = [level(GradientNoiseConfig(), step, 20) for step in (8, 8 + CALM_STEPS - 1, 8 + CALM_STEPS)]
    assert [deviation for _, deviation in found] == pytest.approx([part / 2 for part in whole])
    techniques.before_step(8)
    parts.flat.gradients.fill_(1.0)
    update(parts)
    held: dict[str, Any] = {"step": 9, "token_loss": 1.0}
    techniques.row(held)
    assert held["gradient_noise_held"] == 1


@pytest.mark.parametrize("kind", ["absolute", "relative"])
@pytest.mark.parametrize("until", [3, 8])
def test_a_run_stopped_on_either_side_of_the_end_goes_on_the_same(
    until: int, kind: str, arc1_file: Path, tmp_path: Path
) -> None:
    overrides = (f"techniques.gradient_noise.kind={kind}", f"techniques.gradient_noise.until={until}")
    assert_resumes(arc1_file, tmp_path, overrides, stop=6, total=10)


def test_what_a_spike_has_done_is_remembered(arc1_file: Path) -> None:
    first, second = tiny_parts(arc1_file, ON).techniques, tiny_parts(arc1_file, ON).techniques
    for step in range(1, 8):
        first.row({"step": step, "token_loss": 9.0 if step == 7 else 1.0})
    second.recall(first.remember())
    for techniques in (first, second):
        techniques.before_step(7)
    for name, tensor in first.tensors().items():
        assert torch.equal(tensor, second.tensors()[name]), name
    assert second.spikes.count == 1


def test_the_second_arm() -> None:
    config = build_recipe("EXP-04b", []).recipe.techniques.gradient_noise
    assert config is not None
    assert (config.kind, config.ratio, config.decay) == ("relative", 0.1, 0.275)

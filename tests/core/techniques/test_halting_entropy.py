"""EXP-05 against its formulas: entropy and its slope, when it counts, whom it trains, and PonderNet's divergence as the
sum of what is charged segment by segment; the columns of a row against a count by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from technique_bench import run_steps, tiny_parts

from hrm_core.errors import UserError
from hrm_core.model.segment import Carry
from hrm_core.recipe.lay import build_recipe
from hrm_core.techniques.halting_entropy import SURVIVAL, coin_divergence, coin_entropy
from hrm_core.techniques.points import LossView
from hrm_core.training.step import StepParts
from triton_kernels.act_halting import halting_logits

WEIGHT = 0.5
ENTROPY = (f"techniques.halting_entropy.weight={WEIGHT}", "techniques.halting_entropy.after=2")
GEOMETRIC = (f"techniques.halting_entropy.weight={WEIGHT}", "techniques.halting_entropy.kind=geometric")


def view_of(parts: StepParts, high: torch.Tensor) -> LossView:
    model, lane = parts.model, parts.lanes[0]
    logits = halting_logits(high[:, 0], model.q_weight, model.q_bias)
    zero = torch.zeros(len(high))
    return LossView(lane, slice(None), Carry(high, high), high[:, 1:], logits, zero, zero > 0, model.cast())


def states(parts: StepParts) -> torch.Tensor:
    """States whose halting logits are all over the place."""
    with torch.no_grad():
        parts.model.q_weight.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.2)
        parts.model.q_bias.zero_()
    return torch.randn(6, 50, 64, generator=torch.Generator().manual_seed(2)).requires_grad_()


def test_entropy_and_its_slope() -> None:
    logit = torch.tensor([-40.0, -3.0, -0.5, 0.0, 0.7, 3.0, 40.0], dtype=torch.float64).requires_grad_()
    chance = torch.sigmoid(logit.detach())
    entropy = coin_entropy(logit)
    expected = -torch.xlogy(chance, chance) - torch.xlogy(1 - chance, 1 - chance)
    torch.testing.assert_close(entropy.detach(), expected, rtol=1e-9, atol=1e-14)
    (slope,) = torch.autograd.grad(entropy.sum(), logit)
    torch.testing.assert_close(slope, -logit.detach() * chance * (1 - chance), rtol=1e-9, atol=1e-14)


def test_divergence_of_two_coins() -> None:
    logit = torch.linspace(-6, 6, 13, dtype=torch.float64)
    chance = torch.sigmoid(logit)
    expected = chance * (chance / 0.2).log() + (1 - chance) * ((1 - chance) / 0.8).log()
    torch.testing.assert_close(coin_divergence(logit, 0.2), expected)


@pytest.mark.parametrize("kind", ["halt_only", "q_learning"])
def test_it_counts_beyond_the_first_segments_only(kind: str, arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, (*ENTROPY, f"halting.kind={kind}"))
    parts.lanes[0]["segment"].copy_(torch.tensor([0, 1, 2, 3, 1, 2]))
    view = view_of(parts, states(parts))
    logits = view.halt_logits.detach()
    entropy = coin_entropy(logits[:, 0] - logits[:, 1] if kind == "q_learning" else logits[:, 0])
    charge = parts.techniques.loss(view)
    assert charge is not None
    torch.testing.assert_close(charge.detach(), WEIGHT * entropy * torch.tensor([0.0, 0, 1, 1, 0, 1]))


@pytest.mark.parametrize("settings", [ENTROPY, GEOMETRIC])
@pytest.mark.parametrize("through", ["head", "trunk"])
def test_the_head_alone_or_the_trunk_too(through: str, settings: tuple[str, ...], arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, (*settings, f"techniques.halting_entropy.through={through}"))
    parts.lanes[0]["segment"].fill_(2)
    high = states(parts)
    charge = parts.techniques.loss(view_of(parts, high))
    assert charge is not None
    to_state, to_head = torch.autograd.grad(charge.sum(), [high, parts.model.q_weight], allow_unused=True)
    assert (to_state is None) == (through == "head")
    assert to_head.count_nonzero() > 0


def test_the_charges_of_a_sample_add_up_to_pondernets_divergence(arc1_file: Path) -> None:
    """All six slots think for four segments; the fourth halts in any case."""
    parts = tiny_parts(arc1_file, (*GEOMETRIC, "techniques.halting_entropy.rate=0.3"))
    lane, total, chances = parts.lanes[0], torch.zeros(6), []
    parts.techniques.admitted(lane, None)  # type: ignore[arg-type]
    lane["halted"].zero_()
    for segment in range(4):
        lane["segment"].fill_(segment)
        view = view_of(parts, states(parts).detach() * (1 - 0.4 * segment))
        charge = parts.techniques.loss(view)
        assert charge is not None
        total += charge.detach()
        chances.append(torch.sigmoid(view.halt_logits[:, 0].detach()))
        with torch.no_grad():
            lane["segment"].add_(1)
            parts.techniques.decided(view)
    survived = [torch.ones(6)]
    for chance in chances[:3]:
        survived.append(survived[-1] * (1 - chance))
    halts = [chance * left for chance, left in zip(chances[:3], survived, strict=False)] + [survived[3]]
    geometric = [0.3, 0.3 * 0.7, 0.3 * 0.7**2, 0.7**3]
    assert sum(geometric) == pytest.approx(1.0)
    divergence = sum(halt * (halt / other).log() for halt, other in zip(halts, geometric, strict=True))
    torch.testing.assert_close(total, WEIGHT * torch.as_tensor(divergence))
    lane["halted"][:2] = True
    parts.techniques.admitted(lane, None)  # type: ignore[arg-type]
    assert lane[SURVIVAL][:2].tolist() == [1.0, 1.0]
    torch.testing.assert_close(lane[SURVIVAL][2:], (survived[3] * (1 - chances[3]))[2:])


def test_each_charge_is_least_where_the_head_halts_at_the_rate() -> None:
    logit = torch.tensor([math.log(0.3 / 0.7)]).requires_grad_()
    (slope,) = torch.autograd.grad(coin_divergence(logit, 0.3).sum(), logit)
    assert slope.item() == pytest.approx(0.0, abs=1e-6)
    assert coin_divergence(logit, 0.3).item() == pytest.approx(0.0, abs=1e-6)


def test_the_columns_are_counts_and_means_by_segment(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, (*ENTROPY, "halting.bias=0.3"))
    halts, visits = [0] * 4, [0] * 4
    for step in range(7):
        run_steps(parts, 1, start=step)
        for segment, halted in zip(parts.lanes[0]["segment"].tolist(), parts.lanes[0]["halted"].tolist(), strict=True):
            visits[segment - 1] += 1
            halts[segment - 1] += halted
    row: dict[str, Any] = {}
    parts.techniques.row(row)
    assert row["halting_histogram"] == halts
    assert sum(halts) > 0
    means = row["halting_entropy_by_segment"]
    assert [mean is not None for mean in means] == [visit > 0 for visit in visits]
    assert all(0 < mean <= math.log(2) for mean in means if mean is not None)
    parts.techniques.row(row)
    assert row["halting_entropy_by_segment"] == [None] * 4
    assert row["halting_histogram"] == [0] * 4


def test_settings_that_never_act_are_refused() -> None:
    with pytest.raises(UserError, match="after=4 leaves none of"):
        build_recipe("EXP-05", ["halting.max_segments=4"])
    with pytest.raises(UserError, match="geometric needs a choice"):
        build_recipe("EXP-05b", ["halting.max_segments=1"])

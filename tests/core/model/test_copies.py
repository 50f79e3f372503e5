"""Weights cast once a step against weights cast at each use: same values, same gradients, and never stale in a step."""

from __future__ import annotations

import torch

from hrm_core.model.copies import WeightCopies
from hrm_core.model.hrm import HRM
from hrm_core.recipe.lay import build_recipe


def small_model() -> HRM:
    overrides = ["model.hidden=64", "model.heads=2", "model.h_layers=1", "model.l_layers=1"]
    return HRM(build_recipe("EXP-00", overrides).recipe, 3, torch.bfloat16)


def test_copies_are_the_cast_weights_and_pass_gradients_on() -> None:
    model = small_model()
    copies = WeightCopies(model, torch.bfloat16)
    copies.refresh()
    for now, copied in zip(model.cast().low[0], model.cast(copies).low[0], strict=True):
        assert copied.dtype == torch.bfloat16
        assert torch.equal(now, copied)
    block = model.low[0]
    x = torch.randn(5, 64, dtype=torch.bfloat16)
    gradients = []
    for weights in (model.cast(), model.cast(copies)):
        block.zero_grad()
        (x @ weights.low[0].out.mT).float().square().sum().backward()
        gradient = block.get_parameter("out").grad
        assert gradient is not None and gradient.dtype == torch.float32
        gradients.append(gradient.clone())
    assert torch.equal(*gradients)


def test_copies_are_stale_until_refreshed() -> None:
    model = small_model()
    copies = WeightCopies(model, torch.bfloat16)
    copies.refresh()
    with torch.no_grad():
        model.head.add_(1.0)
    assert not torch.equal(model.cast(copies).head, model.head.bfloat16())
    copies.refresh()
    assert torch.equal(model.cast(copies).head, model.head.bfloat16())

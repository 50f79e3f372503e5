"""The lay kernel in the interpreter: the reference's integers exactly, on any side, with and without halted slots."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from triton_kernels.lay import PAD, launcher, lay, lay_into, reference

SOME = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def admission(side: int, slots: int, seed: int, pairs: int = 5) -> list[Tensor]:
    """Random pairs, sizes a little beyond the canvas too, and what to do with them; offsets left, right and beyond."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    grids = [draw(0, 11, pairs, side, side).to(torch.uint8) for _ in range(2)]
    colors = torch.argsort(torch.rand(slots, 10, generator=generator), dim=1)
    sizes, offset = draw(1, side + 2, pairs, 4), draw(-2, side + 2, slots, 2)
    return [*grids, sizes, draw(0, pairs, slots), draw(0, 8, slots), colors, offset]


@SOME
@given(side=st.integers(1, 32), slots=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_equals_the_reference(side: int, slots: int, seed: int) -> None:
    pairs = admission(side, slots, seed)
    laid = lay(*pairs)
    for actual, expected in zip(laid, reference.lay(*pairs), strict=True):
        assert actual.dtype == torch.int32 and torch.equal(actual, expected)
    for actual, again in zip(laid, lay(*pairs), strict=True):
        assert torch.equal(actual, again)


@pytest.mark.parametrize("side", [1, 2, 10, 16, 17, 30, 32])
def test_every_dihedral_element_of_every_lane(side: int) -> None:
    pairs = admission(side, 16, side)
    pairs[4] = torch.arange(16) % 8
    for actual, expected in zip(lay(*pairs), reference.lay(*pairs), strict=True):
        assert torch.equal(actual, expected)


@SOME
@given(side=st.integers(1, 32), slots=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_only_halted_slots_are_written(side: int, slots: int, seed: int) -> None:
    pairs = admission(side, slots, seed)
    halted = torch.randint(0, 2, (slots,), generator=torch.Generator().manual_seed(seed)).bool()
    tokens = torch.full((slots + 2, side * side), -5, dtype=torch.int32)
    labels = tokens.clone()
    lay_into(*pairs, halted, tokens[1:-1], labels[1:-1])
    for rows, laid in zip((tokens, labels), reference.lay(*pairs), strict=True):
        assert torch.equal(rows[1:-1], torch.where(halted[:, None], laid, -5))
        assert bool((rows[[0, -1]] == -5).all())


def test_arguments_that_are_views_and_a_target_that_does_not_fit() -> None:
    pairs = admission(7, 6, 3)
    pairs[2][:, 2] = 8
    views = [torch.stack([values, values], dim=-1)[..., 0] for values in pairs[2:]]
    assert not any(view.is_contiguous() for view in views)
    tokens, labels = lay(pairs[0], pairs[1], *views)
    assert torch.equal(tokens, reference.lay(*pairs)[0])
    assert bool((labels == PAD).all())


class NoSynchronisation(TorchDispatchMode):
    """Fails at an operation that would make the host wait for a value or has a shape that depends on one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.__name__.split(".")[0] not in {"_local_scalar_dense", "nonzero", "_unique2", "masked_select"}
        return func(*args, **(kwargs or {}))


def test_launches_read_nothing_back() -> None:
    pairs = admission(4, 3, 0)
    rows = torch.zeros(3, 16, dtype=torch.int32)
    with NoSynchronisation():
        launcher.lay(*pairs)
        launcher.lay_into(*pairs, torch.tensor([True, False, True]), rows, rows.clone())

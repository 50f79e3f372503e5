"""Kernels in the interpreter: memory that nobody wrote is NaN, kernels are forced, errors are relative (Frobenius).

These files are `case_*.py`: they run in a process of their own with TRITON_INTERPRET=1, started by
`tests/kernels/test_interpreter.py`; a process either interprets or compiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from triton_kernels import runtime

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forces kernels and poisons what `torch.empty` and its kin return."""
    assert runtime.interpreting(), "run through tests/kernels/test_interpreter.py, or set TRITON_INTERPRET=1"

    def poisoned(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*arguments: object, **options: object) -> Tensor:
            fresh = make(*arguments, **options)
            return (
                fresh.fill_(float("nan")) if fresh.is_floating_point() else fresh.fill_(-7 if fresh.is_signed() else 7)
            )

        return call

    for name in ("empty", "empty_like", "empty_strided"):
        monkeypatch.setattr(torch, name, poisoned(getattr(torch, name)))
    monkeypatch.setattr(Tensor, "new_empty", poisoned(Tensor.new_empty))
    with runtime.mode("force"):
        yield


@pytest.fixture
def error() -> Callable[[Tensor, Tensor], float]:
    """Relative Frobenius error of the first against the second, in float64; NaN counts as infinite."""

    def relative(actual: Tensor, expected: Tensor) -> float:
        assert actual.shape == expected.shape
        difference = (actual.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30)
        return float(difference.nan_to_num(nan=float("inf")))

    return relative

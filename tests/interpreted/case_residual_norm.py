"""Projection + residual + norm in the interpreter: output and each gradient against the reference in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.residual_norm import reference, residual_norm

TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3}
Error = Callable[[Tensor, Tensor], float]


def sample(batch: int, tokens: int, hidden: int, inner: int, dtype: torch.dtype) -> list[Tensor]:
    """branch, weight, residual as leaves, and a gradient of the output."""
    generator = torch.Generator().manual_seed(hidden + inner + tokens)
    shapes = ((batch, tokens, inner), (hidden, inner), (batch, tokens, hidden), (batch, tokens, hidden))
    drawn = [torch.randn(*shape, generator=generator) for shape in shapes]
    drawn[1] /= math.sqrt(inner)
    return [value.to(dtype).requires_grad_(number < 3) for number, value in enumerate(drawn)]


def compare(batch: int, tokens: int, hidden: int, inner: int, dtype: torch.dtype, error: Error) -> None:
    branch, weight, residual, d_y = sample(batch, tokens, hidden, inner, dtype)
    assert runtime.choose("residual_norm", residual, {"D": hidden}).kernel
    y = residual_norm(branch, weight, residual)
    gradients = torch.autograd.grad(y, (branch, weight, residual), d_y)
    exact = [value.detach().double().requires_grad_() for value in (branch, weight, residual)]
    exact_y = reference.residual_norm(exact[0], exact[1], exact[2], 1e-5)
    expected = torch.autograd.grad(exact_y, exact, d_y.double())
    assert y.dtype == dtype
    for name, found, wanted in zip(
        ("y", "d_branch", "d_weight", "d_residual"), (y, *gradients), (exact_y, *expected), strict=True
    ):
        worst = error(found.detach(), wanted.detach())
        print(f"{name} {worst:.2e}")
        assert worst < TOLERANCE[dtype], f"{name}: {worst:.2e}"


@pytest.mark.parametrize(
    ("batch", "tokens", "hidden", "inner", "dtype"),
    [
        (1, 81, 256, 768, torch.float32),
        (3, 101, 128, 128, torch.float32),
        (1, 197, 128, 512, torch.float32),
        (1, 81, 384, 384, torch.float32),
        (1, 65, 512, 512, torch.float32),
        (1, 101, 256, 256, torch.float16),
        (1, 1, 256, 64, torch.float32),
    ],
)
def test_output_and_gradients(
    batch: int, tokens: int, hidden: int, inner: int, dtype: torch.dtype, error: Error
) -> None:
    compare(batch, tokens, hidden, inner, dtype, error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "tokens", "hidden", "inner", "dtype"),
    [
        (3, 81, 256, 256, torch.float32),
        (1, 101, 256, 768, torch.float32),
        (2, 197, 256, 768, torch.float32),
        (1, 325, 256, 768, torch.float32),
        (1, 101, 384, 1024, torch.float32),
        (1, 197, 512, 1536, torch.float32),
        (1, 325, 128, 512, torch.float32),
        (1, 197, 384, 1024, torch.float16),
        (1, 81, 512, 1536, torch.float16),
    ],
)
def test_output_and_gradients_at_more_shapes(
    batch: int, tokens: int, hidden: int, inner: int, dtype: torch.dtype, error: Error
) -> None:
    compare(batch, tokens, hidden, inner, dtype, error)


def test_two_runs_are_bitwise_equal() -> None:
    found = []
    for _ in range(2):
        branch, weight, residual, d_y = sample(1, 67, 128, 192, torch.float32)
        y = residual_norm(branch, weight, residual)
        found.append((y, *torch.autograd.grad(y, (branch, weight, residual), d_y)))
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True))


def test_inputs_need_not_be_contiguous(error: Error) -> None:
    """A transposed branch, a cut residual, a weight in columns, and the expanded gradient of a sum."""
    branch, weight, residual, _ = sample(2, 33, 128, 64, torch.float32)
    with torch.no_grad():
        branch, residual = branch.transpose(0, 1).contiguous().transpose(0, 1), torch.cat((residual, residual), -1)
        weight = weight.t().contiguous().t()
    for leaf in (branch, weight, residual):
        leaf.requires_grad_()
    y = residual_norm(branch, weight, residual[..., :128])
    d_residual = torch.autograd.grad(y.sum(), residual)[0]
    exact = residual.detach().double().requires_grad_()
    exact_y = reference.residual_norm(branch.double(), weight.double(), exact[..., :128], 1e-5)
    assert error(y.detach(), exact_y.detach()) < TOLERANCE[torch.float32]
    expected = torch.autograd.grad(exact_y.sum(), exact)[0]
    # y sums to nearly nothing along its own direction: the gradient is small against what cancels in it.
    assert error(d_residual, expected) < TOLERANCE[torch.float32]


def test_what_no_kernel_takes_goes_to_the_reference() -> None:
    """An inner width off the tile, a hidden size without a row, float64: the reference's bits."""
    for hidden, inner, dtype in ((128, 96, torch.float32), (192, 64, torch.float32), (128, 64, torch.float64)):
        branch, weight, residual, _ = (value.detach() for value in sample(1, 5, hidden, inner, dtype))
        expected = reference.residual_norm(branch, weight, residual, 1e-5)
        assert torch.equal(residual_norm(branch, weight, residual), expected)

"""The gated MLP in the interpreter: in two kernels with each gradient, and whole, against the reference in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import torch
from torch import Tensor

from triton_kernels import launch, runtime
from triton_kernels.swiglu import launcher, reference, swiglu

TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3}
INNER = {128: 512, 256: 768, 384: 1024, 512: 1536}
Error = Callable[[Tensor, Tensor], float]


def sample(batch: int, tokens: int, hidden: int, inner: int, dtype: torch.dtype) -> list[Tensor]:
    """x, gate_up, down as leaves, and a gradient of the output."""
    generator = torch.Generator().manual_seed(hidden + inner + tokens)
    shapes = ((batch, tokens, hidden), (2 * inner, hidden), (hidden, inner), (batch, tokens, hidden))
    drawn = [torch.randn(*shape, generator=generator) for shape in shapes]
    for weight in drawn[1:3]:
        weight /= math.sqrt(weight.shape[1])
    return [value.to(dtype).requires_grad_(number < 3) for number, value in enumerate(drawn)]


def compare(batch: int, tokens: int, hidden: int, dtype: torch.dtype, error: Error) -> None:
    x, gate_up, down, d_y = sample(batch, tokens, hidden, INNER[hidden], dtype)
    assert runtime.choose("swiglu", x, {"D": hidden}).kernel
    y = swiglu(x, gate_up, down)
    gradients = torch.autograd.grad(y, (x, gate_up, down), d_y)
    exact = [value.detach().double().requires_grad_() for value in (x, gate_up, down)]
    exact_y = reference.swiglu(exact[0], exact[1], exact[2], 1e-5)
    expected = torch.autograd.grad(exact_y, exact, d_y.double())
    assert y.dtype == dtype
    for name, found, wanted in zip(
        ("y", "d_x", "d_gate_up", "d_down"), (y, *gradients), (exact_y, *expected), strict=True
    ):
        worst = error(found.detach(), wanted.detach())
        print(f"{name} {worst:.2e}")
        assert worst < TOLERANCE[dtype], f"{name}: {worst:.2e}"


def compare_whole(batch: int, tokens: int, hidden: int, dtype: torch.dtype, error: Error) -> None:
    x, gate_up, down, _ = (value.detach() for value in sample(batch, tokens, hidden, INNER[hidden], dtype))
    y, rstd = launcher.whole_mlp(x.flatten(0, 1), gate_up, down, 1e-5)
    expected = reference.swiglu(x.double(), gate_up.double(), down.double(), 1e-5)
    worst = error(y.view(x.shape), expected)
    print(f"whole y {worst:.2e}")
    assert worst < TOLERANCE[dtype], f"y: {worst:.2e}"
    assert rstd.isfinite().all()
    assert rstd.dtype == torch.float32


@pytest.mark.parametrize(
    ("batch", "tokens", "hidden", "dtype"),
    [
        (1, 81, 128, torch.float32),
        (3, 101, 128, torch.float32),
        (1, 65, 256, torch.float32),
        (1, 33, 384, torch.float32),
        (1, 33, 512, torch.float32),
        (1, 101, 128, torch.float16),
    ],
)
def test_output_and_gradients(batch: int, tokens: int, hidden: int, dtype: torch.dtype, error: Error) -> None:
    compare(batch, tokens, hidden, dtype, error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "tokens", "hidden", "dtype"),
    [
        (1, 81, 256, torch.float32),
        (3, 101, 256, torch.float32),
        (1, 197, 256, torch.float32),
        (1, 325, 256, torch.float32),
        (1, 197, 384, torch.float32),
        (1, 101, 512, torch.float32),
        (1, 101, 256, torch.float16),
        (1, 81, 384, torch.float16),
        (1, 81, 512, torch.float16),
    ],
)
def test_output_and_gradients_at_more_shapes(
    batch: int, tokens: int, hidden: int, dtype: torch.dtype, error: Error
) -> None:
    compare(batch, tokens, hidden, dtype, error)


@pytest.mark.parametrize(
    ("batch", "tokens", "hidden", "dtype"),
    [
        (1, 81, 128, torch.float32),
        (1, 65, 256, torch.float32),
        (1, 17, 384, torch.float32),
        (1, 33, 512, torch.float32),
        (1, 101, 128, torch.float16),
    ],
)
def test_the_whole_mlp(batch: int, tokens: int, hidden: int, dtype: torch.dtype, error: Error) -> None:
    compare_whole(batch, tokens, hidden, dtype, error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "tokens", "hidden", "dtype"),
    [
        (3, 81, 256, torch.float32),
        (1, 101, 256, torch.float32),
        (1, 197, 256, torch.float32),
        (1, 325, 256, torch.float32),
        (1, 101, 384, torch.float32),
        (1, 197, 512, torch.float32),
        (1, 101, 256, torch.float16),
    ],
)
def test_the_whole_mlp_at_more_shapes(batch: int, tokens: int, hidden: int, dtype: torch.dtype, error: Error) -> None:
    compare_whole(batch, tokens, hidden, dtype, error)


def test_inner_widths_that_are_no_multiple_of_a_large_tile(error: Error) -> None:
    """Tiles of 128, as the tuner may find them, over an inner width of 192, and of 256 over hidden 384."""
    x, gate_up, down, d_y = sample(1, 20, 384, 192, torch.float32)
    exact = [value.detach().double().requires_grad_() for value in (x, gate_up, down)]
    expected = reference.swiglu(exact[0], exact[1], exact[2], 1e-5)
    rows = {"gate_up_forward": {"BM": 16, "BN": 128, "BK": 256}, "whole_mlp": {"BM": 16, "BI": 128}}
    rows["gate_up_backward"] = rows["gate_up_forward"]
    with ExitStack() as stack:
        for kernel, blocks in rows.items():
            row = launch.launch("swiglu", kernel, runtime.INTERPRETER_ARCH, D=384)._replace(blocks=blocks)
            stack.enter_context(launch.override("swiglu", kernel, runtime.INTERPRETER_ARCH, row))
        y = swiglu(x, gate_up, down)
        gradients = torch.autograd.grad(y, (x, gate_up, down), d_y)
        whole = swiglu(x.detach(), gate_up.detach(), down.detach())
    wanted = (expected, expected, *torch.autograd.grad(expected, exact, d_y.double()))
    for found, want in zip((y, whole, *gradients), wanted, strict=True):
        assert error(found.detach(), want.detach()) < TOLERANCE[torch.float32]


def test_two_runs_are_bitwise_equal() -> None:
    found = []
    for _ in range(2):
        x, gate_up, down, d_y = sample(1, 67, 128, 256, torch.float32)
        y = swiglu(x, gate_up, down)
        with torch.no_grad():
            whole = swiglu(x, gate_up, down)
        found.append((y, whole, *torch.autograd.grad(y, (x, gate_up, down), d_y)))
    assert all(torch.equal(first, second) for first, second in zip(*found, strict=True))


def test_the_whole_mlp_runs_only_where_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch, error: Error) -> None:
    x, gate_up, down, _ = sample(2, 9, 128, 256, torch.float32)
    calls: list[int] = []
    whole_mlp = launcher.whole_mlp

    def counted(*arguments: object) -> tuple[Tensor, Tensor]:
        calls.append(1)
        return whole_mlp(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(launcher, "whole_mlp", counted)
    recorded = swiglu(x, gate_up, down)
    assert recorded.requires_grad
    assert not calls
    with torch.no_grad():
        whole = swiglu(x, gate_up, down)
    swiglu(x.detach(), gate_up.detach(), down.detach())
    assert len(calls) == 2
    assert error(whole, recorded.detach()) < TOLERANCE[torch.float32]
    monkeypatch.setattr(launcher, "find", lambda *_arguments, **_shape: None)
    with torch.no_grad():
        assert torch.equal(swiglu(x, gate_up, down), recorded), "without a row: the two kernels"
    assert len(calls) == 2


# numpy says what is meant: 2^x of a large x is infinite, and one over it nothing.
@pytest.mark.filterwarnings("ignore:overflow encountered in exp2:RuntimeWarning")
def test_large_gates_neither_overflow_nor_vanish(error: Error) -> None:
    """Gates of hundreds: silu is the gate or nothing, and so is its slope."""
    x, gate_up, down, d_y = sample(1, 16, 128, 256, torch.float32)
    with torch.no_grad():
        gate_up[:256] *= 300
    y = swiglu(x, gate_up, down)
    gradients = torch.autograd.grad(y, (x, gate_up, down), d_y)
    exact = [value.detach().double().requires_grad_() for value in (x, gate_up, down)]
    exact_y = reference.swiglu(exact[0], exact[1], exact[2], 1e-5)
    for found, wanted in zip(
        (y, *gradients), (exact_y, *torch.autograd.grad(exact_y, exact, d_y.double())), strict=True
    ):
        # 300 times the scale is 300 times the rounding of the gate, which decides which side a slope is on.
        assert error(found.detach(), wanted.detach()) < 1e-4


def test_what_no_kernel_takes_goes_to_the_reference() -> None:
    """An inner width off the tile, a hidden size without a row, float64: the reference's bits."""
    for hidden, inner, dtype in ((128, 96, torch.float32), (192, 64, torch.float32), (128, 64, torch.float64)):
        x, gate_up, down, _ = (value.detach() for value in sample(1, 5, hidden, inner, dtype))
        assert torch.equal(swiglu(x, gate_up, down), reference.swiglu(x, gate_up, down, 1e-5))

"""The custom operation on a CPU: opcheck, compiled, gradients against the reference in float64, and bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triton_kernels import launch, runtime
from triton_kernels.residual_norm import aot, benchmark, kernel_problem, reference, residual_norm
from triton_kernels.residual_norm.autograd import residual_norm_forward

EPS = 1e-5


def sample(dtype: torch.dtype = torch.float32, rows: int = 7, hidden: int = 12, inner: int = 10) -> list[Tensor]:
    """branch, weight, residual as leaves."""
    generator = torch.Generator().manual_seed(rows)
    shapes = ((rows, inner), (hidden, inner), (rows, hidden))
    drawn = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    drawn[1] /= math.sqrt(inner)
    return [value.to(dtype).requires_grad_() for value in drawn]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_opcheck(dtype: torch.dtype) -> None:
    branch, weight, residual = sample(dtype)
    torch.library.opcheck(torch.ops.hrm.residual_norm_forward.default, (branch, weight, residual, EPS))
    y, rstd = residual_norm_forward(branch.detach(), weight.detach(), residual.detach(), EPS)
    torch.library.opcheck(torch.ops.hrm.residual_norm_backward.default, (torch.randn_like(y), y, rstd))


def test_gradients_are_the_reference_s() -> None:
    """In float64, so that what differs is a formula and not a rounding."""
    branch, weight, residual = leaves = sample(torch.float64)
    d_y = torch.randn(7, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y, rstd = residual_norm_forward(branch, weight, residual, EPS)
    expected = reference.residual_norm(branch, weight, residual, EPS)
    torch.testing.assert_close(y, expected)
    total = residual + branch @ weight.T
    torch.testing.assert_close(rstd, 1 / (total.square().mean(-1) + EPS).sqrt())
    for found, wanted in zip(
        torch.autograd.grad(y, leaves, d_y), torch.autograd.grad(expected, leaves, d_y), strict=True
    ):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_only_the_gradients_that_are_asked_for(wanted: int) -> None:
    leaves = [value.detach().requires_grad_(number == wanted) for number, value in enumerate(sample())]
    residual_norm_forward(*leaves, EPS)[0].sum().backward()
    assert [leaf.grad is not None for leaf in leaves] == [number == wanted for number in range(3)]


def test_16_bits_are_rounded_once() -> None:
    """The sum is fp32: in bf16 it would differ from the exact one by more than a rounding of y."""
    branch, weight, residual = (value.detach() for value in sample(torch.bfloat16, rows=64, hidden=128, inner=128))
    y, rstd = residual_norm_forward(branch, weight, residual, EPS)
    exact = reference.residual_norm(branch.double(), weight.double(), residual.double(), EPS)
    assert rstd.dtype == torch.float32
    assert torch.equal(y, exact.to(torch.bfloat16)) or float((y.double() - exact).norm() / exact.norm()) < 2e-3


def test_compiled_whole() -> None:
    """Operation and public function in one graph, without a break, forward and backward."""
    leaves = sample()

    def run(branch: Tensor, weight: Tensor, residual: Tensor) -> Tensor:
        y = residual_norm_forward(branch, weight, residual, EPS)[0]
        return residual_norm(branch, weight, y)

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    expected, found = run(*leaves), compiled(*leaves)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found.sum(), leaves), torch.autograd.grad(expected.sum(), leaves), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b, w, r: (b[..., :5], w, r), r"\(7, 5\).*needs \(B, T, I\)"),
        (lambda b, w, r: (b, w.T, r), r"\(10, 12\).*needs \(B, T, I\)"),
        (lambda b, w, r: (b[:3], w, r), r"\(3, 10\).*needs \(B, T, I\)"),
        (lambda b, w, r: (b[:0], w, r[:0]), r"branch \(0, 10\) is empty; needs at least one token"),
        (lambda b, w, r: (b, w.half(), r), r"weight torch.float16 on cpu.*needs one dtype"),
        (lambda b, w, r: (b, w.to("meta"), r), r"weight torch.float32 on meta.*needs one dtype and one device"),
    ],
)
def test_bad_input_is_named(change: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        residual_norm(*change(*sample()))  # type: ignore[operator]


def test_why_a_call_is_not_the_kernel_s() -> None:
    half = torch.empty(1, dtype=torch.bfloat16)
    assert kernel_problem(half, 768) is None
    assert kernel_problem(half.float(), 768) is None
    assert "torch.float64" in str(kernel_problem(half.double(), 768))
    for inner in (96, 1600):
        assert f"inner width {inner}" in str(kernel_problem(half, inner))
    assert runtime.choose("residual_norm", half, {"D": 256}) == (False, "there is no GPU")


def test_every_supported_shape_has_launch_rows_and_cases_to_compile() -> None:
    cases = {case.key for case in aot.cases()}
    for arch in launch.ARCHITECTURES:
        for hidden, inner in aot.MLP_WIDTH.items():
            assert runtime.has_rows("residual_norm", arch, {"D": hidden})
            assert {row.arch for row in launch.table("residual_norm")["residual_norm_forward"]} >= {arch}
            names = (f"forward D{hidden} I{hidden}", f"forward D{hidden} I{inner}", f"backward D{hidden}")
            assert {f"residual_norm.{name}@sm_{arch}" for name in names} <= cases


def test_specimens_without_a_gpu_have_the_reference_alone() -> None:
    found = benchmark.specimens(torch.device("cpu"), torch.float32)
    assert [specimen.direction for specimen in found] == ["forward no grad", "forward+backward"] * 3
    assert all(list(specimen.peers) == ["reference"] and specimen.check is None for specimen in found)
    y, *gradients = found[1].peers["reference"]()  # type: ignore[misc]
    assert [tuple(value.shape) for value in (y, *gradients)] == [(101, 256), (101, 256), (256, 256), (101, 256)]

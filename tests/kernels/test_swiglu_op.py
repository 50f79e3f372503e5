"""The gated MLP's custom operation on a CPU: opcheck, compiled, gradients against the reference in float64, errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hrm_core.model.layers import inner_width
from triton_kernels import launch, runtime
from triton_kernels.residual_norm.aot import MLP_WIDTH
from triton_kernels.swiglu import aot, autograd, benchmark, launcher, reference, swiglu
from triton_kernels.swiglu.autograd import swiglu_backward, swiglu_forward

EPS = 1e-5


def sample(dtype: torch.dtype = torch.float32, rows: int = 7, hidden: int = 12, inner: int = 10) -> list[Tensor]:
    """x, gate_up, down as leaves."""
    generator = torch.Generator().manual_seed(rows)
    shapes = ((rows, hidden), (2 * inner, hidden), (hidden, inner))
    drawn = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    for weight in drawn[1:]:
        weight /= math.sqrt(weight.shape[1])
    return [value.to(dtype).requires_grad_() for value in drawn]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("recorded", [True, False])
def test_opcheck(dtype: torch.dtype, recorded: bool) -> None:
    x, gate_up, down = sample(dtype)
    torch.library.opcheck(torch.ops.hrm.swiglu_forward.default, (x, gate_up, down, EPS, recorded))
    d_inner = torch.randn(7, 10, dtype=dtype)
    torch.library.opcheck(torch.ops.hrm.swiglu_backward.default, (d_inner, x.detach(), gate_up.detach()))


def test_gradients_are_the_reference_s() -> None:
    """In float64, so that what differs is a formula and not a rounding."""
    leaves = sample(torch.float64)
    d_y = torch.randn(7, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = swiglu_forward(*leaves, EPS, True)[0]
    expected = reference.swiglu(leaves[0], leaves[1], leaves[2], EPS)
    torch.testing.assert_close(y, expected)
    for found, wanted in zip(
        torch.autograd.grad(y, leaves, d_y), torch.autograd.grad(expected, leaves, d_y), strict=True
    ):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_only_the_gradients_that_are_asked_for(wanted: int) -> None:
    leaves = [value.detach().requires_grad_(number == wanted) for number, value in enumerate(sample())]
    swiglu_forward(*leaves, EPS, True)[0].sum().backward()
    assert [leaf.grad is not None for leaf in leaves] == [number == wanted for number in range(3)]


def test_inner_and_its_gradient_again() -> None:
    x, gate_up, _ = (value.detach() for value in sample(torch.float64))
    d_inner = torch.randn(7, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    d_gate_up, again = swiglu_backward(d_inner, x, gate_up)
    halves = (x @ gate_up.T).requires_grad_()
    gate, up = halves.chunk(2, -1)
    inner = gate * gate.sigmoid() * up
    torch.testing.assert_close(again, inner)
    torch.testing.assert_close(d_gate_up, torch.autograd.grad(inner, halves, d_inner)[0])


def test_what_the_backward_keeps_has_the_width_of_the_state() -> None:
    """x, y and rstd a token beside the weights: at hidden 256 in bf16 1 KB, x being the previous operation's anyway."""
    x, gate_up, down = sample(torch.bfloat16, rows=5, hidden=16, inner=24)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        swiglu_forward(x, gate_up, down, EPS, True)
    weights = {gate_up.data_ptr(), down.data_ptr()}
    a_token = sum(tensor.nbytes for tensor in kept if tensor.data_ptr() not in weights) / 5
    assert a_token == 2 * 16 * 2 + 4


def test_compiled_whole() -> None:
    """Operation and public function in one graph, without a break, forward and backward."""
    leaves = sample()

    def run(x: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        return swiglu(swiglu_forward(x, gate_up, down, EPS, True)[0], gate_up, down)

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
        (lambda x, g, d: (x[..., :5], g, d), r"\(7, 5\).*needs \(B, T, D\)"),
        (lambda x, g, d: (x, g[:10], d), r"\(10, 12\).*needs \(B, T, D\)"),
        (lambda x, g, d: (x, g, d.T), r"\(10, 12\).*needs \(B, T, D\)"),
        (lambda x, g, d: (x[:0], g, d), r"state \(0, 12\) is empty; needs at least one token"),
        (lambda x, g, d: (x, g.half(), d), r"gate_up torch.float16 on cpu.*needs one dtype"),
        (lambda x, g, d: (x, g, d.to("meta")), r"down torch.float32 on meta.*needs one dtype and one device"),
    ],
)
def test_bad_input_is_named(change: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        swiglu(*change(*sample()))  # type: ignore[operator]


def test_the_public_function_says_whether_a_gradient_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernel chosen: recorded only where gradients are on and something wants one."""
    monkeypatch.setattr(runtime, "choose", lambda *_arguments: runtime.Choice(True, "test"))
    said: list[bool] = []

    def spy(x: Tensor, gate_up: Tensor, down: Tensor, eps: float, recorded: bool) -> tuple[Tensor, Tensor]:
        said.append(recorded)
        y, rstd = autograd.swiglu_forward(x, gate_up, down, eps, recorded)
        return y, rstd

    monkeypatch.setattr("triton_kernels.swiglu.swiglu_forward", spy)
    x, gate_up, down = sample()
    batch = x.detach().view(1, 7, 12)
    y = swiglu(batch, gate_up, down)
    assert y.shape == batch.shape
    torch.testing.assert_close(y, reference.swiglu(batch, gate_up, down, EPS))
    with torch.no_grad():
        swiglu(batch, gate_up, down)
    swiglu(batch, gate_up.detach(), down.detach())
    assert said == [True, False, False]


def test_every_supported_shape_has_launch_rows_and_cases_to_compile() -> None:
    cases = {case.key for case in aot.cases()}
    for arch in launch.ARCHITECTURES:
        for hidden, inner in MLP_WIDTH.items():
            assert inner == inner_width(hidden, 4.0)
            assert runtime.has_rows("swiglu", arch, {"D": hidden})
            names = ("gate_up_forward", "gate_up_backward", "whole_mlp")
            # At hidden 256 two kernels were measured to be faster on Hopper (triton_kernels/swiglu/README.md).
            names = names[:2] if (arch, hidden) == (90, 256) else names
            assert {f"swiglu.{name} D{hidden}@sm_{arch}" for name in names} <= cases


def test_specimens_without_a_gpu_have_the_reference_alone() -> None:
    found = benchmark.specimens(torch.device("cpu"), torch.float32)
    assert [specimen.direction for specimen in found] == ["forward", "forward no grad", "forward+backward"] * 3
    assert all(list(specimen.peers) == ["reference"] and specimen.check is None for specimen in found)
    y, *gradients = found[2].peers["reference"]()  # type: ignore[misc]
    assert [tuple(value.shape) for value in (y, *gradients)] == [(101, 256), (101, 256), (1536, 256), (256, 768)]


@pytest.mark.parametrize(("arch", "kernels"), [(89, ["whole_mlp"]), (90, ["inner", "residual_norm"])])
def test_the_whole_mlp_runs_only_where_it_has_a_row_of_its_own(
    arch: int, kernels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """sm_90 has none at hidden 256: there sm_89's was measured at 0.4 times the speed of the two kernels."""
    called: list[str] = []

    def noted(name: str) -> Callable[..., object]:
        return lambda *arguments: called.append(name)

    monkeypatch.setattr(launcher.runtime, "arch_of", lambda device: arch)
    monkeypatch.setattr(launcher, "whole_mlp", noted("whole_mlp"))
    monkeypatch.setattr(launcher, "inner_forward", noted("inner"))
    monkeypatch.setattr(launcher.residual_norm_launcher, "forward", noted("residual_norm"))
    x = torch.zeros(2, 256)
    launcher.forward(x, torch.zeros(1536, 256), torch.zeros(256, 768), 1e-5, recorded=False)
    assert called == kernels
    called.clear()
    launcher.forward(x, torch.zeros(1536, 256), torch.zeros(256, 768), 1e-5, recorded=True)
    assert called == ["inner", "residual_norm"]

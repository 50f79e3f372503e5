"""recurrent_attention in the interpreter: both outputs and every gradient against the reference in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.recurrent_attention import launcher, recurrent_attention, reference

Error = Callable[[Tensor, Tensor], float]
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3}


class Case(NamedTuple):
    """One call; injections: their shapes, "full" for the state's own."""

    batch: int
    tokens: int
    heads: int
    width: int
    injections: tuple[str, ...] = ()
    lengths: tuple[int, ...] | None = None
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        name = f"{self.batch}x{self.tokens}x{self.heads}x{self.width}-{'-'.join(self.injections) or 'none'}"
        return f"{name}{'-lengths' if self.lengths else ''}-{str(self.dtype)[6:]}"


def normal(*shape: int, seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def tables(tokens: int, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    angle = 3 * normal(tokens, width // 2, seed=9, dtype=torch.float64)
    sine = torch.stack([-angle.sin(), angle.sin()], -1).flatten(-2)
    return angle.cos().repeat_interleave(2, -1).to(dtype), sine.to(dtype)


def inputs(case: Case) -> list[Tensor]:
    """State, weight, injections."""
    hidden = case.heads * case.width
    shapes = {"full": (case.batch, case.tokens, hidden), "row": (case.tokens, hidden), "one": (case.batch, 1, hidden)}
    tensors = [
        normal(*shapes["full"], seed=1, dtype=case.dtype),
        (normal(3 * hidden, hidden, seed=2, dtype=torch.float64) * hidden**-0.5).to(case.dtype),
    ]
    tensors += [normal(*shapes[name], seed=3 + i, dtype=case.dtype) for i, name in enumerate(case.injections)]
    return tensors


def run(case: Case, dtype: torch.dtype, function: Callable[..., tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Outputs and gradients of a function at the case's values, held in dtype."""
    state, weight, *injections = (tensor.to(dtype).requires_grad_() for tensor in inputs(case))
    rotary = tuple(table.to(dtype) for table in tables(case.tokens, case.width, case.dtype))
    lengths = None if case.lengths is None else torch.tensor(case.lengths)
    residual, attended = function(state, weight, rotary, case.heads, tuple(injections), lengths)
    assert residual.dtype == attended.dtype == dtype
    gradients = [normal(*residual.shape, seed=seed, dtype=case.dtype).to(dtype) for seed in (7, 8)]
    ((residual * gradients[0]).sum() + (attended * gradients[1]).sum()).backward()
    found = {"residual": residual.detach(), "attended": attended.detach()}
    for name, tensor in zip(["state", "weight", "first", "second"], [state, weight, *injections], strict=False):
        assert tensor.grad is not None
        found[f"d_{name}"] = tensor.grad
    return found


def check(case: Case, error: Error) -> None:
    shape = {"D": case.heads * case.width, "E": case.width}
    assert runtime.choose("recurrent_attention", torch.empty(0), shape).kernel
    expected = run(case, torch.float64, reference.recurrent_attention)
    errors = {name: error(value, expected[name]) for name, value in run(case, case.dtype, recurrent_attention).items()}
    assert errors.keys() == expected.keys()
    assert max(errors.values()) < TOLERANCE[case.dtype], errors


@pytest.mark.parametrize(
    "case",
    [
        Case(1, 81, 2, 64),
        Case(3, 37, 4, 32, ("full",), (37, 5, 20)),
        Case(1, 101, 4, 32, ("full", "row")),
        Case(1, 64, 2, 64, ("one", "full"), dtype=torch.float16),
    ],
    ids=str,
)
def test_outputs_and_gradients(case: Case, error: Error) -> None:
    check(case, error)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        Case(1, 81, 8, 32),
        Case(1, 81, 4, 64, ("full", "full")),
        Case(1, 81, 12, 32, ("full",)),
        Case(1, 81, 6, 64),
        Case(1, 81, 16, 32, ("full", "full")),
        Case(3, 81, 8, 64, (), (81, 1, 33)),
        Case(3, 101, 4, 64, ("full", "full"), (100, 64, 65)),
        Case(1, 101, 8, 32, ("full",), dtype=torch.float16),
        Case(1, 197, 4, 32, ("full",)),
        Case(1, 197, 2, 64, (), (130,)),
        Case(1, 197, 6, 64, ("full", "full"), dtype=torch.float16),
        Case(1, 325, 2, 64, ("full", "full")),
        Case(1, 325, 4, 32, ("full",), (300,), torch.float16),
    ],
    ids=str,
)
def test_outputs_and_gradients_at_more_shapes(case: Case, error: Error) -> None:
    check(case, error)


@pytest.mark.parametrize(
    ("batch", "tokens", "heads", "width", "count", "dtype"),
    [
        (1, 1, 2, 64, 2, torch.float32),
        (1, 63, 4, 32, 0, torch.float32),
        (5, 13, 4, 64, 1, torch.float32),
        (1, 129, 12, 32, 2, torch.float16),
        (1, 65, 8, 64, 2, torch.float32),
    ],
)
def test_projection_alone(
    batch: int, tokens: int, heads: int, width: int, count: int, dtype: torch.dtype, error: Error
) -> None:
    case = Case(batch, tokens, heads, width, ("full",) * count, dtype=dtype)
    state, weight, *injections = inputs(case)
    cosine, sine = tables(tokens, width, dtype)
    residual, qkv = launcher.project(state, injections, weight, cosine, sine, heads)
    total = state.double() + sum(injection.double() for injection in injections)
    expected = (total @ weight.double().T).view(qkv.shape)
    turned = [reference.rotate(expected[:, :, i], cosine.double(), sine.double()) for i in (0, 1)]
    for i, part in enumerate([*turned, expected[:, :, 2]]):
        assert error(qkv[:, :, i], part) < TOLERANCE[dtype], i
    if count:
        assert error(residual, total) < TOLERANCE[dtype]
    else:
        assert residual.numel() == 0


def test_two_runs_give_the_same_bits_and_inputs_stay() -> None:
    case = Case(1, 40, 2, 64, ("full", "full"), (33,))
    first, second = (run(case, case.dtype, recurrent_attention) for _ in range(2))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    state, weight, *injections = inputs(case)
    before = [tensor.clone() for tensor in (state, weight, *injections)]
    recurrent_attention(state, weight, tables(40, 64, case.dtype), 2, tuple(injections), torch.tensor([33]))
    for tensor, copy in zip((state, weight, *injections), before, strict=True):
        assert torch.equal(tensor, copy)


def test_views_that_are_not_contiguous_are_read_rightly(error: Error) -> None:
    wide = normal(2, 30, 256, seed=1, dtype=torch.float32)
    state, injection = wide[:, ::2, :128], wide[:, 1::2, 128:]
    weight = normal(128, 384, seed=2, dtype=torch.float32).T * 0.1
    rotary = tables(15, 32, torch.float32)
    expected = reference.recurrent_attention(
        state.double(), weight.double(), tuple(t.double() for t in rotary), 4, (injection.double(),)
    )
    for value, wanted in zip(recurrent_attention(state, weight, rotary, 4, (injection,)), expected, strict=True):
        assert error(value, wanted) < TOLERANCE[torch.float32]


def test_compiles_with_its_choice_in_one_graph() -> None:
    """The choice reads launch tables, which must not be traced."""
    case = Case(1, 12, 2, 64, ("full",))
    expected = run(case, case.dtype, recurrent_attention)
    torch.compiler.reset()
    compiled = torch.compile(recurrent_attention, fullgraph=True, backend="aot_eager")
    for name, value in run(case, case.dtype, compiled).items():
        assert torch.equal(value, expected[name]), name

    def verified(x: Tensor) -> Tensor:
        return x if runtime.verified("recurrent_attention", 89, {"D": x.shape[0], "E": 64}) else -x

    unproven = torch.compile(verified, fullgraph=True, backend="aot_eager")(torch.ones(256))
    assert (unproven[0] > 0) == runtime.verified("recurrent_attention", 89, {"D": 256, "E": 64})

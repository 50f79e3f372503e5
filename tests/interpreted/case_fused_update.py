"""Kernels of the update in the interpreter against their reference in float64: every rule, noise, average and flag.

Also against numpy's functions for the three that the kernels compute themselves, and bit for bit for the hash.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hrm_core.learning.averaging import Average
from hrm_core.learning.flat import FlatParameters
from hrm_core.learning.optimizers import TrunkOptimizer
from hrm_core.recipe.learning import AveragingConfig, OptimizerConfig
from triton_kernels import runtime
from triton_kernels.fused_update import (
    Averaging,
    Buffers,
    Controls,
    Noise,
    Rule,
    fused_update,
    kernel,
    measure_gradients,
    reference,
    rows_sign_update,
)
from triton_kernels.hashing import hash32, uniform

TOLERANCE = 2e-6
Error = Callable[[Tensor, Tensor], float]


def scalar(value: float, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(value, dtype=dtype)


class Problem:
    """One update: fp32 buffers with a history (moments after some steps), and everything else that takes part."""

    def __init__(self, size: int, kind: str, *, noise: bool = False, average: str = "", copy: bool = False) -> None:
        generator = torch.Generator().manual_seed(size)
        draw = [torch.randn(size, generator=generator) for _ in range(5)]
        second = draw[3].square() if kind != "lion" else torch.zeros(0)
        self.buffers = Buffers(draw[0], 1e-2 * draw[1], 1e-2 * draw[2], 1e-4 * second)
        self.average = draw[4] if average else None
        self.copy = torch.zeros(size, dtype=torch.float16) if copy else None
        self.rule = Rule(kind, (0.9, 0.95), 0.1)
        self.kind = average
        self.sigma = 5e-3 if noise else None
        self.lr, self.keep, self.scale, self.count, self.taken = 1e-2, 1.0, 0.7, 7.0, 1.0

    def to(self, dtype: torch.dtype) -> dict[str, Any]:
        """Arguments of the update, with copies of the buffers in this dtype."""
        one = {name: scalar(getattr(self, name), dtype) for name in ("lr", "keep", "scale", "count", "taken")}
        average = None
        if self.average is not None:
            average = Averaging(
                self.kind, self.average.to(dtype, copy=True), scalar(4.0, dtype), scalar(0.99, dtype), one["taken"]
            )
        return {
            "buffers": Buffers(*(tensor.to(dtype, copy=True) for tensor in self.buffers)),
            "controls": Controls(one["lr"], one["keep"], one["scale"], one["count"]),
            "rule": self.rule,
            "noise": None if self.sigma is None else Noise(scalar(self.sigma, dtype), 1234567890123),
            "average": average,
            "copy": None if self.copy is None else self.copy.clone(),
        }


def run(arguments: dict[str, Any], clear: bool = True) -> list[Tensor]:
    """The public function on these arguments -> all that it changed."""
    assert runtime.choose("fused_update", arguments["buffers"].values, {}).kernel
    fused_update(**arguments, clear=clear)
    return outcome(arguments)


def outcome(arguments: dict[str, Any]) -> list[Tensor]:
    average, copy = arguments["average"], arguments["copy"]
    return [*arguments["buffers"], *([average.values] if average else []), *([copy] if copy is not None else [])]


def check(problem: Problem, error: Error, clear: bool = True) -> None:
    exact = problem.to(torch.float64)
    reference.update(**exact, clear=clear)
    for ours, theirs in zip(run(problem.to(torch.float32), clear), outcome(exact), strict=True):
        tolerance = 5e-4 if ours.dtype == torch.float16 else TOLERANCE
        assert error(ours, theirs) <= tolerance


COMBINATIONS = list(itertools.product(("adamw", "adam_atan2", "lion"), (False, True), ("", "ema", "swa")))


@pytest.mark.parametrize(("kind", "noise", "average"), COMBINATIONS)
def test_update(kind: str, noise: bool, average: str, error: Error) -> None:
    check(Problem(1037, kind, noise=noise, average=average, copy=noise), error)


@pytest.mark.parametrize("size", [1, 81, 101, 197, 511, 512, 513, 2048])
def test_update_at_odd_sizes(size: int, error: Error) -> None:
    check(Problem(size, "adamw", average="ema"), error)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "noise", "average"), COMBINATIONS)
@pytest.mark.parametrize("size", [325, 5000])
def test_update_at_more_sizes(kind: str, noise: bool, average: str, size: int, error: Error) -> None:
    check(Problem(size, kind, noise=noise, average=average, copy=True), error, clear=False)


@settings(max_examples=8, deadline=None)
@given(size=st.integers(1, 1500), kind=st.sampled_from(reference.KINDS), average=st.sampled_from(["", "ema", "swa"]))
def test_update_at_any_size(size: int, kind: str, average: str) -> None:
    def error(actual: Tensor, expected: Tensor) -> float:
        return float((actual.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30))

    check(Problem(size, kind, average=average), error)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.0), (0.999, 0.9999)])
@pytest.mark.parametrize("count", [1.0, 2.0, 40.0, 30000.0])
def test_bias_corrections(betas: tuple[float, float], count: float, error: Error) -> None:
    problem = Problem(100, "adamw")
    problem.rule, problem.count = Rule("adamw", betas, 0.0), count
    check(problem, error)


def test_gradients_stay_unless_cleared(error: Error) -> None:
    problem = Problem(600, "adamw")
    check(problem, error, clear=False)
    assert torch.equal(run(problem.to(torch.float32), clear=False)[1], problem.buffers.gradients)


@pytest.mark.parametrize("kind", reference.KINDS)
def test_keep_zero_leaves_no_trace_but_zero_gradients(kind: str) -> None:
    problem = Problem(700, kind, noise=True, average="ema")
    problem.buffers.gradients[3], problem.buffers.gradients[5] = float("nan"), float("inf")
    problem.keep, problem.scale, problem.taken = 0.0, 0.0, 0.0
    values, gradients, first, second, average = run(problem.to(torch.float32))
    assert gradients.eq(0).all()
    assert torch.equal(values, problem.buffers.values)
    assert torch.equal(first, problem.buffers.first)
    assert torch.equal(second, problem.buffers.second)
    assert problem.average is not None
    assert torch.equal(average, problem.average)


def test_an_average_may_rest_while_the_values_move(error: Error) -> None:
    problem = Problem(300, "adamw", average="swa")
    problem.taken = 0.0
    check(problem, error)
    assert problem.average is not None
    assert torch.equal(run(problem.to(torch.float32))[4], problem.average)


def test_single_numbers_that_are_not_finite_count_as_zero(error: Error) -> None:
    problem = Problem(300, "adamw")
    problem.buffers.gradients[0], problem.buffers.gradients[299] = float("nan"), float("-inf")
    check(problem, error)


def test_twice_gives_the_same_bits() -> None:
    problem = Problem(900, "adam_atan2", noise=True, average="ema", copy=True)
    first, second = run(problem.to(torch.float32)), run(problem.to(torch.float32))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("size", [1, 197, 8191, 8192, 8193, 40000])
@pytest.mark.parametrize("clip", [None, 0.5, 1e6])
def test_measure(size: int, clip: float | None, error: Error) -> None:
    gradients = torch.randn(size, generator=torch.Generator().manual_seed(size))
    exact = reference.measure(gradients.double(), clip)
    found, again = measure_gradients(gradients, clip), measure_gradients(gradients, clip)
    for ours, theirs, twice in zip(found, exact, again, strict=True):
        assert ours.shape == ()
        assert error(ours, theirs) <= TOLERANCE
        assert torch.equal(ours, twice)


@pytest.mark.slow
def test_measure_with_more_partial_sums_than_one_block(error: Error) -> None:
    gradients = torch.randn(9_000_000, generator=torch.Generator().manual_seed(0))
    assert error(measure_gradients(gradients, 1.0).norm, gradients.double().norm()) <= TOLERANCE


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_measure_of_gradients_that_are_not_finite(bad: float, clip: float | None) -> None:
    gradients = torch.randn(300, generator=torch.Generator().manual_seed(0))
    gradients[7] = bad
    found = measure_gradients(gradients, clip)
    assert not torch.isfinite(found.norm)
    assert (found.keep.item(), found.scale.item()) == (0.0, 0.0)


@triton.jit
def functions_kernel(y_ptr, x_ptr, angle_ptr, turns_ptr, cos_ptr, word_ptr, seed, count, BLOCK: tl.constexpr):
    o_n = tl.arange(0, BLOCK)
    tl.store(angle_ptr + o_n, kernel.atan2_upper(tl.load(y_ptr + o_n), tl.load(x_ptr + o_n)))
    tl.store(cos_ptr + o_n, kernel.cos_of_turns(tl.load(turns_ptr + o_n)))
    position = o_n.to(tl.uint32)
    draw = kernel.uniform_draw(seed.to(tl.uint32), 301, count.to(tl.uint32), position)
    tl.store(word_ptr + o_n, draw)


def test_own_functions_and_hash() -> None:
    size = 4096
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(size, generator=generator) * 10.0 ** torch.randint(-8, 8, (size,), generator=generator)
    x = (torch.randn(size, generator=generator) * 10.0 ** torch.randint(-8, 8, (size,), generator=generator)).abs()
    y[:6] = torch.tensor([0.0, 3.0, -3.0, 0.0, 1.0, -1.0])
    x[:6] = torch.tensor([0.0, 0.0, 0.0, 2.0, 1.0, 1.0])
    turns = torch.linspace(0.0, 1.0, size)
    angle, cosine, draw = torch.empty(size), torch.empty(size), torch.empty(size)
    functions_kernel[(1,)](y, x, angle, turns, cosine, draw, -77, 123, BLOCK=size)
    exact = np.arctan2(y.double().numpy(), x.double().numpy())
    assert np.abs(angle.double().numpy() - exact).max() <= 2e-7
    assert (
        np.abs(angle.double().numpy()[x > 0] / np.where(exact == 0, 1, exact)[x > 0] - (exact[x > 0] != 0)).max()
        <= 3e-7
    )
    assert angle[:3].tolist() == pytest.approx([0.0, math.pi / 2, -math.pi / 2], rel=1e-7)
    assert np.abs(cosine.double().numpy() - np.cos(2 * np.pi * turns.double().numpy())).max() <= 2e-7
    assert torch.equal(draw, uniform(hash32(-77, 301, torch.tensor(123), torch.arange(size))))


def rows_case(slots: int, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Table with its last row 0, row numbers with duplicates, gradients; the last slot names the scratch row."""
    generator = torch.Generator().manual_seed(slots)
    table = torch.randn(rows + 1, columns, generator=generator)
    table[-1] = 0.0
    index = torch.randint(0, rows, (slots,), generator=generator)
    index[-1] = rows if slots > 2 else index[-1]
    return table, index, torch.randn(slots, columns, generator=generator)


@pytest.mark.parametrize(("slots", "rows", "columns"), [(1, 3, 8), (7, 2, 5), (12, 40, 257), (9, 1, 300), (40, 11, 64)])
def test_rows_by_sign(slots: int, rows: int, columns: int, error: Error) -> None:
    table, index, gradients = rows_case(slots, rows, columns)
    ours, again, exact = table.clone(), table.clone(), table.double()
    for target in (ours, again):
        rows_sign_update(target, index, gradients, scalar(0.5), scalar(1.0), lr=0.1, weight_decay=0.2)
    reference.rows_sign_update(exact, index, gradients.double(), scalar(0.05, torch.float64), 0.2)
    assert error(ours, exact) <= TOLERANCE
    assert torch.equal(ours, again)
    assert ours[-1].eq(0).all()
    untouched = torch.ones(rows + 1, dtype=torch.bool).index_fill(0, index, False)
    assert torch.equal(ours[untouched], table[untouched])


@pytest.mark.slow
def test_rows_by_sign_over_more_slots_than_one_block(error: Error) -> None:
    table, index, gradients = rows_case(600, 4000, 5)
    ours, exact = table.clone(), table.double()
    rows_sign_update(ours, index, gradients, scalar(0.5), scalar(1.0), lr=0.1, weight_decay=0.2)
    reference.rows_sign_update(exact, index, gradients.double(), scalar(0.05, torch.float64), 0.2)
    assert error(ours, exact) <= TOLERANCE


def test_rows_keep_zero() -> None:
    table, index, gradients = rows_case(8, 5, 16)
    ours = table.clone()
    rows_sign_update(ours, index, gradients, scalar(0.5), scalar(0.0), lr=0.1, weight_decay=0.2)
    assert torch.equal(ours, table)


def test_duplicates_are_summed_in_slot_order() -> None:
    """1e8 + 1 - 1e8 is 0 in fp32 in this order and 1 in another."""
    table, index = torch.ones(3, 1), torch.tensor([1, 0, 1, 1])
    gradients = torch.tensor([[1e8], [5.0], [1.0], [-1e8]])
    table[-1] = 0.0
    rows_sign_update(table, index, gradients, scalar(1.0), scalar(1.0), lr=0.5, weight_decay=0.0)
    assert table.flatten().tolist() == [0.5, 1.0, 0.0]


@pytest.mark.parametrize("kind", ["adamw", "adam_atan2", "muon"])
def test_optimizer_and_average_with_kernels_equal_those_without(kind: str, error: Error) -> None:
    """Three steps of the classes that call the operation; with Muon only a part of the buffers is the kernel's."""
    outcomes = []
    for mode in ("force", "off"):
        generator = torch.Generator().manual_seed(0)
        model = nn.ParameterDict({"down": torch.randn(9, 15, generator=generator), "head": torch.randn(7, 15)})
        model["head"].data.copy_(torch.randn(7, 15, generator=generator))
        flat = FlatParameters(model)
        optimizer = TrunkOptimizer(OptimizerConfig(kind=kind, lr=1e-2), flat)  # type: ignore[arg-type]
        average = Average(AveragingConfig(decay=0.9, rows=False), flat.values, torch.zeros(0))
        with runtime.mode(mode):
            for _ in range(3):
                flat.gradients.copy_(torch.randn(flat.values.numel(), generator=generator))
                measured = measure_gradients(flat.gradients, 1.0)
                optimizer.clip_and_update(scalar(1e-2), measured, average.count_step(measured.keep))
                assert flat.gradients.eq(0).all()
        outcomes.append([flat.values, *average.averages, *optimizer.state().values()])
    for ours, theirs in zip(*outcomes, strict=True):
        assert error(ours, theirs) <= (TOLERANCE if kind != "muon" else 1e-4)  # Muon's iterations are in bf16

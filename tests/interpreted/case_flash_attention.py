"""Flash attention kernels against softmax(QK^T/sqrt(E))V in float64, its base-2 lse, and float64 autograd to before
the rotation: tile remainders, key lengths, head dims 32 and 64, fp32 and fp16."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from triton_kernels.recurrent_attention import reference
from triton_kernels.recurrent_attention.flash.launcher import attention_backward, attention_forward

Error = Callable[[Tensor, Tensor], float]
LIMIT = {torch.float32: 2e-6, torch.float16: 2e-3}


class Case(NamedTuple):
    """What the kernels are given, in their dtype."""

    qkv: Tensor
    d_attended: Tensor
    cos: Tensor
    sin: Tensor
    key_length: Tensor | None


class Expected(NamedTuple):
    """Float64."""

    attended: Tensor
    lse: Tensor
    d_qkv: Tensor


def tables(tokens: int, width: int) -> tuple[Tensor, Tensor]:
    """Rotary tables (T, E): one angle for the two of a pair, sin with the signs (-, +)."""
    angle = torch.arange(tokens).double()[:, None] * 100.0 ** -(torch.arange(width // 2).double() * 2 / width)
    sin = torch.stack((-angle.sin(), angle.sin()), -1).flatten(-2)
    return angle.cos().repeat_interleave(2, -1), sin


def make(
    shape: tuple[int, int, int, int],
    key_length: list[int] | None = None,
    dtype: torch.dtype = torch.float32,
    spread: float = 1.0,
) -> Case:
    """Random (B, T, H, E); `spread` multiplies q."""
    batch, tokens, heads, width = shape
    generator = torch.Generator().manual_seed(1000 * tokens + width)
    qkv = torch.randn(batch, tokens, 3, heads, width, generator=generator)
    qkv[:, :, 0] *= spread
    d_attended = torch.randn(batch, tokens, heads, width, generator=generator)
    cos, sin = tables(tokens, width)
    lengths = None if key_length is None else torch.tensor(key_length)
    return Case(qkv.to(dtype), d_attended.to(dtype), cos.to(dtype), sin.to(dtype), lengths)


def expected(case: Case) -> Expected:
    """The formula in float64; the gradient passes through `rotate`, whose value is replaced by the rotated q and k."""
    exact = case.qkv.double()
    before = torch.zeros_like(exact, requires_grad=True)
    tokens, width = case.cos.shape
    rotated = []
    for part in range(3):
        turned = before[:, :, part]
        if part < 2:
            turned = reference.rotate(turned, case.cos.double(), case.sin.double())
        rotated.append((turned - turned.detach() + exact[:, :, part]).transpose(1, 2))
    attended = reference.attend(*rotated, case.key_length)
    attended.backward(case.d_attended.double().transpose(1, 2))
    scores = rotated[0].detach() @ rotated[1].detach().mT / math.sqrt(width)
    if case.key_length is not None:
        ignored = torch.arange(tokens) >= case.key_length[:, None, None, None]
        scores = scores.masked_fill(ignored, float("-inf"))
    assert before.grad is not None
    return Expected(attended.detach().transpose(1, 2), torch.logsumexp(scores, -1) / math.log(2.0), before.grad)


def run(case: Case) -> Expected:
    """The kernels' forward and backward."""
    attended, lse = attention_forward(case.qkv, case.key_length)
    d_qkv = attention_backward(case.d_attended, case.qkv, attended, lse, case.cos, case.sin, case.key_length)
    return Expected(attended, lse, d_qkv)


def check(case: Case, error: Error) -> None:
    """Every output, and each of dq, dk and dv by itself; what backward was given must be as it was."""
    before = [tensor.clone() for tensor in case if tensor is not None]
    actual, exact = run(case), expected(case)
    assert all(
        torch.equal(kept, tensor) for kept, tensor in zip(before, [t for t in case if t is not None], strict=True)
    )
    assert actual.attended.dtype == actual.d_qkv.dtype == case.qkv.dtype and actual.lse.dtype == torch.float32
    assert actual.attended.is_contiguous() and actual.lse.is_contiguous() and actual.d_qkv.is_contiguous()
    errors = {"attended": error(actual.attended, exact.attended), "lse": error(actual.lse, exact.lse)}
    for part, name in enumerate(("dq", "dk", "dv")):
        errors[name] = error(actual.d_qkv[:, :, part], exact.d_qkv[:, :, part])
    assert max(errors.values()) < LIMIT[case.qkv.dtype], errors


@pytest.mark.parametrize(("tokens", "width"), [(81, 32), (101, 64)])
def test_a_tail_tile_of_queries_and_keys(tokens: int, width: int, error: Error) -> None:
    check(make((1, tokens, 2, width)), error)


def test_less_than_a_tile(error: Error) -> None:
    check(make((1, 17, 1, 32)), error)


def test_one_token_attends_to_itself() -> None:
    """Its output is its value, and no score can change that: q and k have the gradient 0."""
    case = make((2, 1, 3, 32))
    actual, exact = run(case), expected(case)
    torch.testing.assert_close(actual.attended, case.qkv[:, :, 2], rtol=1e-6, atol=0.0)
    torch.testing.assert_close(actual.lse.double(), exact.lse, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(actual.d_qkv.double(), exact.d_qkv, rtol=1e-6, atol=1e-5)


def test_keys_and_queries_fill_their_tiles_exactly(error: Error) -> None:
    check(make((1, 128, 1, 32)), error)


def test_key_lengths_shorter_than_the_sample(error: Error) -> None:
    """One key, a tile's worth of them, a remainder, all: ignored keys and values get a gradient of exactly 0."""
    case = make((3, 81, 1, 32), [1, 64, 47])
    check(case, error)
    d_qkv = run(case).d_qkv
    for sample, length in enumerate((1, 64, 47)):
        assert torch.equal(d_qkv[sample, length:, 1:], torch.zeros_like(d_qkv[sample, length:, 1:]))


def test_a_full_key_length_is_none_bit_for_bit() -> None:
    case = make((1, 81, 1, 64))
    for one, other in zip(run(case), run(case._replace(key_length=torch.tensor([81]))), strict=True):
        assert torch.equal(one, other)


def test_what_lies_at_ignored_keys_is_not_read() -> None:
    """NaN in the padding of k and v changes nothing."""
    case = make((1, 81, 1, 32), [70])
    poisoned = case._replace(qkv=case.qkv.clone())
    poisoned.qkv[:, 70:, 1:] = float("nan")
    for one, other in zip(run(case), run(poisoned), strict=True):
        assert torch.equal(one, other)


def test_a_sample_without_keys_gives_zero_and_no_nan() -> None:
    case = make((1, 81, 1, 32), [0])
    attended, lse, d_qkv = run(case)
    assert torch.equal(attended, torch.zeros_like(attended)) and torch.equal(d_qkv, torch.zeros_like(d_qkv))
    assert bool((lse == float("-inf")).all())


def test_two_runs_give_the_same_bits() -> None:
    case = make((1, 101, 2, 32), [90])
    for one, other in zip(run(case), run(case), strict=True):
        assert torch.equal(one, other)


def test_half_precision(error: Error) -> None:
    check(make((1, 81, 1, 64), dtype=torch.float16), error)


def test_sharp_scores_stay_finite(error: Error) -> None:
    """Scores of some tens to both sides: the running maximum matters, and lse is far from 0."""
    case = make((1, 81, 1, 32), spread=8.0)
    assert float(expected(case).lse.abs().max()) > 20.0
    check(case, error)


@pytest.mark.slow
@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("tokens", [81, 101, 197, 325])
def test_remainders_at_both_head_dims(tokens: int, width: int, error: Error) -> None:
    check(make((3 if tokens < 197 else 1, tokens, 2, width)), error)


@pytest.mark.slow
@pytest.mark.parametrize("width", [32, 64])
def test_key_lengths_over_several_tiles(width: int, error: Error) -> None:
    check(make((5, 197, 1, width), [197, 1, 128, 129, 191]), error)


@pytest.mark.slow
@pytest.mark.parametrize(("tokens", "width"), [(101, 32), (197, 64)])
def test_half_precision_with_key_lengths(tokens: int, width: int, error: Error) -> None:
    check(make((2, tokens, 1, width), [tokens, 70], torch.float16), error)

"""`stablemax_loss` in the interpreter against its reference in float64: loss, both gradients, every count."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from triton_kernels.stablemax_loss import reference, stablemax_loss, stablemax_loss_with_shape
from triton_kernels.stablemax_loss.autograd import stablemax_loss_backward, stablemax_loss_forward

Error = Callable[[Tensor, Tensor], float]
F16, F32, F64 = torch.float16, torch.float32, torch.float64
BOUND = {F32: 2e-6, F16: 2e-3}
VOCABULARY = 12


def problem(
    batch: int, tokens: int, width: int, dtype: torch.dtype, prefix: int = 1
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """hidden as a part of a longer tensor, head, labels of which most samples have some PAD, weights of the losses."""
    random = torch.Generator().manual_seed(tokens + width)
    hidden = torch.randn(batch, prefix + tokens, width, generator=random).to(dtype)[:, prefix:]
    head = (4 * torch.randn(VOCABULARY, width, generator=random) / width**0.5).to(dtype)
    labels = torch.randint(0, VOCABULARY, (batch, tokens), generator=random, dtype=torch.int32)
    labels[0, tokens // 2 :] = 0
    weight = torch.rand(batch, generator=random) + 0.5
    return hidden, head, labels, weight


def gradients(
    hidden: Tensor, head: Tensor, labels: Tensor, weight: Tensor, kind: str, include_pad: bool
) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
    """Loss, the four other results, gradients of hidden and head; the public function when hidden is not float64."""
    leaves = [hidden.detach().requires_grad_(), head.detach().requires_grad_()]
    call = reference.stablemax_loss_with_shape if hidden.dtype == F64 else stablemax_loss_with_shape
    loss, *counts = call(*leaves, labels, kind, include_pad)
    found = torch.autograd.grad(loss, leaves, weight.to(loss.dtype))
    return loss.detach(), tuple(counts), list(found)


def compare(
    batch: int, tokens: int, width: int, dtype: torch.dtype, kind: str, include_pad: bool, error: Error
) -> None:
    hidden, head, labels, weight = problem(batch, tokens, width, dtype)
    loss, counts, found = gradients(hidden, head, labels, weight, kind, include_pad)
    exact = gradients(hidden.double(), head.double(), labels, weight, kind, include_pad)
    assert loss.dtype == F32
    assert [gradient.dtype for gradient in found] == [dtype, dtype]
    assert error(loss, exact[0]) < BOUND[dtype]
    for gradient, expected in zip(found, exact[2], strict=True):
        assert error(gradient, expected) < BOUND[dtype]
    for count, expected in zip(counts, exact[1], strict=True):
        assert count.dtype == expected.dtype
        assert count.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("batch", "tokens", "width", "dtype", "kind", "include_pad"),
    [
        (1, 81, 128, F32, "stablemax", False),
        (3, 101, 256, F32, "stablemax", False),
        (1, 101, 384, F32, "softmax", True),
        (1, 197, 512, F32, "stablemax", True),
        (3, 101, 256, F16, "stablemax", False),
        (1, 31, 384, F16, "softmax", False),
        (1, 1, 128, F32, "softmax", False),
    ],
)
def test_kernel_equals_the_reference(
    batch: int, tokens: int, width: int, dtype: torch.dtype, kind: str, include_pad: bool, error: Error
) -> None:
    compare(batch, tokens, width, dtype, kind, include_pad, error)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stablemax", "softmax"])
@pytest.mark.parametrize("width", [128, 256, 384, 512])
@pytest.mark.parametrize("tokens", [16, 81, 101, 325])
def test_kernel_equals_the_reference_at_every_width(tokens: int, width: int, kind: str, error: Error) -> None:
    compare(3, tokens, width, F32, kind, kind == "softmax", error)
    compare(3, tokens, width, F16, kind, kind == "stablemax", error)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch=st.integers(1, 4),
    tokens=st.integers(1, 70),
    dtype=st.sampled_from([F32, F16]),
    kind=st.sampled_from(["stablemax", "softmax"]),
    include_pad=st.booleans(),
)
def test_kernel_equals_the_reference_at_random_shapes(
    batch: int, tokens: int, dtype: torch.dtype, kind: str, include_pad: bool, error: Error
) -> None:
    compare(batch, tokens, 128, dtype, kind, include_pad, error)


def test_two_runs_are_equal() -> None:
    hidden, head, labels, weight = problem(3, 101, 256, F16)
    first, second = (gradients(hidden, head, labels, weight, "stablemax", False) for _ in range(2))
    for a, b in zip((first[0], *first[1], *first[2]), (second[0], *second[1], *second[2]), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("size", [1e4, 1e30, -1e30, 3e38])
def test_huge_logits_are_finite_and_right(size: float, error: Error) -> None:
    """Logits of both signs beyond what s(z) or 1 / s(z) could hold: loss and slopes equal those in float64."""
    hidden = torch.zeros(2, 24, 128)
    hidden[:, :, 0] = size
    head = torch.zeros(VOCABULARY, 128)
    head[:, 0] = torch.linspace(-1, 1, VOCABULARY)
    labels = torch.arange(48, dtype=torch.int32).reshape(2, 24) % VOCABULARY
    found = gradients(hidden, head, labels, torch.ones(2), "stablemax", False)
    exact = gradients(hidden.double(), head.double(), labels, torch.ones(2), "stablemax", False)
    assert torch.isfinite(found[0]).all()
    assert error(found[0], exact[0]) < 2e-6
    for gradient, expected in zip(found[2], exact[2], strict=True):
        assert torch.isfinite(gradient).all()
        assert (gradient.double() - expected).abs().max() <= 2e-6 * expected.abs().max() + 1e-37


@pytest.mark.parametrize("kind", ["stablemax", "softmax"])
def test_logits_of_zero_have_the_slope_of_the_formula(kind: str, error: Error) -> None:
    """A head of zeros, as some begin with: every probability 1/12, log s has slope 1 at 0, guesses are PAD."""
    hidden, _, labels, weight = problem(2, 20, 128, F32)
    _, counts, found = gradients(hidden, torch.zeros(VOCABULARY, 128), labels, weight, kind, True)
    onehot = torch.nn.functional.one_hot(labels.long(), VOCABULARY)
    expected = torch.einsum("btv,btd,b->vd", (1 / VOCABULARY - onehot).double(), hidden.double(), weight.double() / 20)
    assert error(found[1], expected) < 2e-6
    assert found[0].abs().max() == 0
    assert counts[0].tolist() == (labels == 0).sum(-1).tolist()


@pytest.mark.parametrize("include_pad", [False, True])
def test_samples_of_pad_only(include_pad: bool) -> None:
    hidden, head, labels, weight = problem(3, 33, 128, F32)
    labels[1] = 0
    loss, (right, count, exact, shape), found = gradients(hidden, head, labels, weight, "stablemax", include_pad)
    assert count.tolist()[1] == (33 if include_pad else 0)
    assert not shape[1]
    assert not exact[1]
    if not include_pad:
        assert (loss[1], right[1]) == (0, 0)
        assert found[0][1].abs().max() == 0


def spelled(guess: Tensor, width: int = 128) -> tuple[Tensor, Tensor]:
    """hidden and head whose argmax at each token is the guess."""
    return 5 * torch.nn.functional.one_hot(guess.long(), width).float(), torch.eye(VOCABULARY, width)


def test_counts_of_spelled_out_predictions() -> None:
    """Exact; one colour wrong; a colour for EOS; EOS for a colour; wrong only under PAD; PAD for EOS."""
    label = torch.tensor([2, 3, 1, 4, 11, 1, 1, 1, 0, 0], dtype=torch.int32)
    guesses = label.repeat(6, 1)
    guesses[1, 0] = 7
    guesses[2, 5] = 3
    guesses[3, 4] = 1
    guesses[4, 8] = 5
    guesses[5, 2] = 0
    hidden, head = spelled(guesses)
    labels = label.repeat(6, 1)
    _, right, count, exact, shape = stablemax_loss_with_shape(hidden, head, labels, "softmax", False)
    assert right.tolist() == [8, 7, 7, 7, 8, 7]
    assert count.tolist() == [8] * 6
    assert exact.tolist() == [True, False, False, False, True, False]
    assert shape.tolist() == [True, True, False, False, True, True]
    _, right, count, exact = stablemax_loss(hidden, head, labels, "softmax", True)
    assert right.tolist() == [10, 9, 9, 9, 9, 9]
    assert exact.tolist() == [True] + [False] * 5
    assert stablemax_loss_with_shape(hidden, head, labels, "softmax", True)[4].tolist() == shape.tolist()


def test_ties_go_to_the_lowest_token_and_nan_is_never_exact() -> None:
    hidden = torch.zeros(2, 3, 128)
    hidden[1] = float("nan")
    labels = torch.tensor([[0, 0, 0], [0, 1, 2]], dtype=torch.int32)
    head = torch.zeros(VOCABULARY, 128)
    loss, right, _, exact = stablemax_loss(hidden, head, labels, "stablemax", True)
    assert right.tolist() == [3, 1]
    assert exact.tolist() == [True, False]
    assert loss.isnan().tolist() == [False, True]
    head[5] = float("nan")
    labels = torch.tensor([[5, 5, 4], [5, 0, 1]], dtype=torch.int32)
    plain = reference.stablemax_loss_with_shape(hidden, head, labels, "stablemax", True)
    for found, expected in zip(stablemax_loss_with_shape(hidden, head, labels, "stablemax", True), plain, strict=True):
        assert torch.equal(found.nan_to_num(), expected.nan_to_num())


@pytest.mark.parametrize("label", [-1, 12, 15, 2**30, -(2**31)])
def test_a_label_outside_the_vocabulary_is_loud_and_reads_nothing(label: int) -> None:
    hidden, head, labels, weight = problem(2, 20, 128, F32)
    labels[0, 3] = label
    loss, counts, found = gradients(hidden, head, labels, weight, "stablemax", False)
    assert loss.isnan().tolist() == [True, False]
    assert not counts[2][0]
    assert found[0][0, 3].isnan().all()
    assert torch.isfinite(found[0][1]).all()


def test_any_layout_of_the_arguments() -> None:
    """Samples apart, tokens apart, columns apart, int64 labels by column, one sample twice: all equal to a copy."""
    whole = torch.randn(3, 24, 256, generator=torch.Generator().manual_seed(3))
    head = torch.randn(128, VOCABULARY, generator=torch.Generator().manual_seed(4)).T
    labels = torch.randint(0, VOCABULARY, (12, 3), generator=torch.Generator().manual_seed(5)).T
    parts = [whole[:, 12:, :128], whole[:, ::2, 128:], whole[:, :12, ::2], whole[:1, :12, :128].expand(3, -1, -1)]
    for hidden in [*parts, whole.view(3, 48, 128)[:, 7:19]]:
        copies = (hidden.contiguous(), head.contiguous(), labels.int().contiguous(), "stablemax", False)
        for a, b in zip(
            stablemax_loss_forward(hidden, head, labels, "stablemax", False),
            stablemax_loss_forward(*copies),
            strict=True,
        ):
            assert torch.equal(a, b)
        count = stablemax_loss_forward(*copies)[2]
        weight = torch.ones(1).expand(3)
        for a, b in zip(
            stablemax_loss_backward(weight, hidden, head, labels, count, "stablemax", False),
            stablemax_loss_backward(torch.ones(3), *copies[:3], count, "stablemax", False),
            strict=True,
        ):
            assert torch.equal(a, b)


def test_no_samples() -> None:
    hidden, head = torch.zeros(0, 5, 128, requires_grad=True), torch.ones(VOCABULARY, 128, requires_grad=True)
    loss, *_ = stablemax_loss(hidden, head, torch.zeros(0, 5, dtype=torch.int32))
    loss.sum().backward()
    assert loss.shape == (0,)
    assert head.grad is not None
    assert head.grad.abs().max() == 0

"""The references of every operation against few-line formulas in float64, forward and gradients, on odd shapes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hrm_core.model.positions import rotary_tables
from triton_kernels import runtime
from triton_kernels.act_halting import halt, halting_logits
from triton_kernels.act_halting.reference import minimum_segments
from triton_kernels.recurrent_attention import recurrent_attention
from triton_kernels.recurrent_attention.reference import attend
from triton_kernels.residual_norm import residual_norm
from triton_kernels.stablemax_loss import stablemax_loss
from triton_kernels.swiglu import swiglu

F64 = torch.float64
CPU = torch.device("cpu")


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def rms(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def rotated(x: Tensor, angle: Tensor) -> Tensor:
    """Complex form of the rotation: pair (a, b) is a + ib, turned by the angle. x (B, T, H, E), angle (T, E / 2)."""
    turned = (
        torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        * torch.polar(torch.ones_like(angle), angle)[:, None]
    )
    return torch.view_as_real(turned).flatten(-2)


@pytest.mark.parametrize(("side", "heads", "width"), [(1, 1, 32), (5, 2, 32), (9, 1, 64), (17, 2, 32)])
def test_attention_equals_formula(side: int, heads: int, width: int) -> None:
    hidden, tokens, half = heads * width, side * side + 1, width // 2
    state, injection = normal(3, tokens, hidden), normal(3, tokens, hidden, seed=1)
    weight = normal(3 * hidden, hidden, seed=2) / math.sqrt(hidden)
    tables = rotary_tables(side, 1, width, "rope1d", 1e4, F64, CPU)
    residual, attended = recurrent_attention(state, weight, tables, heads, (injection,))
    angle = torch.arange(tokens, dtype=F64)[:, None] * 1e4 ** (-torch.arange(half, dtype=F64) / half)
    x = state + injection
    q, k, v = (part.unflatten(-1, (heads, width)) for part in (x @ weight.T).chunk(3, -1))
    q, k = rotated(q, angle), rotated(k, angle)
    scores = torch.einsum("bihe,bjhe->bhij", q, k) / math.sqrt(width)
    expected = torch.einsum("bhij,bjhe->bihe", scores.softmax(-1), v).flatten(-2)
    torch.testing.assert_close(residual, x)
    torch.testing.assert_close(attended, expected)


@pytest.mark.parametrize("tokens", [50, 300, 600, 1100])
def test_attention_paths_agree_and_have_gradients(tokens: int) -> None:
    query, key, value = (normal(2, 2, tokens, 32, seed=seed) for seed in range(3))
    expected = ((query @ key.transpose(-1, -2)) / math.sqrt(32)).softmax(-1) @ value
    with torch.no_grad():
        torch.testing.assert_close(attend(query, key, value), expected)
    for tensor in (query, key, value):
        tensor.requires_grad_()
    (attend(query, key, value) * normal(2, 2, tokens, 32, seed=4)).sum().backward()
    gradients = [tensor.grad for tensor in (query, key, value)]
    again = [tensor.detach().requires_grad_() for tensor in (query, key, value)]
    plain = ((again[0] @ again[1].transpose(-1, -2)) / math.sqrt(32)).softmax(-1) @ again[2]
    (plain * normal(2, 2, tokens, 32, seed=4)).sum().backward()
    for gradient, other in zip(gradients, again, strict=True):
        torch.testing.assert_close(gradient, other.grad)


def test_attention_ignores_keys_beyond_the_length() -> None:
    state = normal(2, 10, 32)
    weight = normal(96, 32, seed=1)
    tables = rotary_tables(3, 1, 32, "rope2d", 100.0, F64, CPU)
    length = torch.tensor([6, 10])
    _, short = recurrent_attention(state, weight, tables, 1, key_length=length)
    changed = state.clone()
    changed[0, 6:] += 1.0
    _, other = recurrent_attention(changed, weight, tables, 1, key_length=length)
    torch.testing.assert_close(short[0, :6], other[0, :6])
    assert not torch.allclose(recurrent_attention(changed, weight, tables, 1)[1][0, :6], short[0, :6])


def test_residual_norm_and_swiglu_equal_formulas() -> None:
    state, branch = normal(3, 7, 16), normal(3, 7, 24, seed=1)
    weight, gate_up, down = normal(16, 24, seed=2), normal(48, 16, seed=3), normal(16, 24, seed=4)
    torch.testing.assert_close(residual_norm(branch, weight, state), rms(state + branch @ weight.T))
    gate, up = (state @ gate_up.T).chunk(2, -1)
    torch.testing.assert_close(swiglu(state, gate_up, down), rms(state + (gate * gate.sigmoid() * up) @ down.T))


@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("kind", ["stablemax", "softmax"])
def test_loss_equals_formula_with_gradient(kind: str, include_pad: bool) -> None:
    hidden = normal(4, 9, 16, dtype=torch.float32).requires_grad_()
    head = normal(12, 16, seed=1, dtype=torch.float32).requires_grad_()
    labels = torch.randint(0, 12, (4, 9), generator=torch.Generator().manual_seed(2), dtype=torch.int32)
    labels[3] = 0
    loss, right, count, exact = stablemax_loss(hidden, head, labels, kind, include_pad)
    double, double_head = hidden.detach().double().requires_grad_(), head.detach().double().requires_grad_()
    z = double @ double_head.T
    s = torch.where(z >= 0, z + 1, 1 / (1 - z.clamp(max=0))) if kind == "stablemax" else z.exp()
    probability = s / s.sum(-1, keepdim=True)
    valid = torch.ones_like(labels, dtype=torch.bool) if include_pad else labels != 0
    token = -probability.gather(-1, labels.long()[..., None])[..., 0].log() * valid
    expected = token.sum(-1) / valid.sum(-1).clamp(min=1)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    loss.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(hidden.grad.double(), double.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(head.grad.double(), double_head.grad, rtol=1e-4, atol=1e-5)
    guess = z.argmax(-1)
    assert right.tolist() == [int(((guess[i] == labels[i]) & valid[i]).sum()) for i in range(4)]
    assert count.tolist() == valid.sum(-1).tolist()
    assert exact.tolist() == [bool(valid[i].any()) and bool((guess[i] == labels[i])[valid[i]].all()) for i in range(4)]


def test_stablemax_survives_huge_logits() -> None:
    hidden = torch.tensor([[[1e20], [-1e20]]], requires_grad=True)
    head = torch.linspace(-1, 1, 12)[:, None]
    loss, *_ = stablemax_loss(hidden, head, torch.tensor([[3, 4]], dtype=torch.int32))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(hidden.grad).all()


def test_halting_head_reads_the_prefix() -> None:
    prefix, weight, bias = normal(5, 8), normal(2, 8, seed=1), normal(2, seed=2)
    torch.testing.assert_close(halting_logits(prefix, weight, bias), (prefix @ weight.T + bias).float())


def test_exploration_holds_back_as_often_as_asked() -> None:
    entry = torch.arange(20000)
    minimum = minimum_segments(1, 0, entry, torch.ones_like(entry), 0.1, 16)
    share = (minimum > 0).float().mean().item()
    assert abs(share - 0.1) < 0.01
    held = minimum[minimum > 0]
    assert held.min().item() == 2
    assert held.max().item() == 16
    assert abs(held.float().mean().item() - 9.0) < 0.5


def test_halt_at_the_limit_or_when_wanted() -> None:
    wants = torch.tensor([True, False, False])
    segment = torch.tensor([3, 3, 8])
    entry = torch.arange(3)
    assert halt(wants, segment, entry, seed=1, lane=0, exploration=0.0, max_segments=8).tolist() == [True, False, True]
    again = [
        halt(wants.expand(3), segment, entry + 99, seed=1, lane=0, exploration=1.0, max_segments=8).tolist()
        for _ in range(2)
    ]
    assert again[0] == again[1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: recurrent_attention(normal(1, 4, 6), normal(18, 6), (normal(4, 2), normal(4, 2)), 4),
        lambda: recurrent_attention(normal(1, 4, 8), normal(24, 8), (normal(5, 4), normal(5, 4)), 2),
        lambda: recurrent_attention(normal(1, 0, 8), normal(24, 8), (normal(0, 4), normal(0, 4)), 2),
        lambda: residual_norm(normal(1, 4, 6), normal(8, 7), normal(1, 4, 8)),
        lambda: swiglu(normal(1, 4, 6), normal(10, 6), normal(6, 4)),
        lambda: stablemax_loss(normal(1, 4, 6), normal(12, 6), torch.zeros(1, 5, dtype=torch.int32)),
        lambda: stablemax_loss(normal(1, 4, 6), normal(12, 6), torch.zeros(1, 4, dtype=torch.int32), "hinge"),
        lambda: halting_logits(normal(1, 6), normal(3, 6), normal(2)),
    ],
)
def test_shapes_that_do_not_fit_are_named(call: object) -> None:
    with pytest.raises(ValueError, match=r"needs|allowed"):
        call()  # type: ignore[operator]


def test_forms_of_attention_agree_when_held() -> None:
    query, key, value = torch.randn(3, 2, 2, 300, 32, generator=torch.Generator().manual_seed(5)).unbind(0)
    found = {}
    for path in ("by_sample", "materialised", "fused"):
        with runtime.held_attention(path):
            assert runtime.attention_path(query, needs_grad=False) == path
            found[path] = attend(query, key, value)
    assert runtime.attention_path(query, needs_grad=False) == "by_sample"
    for other in ("materialised", "fused"):
        assert torch.allclose(found["by_sample"], found[other], atol=1e-5)

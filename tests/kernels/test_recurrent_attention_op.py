"""recurrent_attention as custom ops on a CPU that cannot launch: registration, compilation, gradients, bad input."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from triton_kernels import runtime
from triton_kernels.recurrent_attention import problem_of, recurrent_attention, reference
from triton_kernels.recurrent_attention.autograd import plain_backward, plain_forward

BATCH, TOKENS, HEADS, WIDTH = 3, 21, 4, 32
HIDDEN = HEADS * WIDTH


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def tables(tokens: int = TOKENS, width: int = WIDTH, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    angle = 3 * normal(tokens, width // 2, seed=9, dtype=torch.float64)
    sine = torch.stack([-angle.sin(), angle.sin()], -1).flatten(-2)
    return angle.cos().repeat_interleave(2, -1).to(dtype), sine.to(dtype)


def arguments(count: int, lengths: bool, dtype: torch.dtype = torch.float32) -> tuple[object, ...]:
    """Of the forward op, with `count` injections."""
    state = normal(BATCH, TOKENS, HIDDEN, seed=1, dtype=dtype).requires_grad_()
    weight = (normal(3 * HIDDEN, HIDDEN, seed=2) / math.sqrt(HIDDEN)).to(dtype).requires_grad_()
    injections = [normal(BATCH, TOKENS, HIDDEN, seed=3 + i, dtype=dtype).requires_grad_() for i in range(count)]
    key_length = torch.tensor([TOKENS, 5, 1]) if lengths else None
    return state, injections, weight, *tables(dtype=dtype), key_length, HEADS


def force(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends the public function into the op, whose body computes with torch here."""
    monkeypatch.setattr(runtime, "choose", lambda *_: runtime.Choice(True, "forced by a test"))


@pytest.mark.parametrize(("count", "lengths"), [(0, False), (1, True), (2, False)])
def test_forward_op_is_registered_rightly(count: int, lengths: bool) -> None:
    torch.library.opcheck(torch.ops.hrm.recurrent_attention_forward.default, arguments(count, lengths))


@pytest.mark.parametrize("lengths", [False, True])
def test_backward_op_is_registered_rightly(lengths: bool) -> None:
    state, injections, weight, cosine, sine, key_length, heads = arguments(1, lengths)
    with torch.no_grad():
        _, qkv, attended, lse = torch.ops.hrm.recurrent_attention_forward(
            state, injections, weight, cosine, sine, key_length, heads
        )
    given = (normal(*attended.shape, seed=5), qkv, attended, lse, cosine, sine, key_length, heads)
    torch.library.opcheck(torch.ops.hrm.recurrent_attention_backward.default, given)


def values(
    function: Callable[..., tuple[Tensor, Tensor]],
    dtype: torch.dtype,
    shapes: tuple[tuple[int, ...], ...],
    lengths: bool,
) -> list[Tensor]:
    """Both outputs and the gradients of state, weight and injections."""
    state, _, weight, cosine, sine, key_length, heads = arguments(0, lengths)
    leaves = [state, weight, *(normal(*shape, seed=11 + i) for i, shape in enumerate(shapes))]
    state, weight, *injections = (leaf.detach().to(dtype).requires_grad_() for leaf in leaves)
    rotary = (cosine.to(dtype), sine.to(dtype))
    residual, attended = function(state, weight, rotary, heads, tuple(injections), key_length)
    weights = [normal(*residual.shape, seed=seed).to(dtype) for seed in (7, 8)]
    ((residual * weights[0]).sum() + (attended * weights[1]).sum()).backward()
    return [residual.detach(), attended.detach(), state.grad, weight.grad, *(x.grad for x in injections)]


FULL = (BATCH, TOKENS, HIDDEN)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("shapes", [(), (FULL,), (FULL, FULL), ((BATCH, 1, HIDDEN), (HIDDEN,))])
def test_gradients_equal_those_of_the_reference(
    shapes: tuple[tuple[int, ...], ...], lengths: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = values(reference.recurrent_attention, torch.float64, shapes, lengths)
    force(monkeypatch)
    found = values(recurrent_attention, torch.float32, shapes, lengths)
    for value, wanted in zip(found, expected, strict=True):
        assert value.shape == wanted.shape
        assert (value - wanted).norm() < 2e-6 * wanted.norm()


def test_only_one_output_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch)
    for which in (0, 1):
        state, weight, injection = normal(1, 5, 64).requires_grad_(), normal(192, 64) / 8, normal(1, 5, 64, seed=1)
        outputs = recurrent_attention(state, weight, tables(5), 2, (injection,))
        outputs[which].sum().backward()
        double = state.detach().double().requires_grad_()
        rotary = tuple(table.double() for table in tables(5))
        wanted = reference.recurrent_attention(double, weight.double(), rotary, 2, (injection.double(),))
        wanted[which].sum().backward()
        torch.testing.assert_close(state.grad, double.grad.float())


def test_compiles_as_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch)
    torch.compiler.reset()
    rotary = tables()

    def step(state: Tensor, weight: Tensor, injection: Tensor) -> Tensor:
        residual, attended = recurrent_attention(state, weight, rotary, HEADS, (injection,))
        again, more = recurrent_attention(residual + attended, weight, rotary, HEADS)
        return (again * more).sum()

    leaves = [normal(*FULL), normal(3 * HIDDEN, HIDDEN, seed=1) / math.sqrt(HIDDEN), normal(*FULL, seed=2)]
    results = []
    for function in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        inputs = [leaf.clone().requires_grad_() for leaf in leaves]
        loss = function(*inputs)
        loss.backward()
        results.append([loss.detach(), *(x.grad for x in inputs)])
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager)


@pytest.mark.parametrize("count", [0, 2])
def test_autograd_keeps_at_most_2600_bytes_a_token(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    force(monkeypatch)
    hidden, heads, tokens = 256, 8, 50
    state = normal(2, tokens, hidden, dtype=torch.bfloat16).requires_grad_()
    weight = (normal(3 * hidden, hidden, seed=1) / 16).bfloat16().requires_grad_()
    injections = tuple(normal(2, tokens, hidden, seed=2 + i, dtype=torch.bfloat16) for i in range(count))
    rotary = tables(tokens, hidden // heads, torch.bfloat16)
    shared = {tensor.untyped_storage().data_ptr() for tensor in (weight, *rotary)}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in shared:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        residual, attended = recurrent_attention(state, weight, rotary, heads, injections)
    assert residual.dtype == attended.dtype == torch.bfloat16
    # residual 512, qkv 1536, attended 512, lse 4 a head
    assert sum(kept.values()) == (512 + 1536 + 512 + 4 * heads) * 2 * tokens
    assert sum(kept.values()) <= 2600 * 2 * tokens


def test_plain_form_has_the_shapes_and_the_base_of_the_kernels() -> None:
    state, injections, weight, cosine, sine, key_length, heads = arguments(0, True, torch.float64)
    with torch.no_grad():
        residual, qkv, attended, lse = plain_forward(state, injections, weight, cosine, sine, key_length, heads)
        d_qkv = plain_backward(attended, qkv, attended, lse, cosine, sine, key_length)
    assert residual.shape == (0,)
    assert qkv.shape == d_qkv.shape == (BATCH, TOKENS, 3, HEADS, WIDTH)
    assert lse.dtype == torch.float32
    # With one key, the sum over keys is that key's own term.
    score = (qkv[2, :, 0] * qkv[2, :1, 1]).sum(-1) / math.sqrt(WIDTH)
    torch.testing.assert_close(lse[2].T.double(), score * math.log2(math.e), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(attended[2], qkv[2, :1, 2].expand_as(attended[2]))


STATE, WEIGHT = normal(2, 6, 64), normal(192, 64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recurrent_attention(normal(6, 64), WEIGHT, tables(6), 2), r"state \(6, 64\)"),
        (lambda: recurrent_attention(normal(2, 0, 64), WEIGHT, tables(0), 2), r"state \(2, 0, 64\).*T > 0"),
        (lambda: recurrent_attention(STATE[:0], WEIGHT, tables(6), 2), r"state \(0, 6, 64\).*B, T > 0"),
        (lambda: recurrent_attention(STATE, WEIGHT, tables(6), 0), "0 heads"),
        (lambda: recurrent_attention(STATE, WEIGHT, tables(6), 3), "3 heads"),
        (lambda: recurrent_attention(STATE, WEIGHT.T, tables(6), 2), r"weight_qkv \(64, 192\); needs \(192, 64\)"),
        (lambda: recurrent_attention(STATE, WEIGHT, tables(7), 2), r"tables \(7, 32\), \(7, 32\); needs \(6, 32\)"),
        (lambda: recurrent_attention(STATE, WEIGHT, tables(6), 2, (normal(3, 6, 64),)), r"injection \(3, 6, 64\)"),
        (lambda: recurrent_attention(STATE[:1], WEIGHT, tables(6), 2, (STATE,)), r"injection \(2, 6, 64\)"),
        (lambda: recurrent_attention(STATE, WEIGHT, tables(6), 2, (), torch.tensor([6])), r"key_length \(1,\)"),
        (lambda: recurrent_attention(STATE, WEIGHT, tables(6), 2, (), torch.tensor([6.0, 6.0])), "whole numbers"),
        (lambda: recurrent_attention(STATE, WEIGHT, tables(6), 2, (), torch.tensor([7, 6])), r"\[7, 6\].*T = 6"),
        (lambda: recurrent_attention(STATE, WEIGHT, tables(6), 2, (), torch.tensor([0, 6])), r"\[0, 6\].*1 to"),
        (lambda: recurrent_attention(STATE, WEIGHT.to("meta"), tables(6), 2), "cpu, meta; needs one device"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("hidden", "heads", "dtypes", "count", "reason"),
    [
        (256, 8, (torch.bfloat16, torch.bfloat16), 2, None),
        (384, 6, (torch.float32, torch.float32), 0, None),
        (192, 6, (torch.float32, torch.float32), 0, "hidden size 192"),
        (256, 2, (torch.float32, torch.float32), 0, "head dim 128"),
        (256, 8, (torch.float64, torch.float64), 0, "float64"),
        (256, 8, (torch.bfloat16, torch.float32), 0, "another dtype"),
        (256, 8, (torch.float16, torch.float16), 3, "3 injections"),
    ],
)
def test_what_the_kernels_cannot_do_has_a_reason(
    hidden: int, heads: int, dtypes: tuple[torch.dtype, torch.dtype], count: int, reason: str | None
) -> None:
    state, weight = torch.zeros(1, 5, hidden, dtype=dtypes[0]), torch.zeros(3 * hidden, hidden, dtype=dtypes[0])
    found = problem_of(state, weight, tables(5, hidden // heads, dtypes[1]), heads, (state,) * count)
    assert found is None if reason is None else reason in str(found)


def test_tables_with_a_gradient_are_the_references() -> None:
    cosine, sine = tables(6)
    problem = problem_of(normal(2, 6, 128), normal(384, 128), (cosine.requires_grad_(), sine), 4, ())
    assert "tables" in str(problem)


def test_every_shape_has_launch_rows() -> None:
    for arch in (87, 89, 90):
        for hidden in (128, 256, 384, 512):
            for width in (32, 64):
                assert runtime.has_rows("recurrent_attention", arch, {"D": hidden, "E": width})

"""Halting kernels in the interpreter: Q head and gradients beside float64, draws, flags and carries bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from triton_kernels import runtime
from triton_kernels.act_halting import decide, halt, halting_logits, launcher, reference, reset_carry
from triton_kernels.act_halting.kernel import hash_further
from triton_kernels.hashing import hash32, hash_int

Error = Callable[[Tensor, Tensor], float]
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def integers(high: int, *shape: int, seed: int = 0, low: int = 0) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


HEADS = [
    (1, 81, 256, torch.float32),
    (3, 101, 384, torch.float32),
    (17, 197, 128, torch.float32),
    (5, 325, 512, torch.float32),
    (33, 1, 100, torch.float32),
    (3, 101, 256, torch.float16),
]


@pytest.mark.parametrize(("batch", "tokens", "hidden", "dtype"), HEADS)
def test_q_head_and_its_gradients(batch: int, tokens: int, hidden: int, dtype: torch.dtype, error: Error) -> None:
    high = normal(batch, tokens, hidden, dtype=dtype)
    weight, bias, upstream = normal(2, hidden, seed=1), normal(2, seed=2), normal(batch, 2, seed=3)
    inputs = [tensor.requires_grad_() for tensor in (high, weight, bias)]
    logits = halting_logits(high[:, 0], weight, bias)
    gradients = torch.autograd.grad(logits, inputs, upstream)
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    expected = functional.linear(exact[0][:, 0], exact[1], exact[2])
    exact_gradients = torch.autograd.grad(expected, exact, upstream.double())

    assert logits.dtype == torch.float32 and error(logits.detach(), expected.detach()) < 2e-6
    for gradient, exact_gradient, tensor in zip(gradients, exact_gradients, inputs, strict=True):
        assert gradient.dtype == tensor.dtype
        assert error(gradient, exact_gradient) < (2e-6 if tensor.dtype == torch.float32 else 2e-3)
    again = halting_logits(high[:, 0], weight, bias)
    assert torch.equal(again, logits)


def slots_of(batch: int, max_segments: int, seed: int) -> dict[str, Tensor]:
    """Counters and flags of a piece, as a lane has them after some steps."""
    return {
        "segment": integers(max_segments, batch, seed=seed),
        "admissions": integers(1 << 33, batch, seed=seed + 1, low=1),
        "slots": torch.arange(batch) + 7,
        "halted": integers(2, batch, seed=seed + 2).bool(),
        "finite": integers(8, batch, seed=seed + 3) > 0,
    }


@pytest.mark.parametrize("kind", ["halt_only", "q_learning"])
@QUICK
@given(
    batch=st.integers(1, 70),
    hidden=st.sampled_from([1, 64, 200, 256, 384]),
    exploration=st.sampled_from([0.0, 0.1, 1 / 3, 1.0]),
    max_segments=st.integers(1, 20),
    seed=st.integers(0, 2**31 - 1),
    lane=st.integers(0, 9),
)
def test_decision_equals_the_reference(
    kind: str, batch: int, hidden: int, exploration: float, max_segments: int, seed: int, lane: int, error: Error
) -> None:
    prefix, weight = normal(batch, hidden, seed=seed), normal(2, hidden, seed=seed + 1) / hidden**0.5
    bias = torch.tensor([0.3, 0.2])
    mine, theirs = slots_of(batch, max_segments, seed), slots_of(batch, max_segments, seed)
    options: dict[str, Any] = {
        "seed": seed,
        "lane": lane,
        "num_slots_lane": batch + 9,
        "kind": kind,
        "exploration": exploration,
        "max_segments": max_segments,
    }
    logits, entropy = decide(prefix, weight, bias, *mine.values(), **options)
    with runtime.mode("off"):
        expected_logits, expected_entropy = decide(prefix, weight, bias, *theirs.values(), **options)

    assert error(logits, expected_logits) < 2e-6 and error(entropy, expected_entropy) < 2e-6
    assert torch.equal(mine["segment"], theirs["segment"])
    entry = mine["slots"] + (mine["admissions"] - 1) * (batch + 9)
    q = logits[:, 0] - logits[:, 1] if kind == "q_learning" else logits[:, 0]
    kept = {name: options[name] for name in ("seed", "lane", "exploration", "max_segments")}
    assert torch.equal(mine["halted"], halt(q > 0, mine["segment"], entry, **kept) | ~mine["finite"])
    if float((expected_logits[:, 0] - (kind == "q_learning") * expected_logits[:, 1]).abs().min()) > 1e-5:
        assert torch.equal(mine["halted"], theirs["halted"])


@triton.jit
def words_kernel(word, part_ptr, further_ptr, words_ptr, BLOCK: tl.constexpr):
    o_w = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    words = hash_further(hash_further(word, tl.load(part_ptr + o_w)), tl.load(further_ptr + o_w))
    tl.store(words_ptr + o_w, words)


def test_words_are_the_reference_s_bit_for_bit() -> None:
    count = 8192
    part, further = integers(1 << 62, count), integers(1 << 40, count, seed=1)
    part[::3], further[::5] = part[::3] % 1000, -further[::5]
    for seed in (0, 1, 2**31 - 1):
        words = torch.empty(count, dtype=torch.int64)
        words_kernel[(4,)](launcher.signed(hash_int(seed, 201, 3)), part, further, words, BLOCK=count // 4)
        assert torch.equal(words, hash32(seed, 201, 3, part, further))


def test_thousands_of_draws_are_the_reference_s() -> None:
    """A head that always wants to halt shows each slot's minimum: it halts from there on."""
    count, limit = 512, 5
    slots, admissions = torch.arange(count), integers(1000, count, low=1)
    head = torch.zeros(count, 1), torch.zeros(2, 1), torch.ones(2)
    options: dict[str, Any] = {"seed": 11, "lane": 2, "exploration": 0.4, "max_segments": limit}
    entry = slots + (admissions - 1) * count
    for had in range(limit):
        segment = torch.full((count,), had)
        halted, finite = torch.zeros(count, dtype=torch.bool), torch.ones(count, dtype=torch.bool)
        decide(*head, segment, admissions, slots, halted, finite, num_slots_lane=count, kind="halt_only", **options)
        assert torch.equal(halted, halt(torch.ones_like(halted), segment, entry, **options))
        assert 0.55 < float(halted.double().mean()) < 0.75 or had > 0
    assert bool(halted.all())


def entropies(logits: Tensor) -> Tensor:
    """What `decide` says of heads with these logits."""
    count = len(logits)
    slots, finite = torch.arange(count), torch.ones(count, dtype=torch.bool)
    head = logits[:, None], torch.tensor([[1.0], [0.0]]), torch.zeros(2)
    options: dict[str, Any] = {"seed": 0, "lane": 0, "num_slots_lane": count, "kind": "halt_only"}
    _, entropy = decide(*head, slots % 3, slots + 1, slots, ~finite, finite, exploration=0.0, max_segments=4, **options)
    return entropy


def test_entropy_is_exact_for_sure_heads_too() -> None:
    logits = torch.cat([torch.linspace(-60, 60, 961), normal(200, seed=4) * 1e-3])
    q = logits.double()
    expected = functional.softplus(-q) * torch.sigmoid(q) + functional.softplus(q) * torch.sigmoid(-q)
    assert float(((entropies(logits) - expected) / expected).abs().max()) < 2e-6
    assert float(entropies(torch.tensor([0.0]))) == pytest.approx(0.6931471805599453, rel=2e-7)
    with np.errstate(invalid="ignore"):
        lost = entropies(torch.tensor([float("inf"), -float("inf"), float("nan"), 200.0]))
    assert lost[:2].tolist() == [0.0, 0.0] and bool(lost[2].isnan()) and float(lost[3]) == 0.0


CARRIES = [
    (3, 81, 256, torch.float32),
    (2, 101, 384, torch.float32),
    (5, 197, 128, torch.float32),
    (2, 325, 512, torch.float32),
    (4, 101, 256, torch.float16),
    (1, 1, 3, torch.float32),
]


@pytest.mark.parametrize("which", ["some", "none", "all"])
@pytest.mark.parametrize(("slots", "tokens", "hidden", "dtype"), CARRIES)
def test_reset_equals_the_reference(slots: int, tokens: int, hidden: int, dtype: torch.dtype, which: str) -> None:
    high, low = normal(slots, tokens, hidden, dtype=dtype), normal(slots, tokens, hidden, seed=1, dtype=dtype)
    start_high, start_low = normal(hidden, seed=2), normal(hidden, seed=3)
    halted = {"some": torch.arange(slots) % 2 == 0, "none": torch.zeros(slots) > 0, "all": torch.zeros(slots) == 0}[
        which
    ]
    expected = high.clone(), low.clone()
    reference.reset_carry(*expected, start_high, start_low, halted)
    reset_carry(high, low, start_high, start_low, halted)
    assert torch.equal(high, expected[0]) and torch.equal(low, expected[1])


def test_reset_leaves_the_bits_of_other_slots_and_of_what_lies_around() -> None:
    whole = torch.full((4, 9, 40), float("nan"))
    high, low = whole[1:3], torch.full((2, 9, 40), float("nan"))
    reset_carry(high, low, torch.ones(40), torch.zeros(40), torch.tensor([False, True]))
    assert bool(whole[[0, 1, 3]].isnan().all()) and bool((whole[2] == 1).all())
    assert bool(low[0].isnan().all()) and bool((low[1] == 0).all())


class NoSynchronisation(TorchDispatchMode):
    """Fails at an operation that would make the host wait for a value or has a shape that depends on one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.__name__.split(".")[0] not in {"_local_scalar_dense", "nonzero", "_unique2", "masked_select"}
        return func(*args, **(kwargs or {}))


def test_launches_read_nothing_back() -> None:
    state = slots_of(3, 5, 0)
    high, weight, bias = normal(3, 4, 32), normal(2, 32), torch.zeros(2)
    with NoSynchronisation():
        launcher.halting_logits(high[:, 0], weight, bias)
        launcher.decide(high[:, 0], weight, bias, *state.values(), 5, 0, 3, "halt_only", 0.5, 5)
        launcher.reset_carry(high, high.clone(), weight[0], weight[1], state["halted"])

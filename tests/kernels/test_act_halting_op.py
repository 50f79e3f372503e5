"""The halting operations outside the interpreter: registration, compilation, gradients, refusals, and the step's words.

`decide` is compared with the lines that a training step otherwise has: Q head, counter, `halt`, not finite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from triton_kernels import runtime
from triton_kernels.act_halting import aot, autograd, benchmark, decide, halt, halting_logits, reference, reset_carry
from triton_kernels.act_halting.launcher import explore_below, signed
from triton_kernels.hashing import hash32, hash_int, uniform
from triton_kernels.launch import ARCHITECTURES

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "seed": 5,
    "lane": 1,
    "num_slots_lane": 6,
    "kind": "halt_only",
    "exploration": 0.4,
    "max_segments": 5,
}


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def head(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    return normal(6, 9, 32, dtype=dtype), normal(2, 32, seed=1), normal(2, seed=2)


def state() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """segment, admissions, slots, halted, finite of six slots."""
    slots = torch.arange(6)
    return slots % 4, slots + 1, slots, slots % 2 == 0, slots != 3


def test_operations_pass_opcheck() -> None:
    high, weight, bias = head()
    inputs = [tensor.clone().requires_grad_() for tensor in (high[:, 0], weight, bias)]
    torch.library.opcheck(autograd.halting_logits_forward, tuple(inputs))
    torch.library.opcheck(autograd.decide, (high[:, 0], weight, bias, *state(), *SETTINGS.values()))
    torch.library.opcheck(autograd.reset_carry, (high, high.clone(), weight[0], weight[1], state()[3]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_gradients_of_the_q_head_equal_float64(dtype: torch.dtype) -> None:
    high, weight, bias = head(dtype)
    inputs = [tensor.requires_grad_() for tensor in (high, weight, bias)]
    upstream = normal(6, 2, seed=3)
    gradients = torch.autograd.grad(autograd.halting_logits_forward(high[:, 0], weight, bias), inputs, upstream)
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    expected = torch.autograd.grad(functional.linear(exact[0][:, 0], *exact[1:]), exact, upstream.double())
    for gradient, other, tensor in zip(gradients, expected, inputs, strict=True):
        assert gradient.dtype == tensor.dtype
        tolerance = 2e-6 if tensor.dtype == torch.float32 else 5e-3
        assert float((gradient.double() - other).norm() / other.norm()) < tolerance


def test_gradients_of_the_operation_are_those_of_the_reference_bit_for_bit() -> None:
    results = []
    for run in (autograd.halting_logits_forward, reference.halting_logits):
        high, weight, bias = (tensor.requires_grad_() for tensor in head(torch.bfloat16))
        logits = run(high[:, 0], weight, bias)
        logits.square().sum().backward()
        results.append([logits, high.grad, weight.grad, bias.grad])
    for mine, theirs in zip(*results, strict=True):
        assert torch.equal(mine, theirs)


def compiled(call: Callable[..., Any]) -> Callable[..., Any]:
    torch.compiler.reset()
    whole: Callable[..., Any] = torch.compile(call, fullgraph=True, backend="aot_eager")
    return whole


def test_operations_compile_in_one_piece() -> None:
    high, weight, bias = head()

    def segment_end(high: Tensor, *counters: Tensor) -> tuple[Tensor, Tensor]:
        logits, entropy = autograd.decide(high[:, 0], weight, bias, *counters, *SETTINGS.values())
        autograd.reset_carry(high, high * 2, weight[0], weight[1], counters[3])
        return logits * 2, entropy

    plain, graph = state(), state()
    mine, theirs = high.clone(), high.clone()
    expected = segment_end(mine, *plain)
    actual = compiled(segment_end)(theirs, *graph)
    for one, other in zip((*expected, *plain, mine), (*actual, *graph, theirs), strict=True):
        assert torch.equal(one, other)

    weight.requires_grad_()
    loss = compiled(lambda prefix: autograd.halting_logits_forward(prefix, weight, bias).square().sum())(high[:, 0])
    loss.backward()
    assert weight.grad is not None and bool(weight.grad.isfinite().all())


@pytest.mark.parametrize("kind", ["halt_only", "q_learning"])
@pytest.mark.parametrize("whole", [True, False])
def test_decide_is_what_a_step_says_in_single_words(kind: str, whole: bool) -> None:
    high, weight, bias = head()
    segment, admissions, slots, halted, finite = state()
    settings = {**SETTINGS, "kind": kind}
    logits = halting_logits(high[:, 0], weight, bias)
    wants = (logits[:, 0] - logits[:, 1] if kind == "q_learning" else logits[:, 0]) > 0
    drawn = {name: SETTINGS[name] for name in ("seed", "lane", "exploration", "max_segments")}
    expected = halt(wants, segment + 1, slots + (admissions - 1) * 6, **drawn) | ~finite
    before = segment.clone()
    mine, entropy = decide(
        high.requires_grad_() if whole else high[:, 0],
        weight,
        bias,
        segment,
        admissions,
        slots,
        halted,
        finite,
        **settings,
    )
    assert torch.equal(mine, logits) and torch.equal(segment, before + 1) and torch.equal(halted, expected)
    assert not mine.requires_grad and not entropy.requires_grad
    q = logits[:, 0].double()
    probability = torch.sigmoid(q)
    coin = torch.distributions.Bernoulli(probability).entropy()
    torch.testing.assert_close(entropy, coin.float(), rtol=1e-5, atol=1e-7)


def test_limit_and_lost_samples_halt_and_a_sample_that_is_not_sure_goes_on() -> None:
    high, weight, bias = torch.zeros(4, 8), torch.zeros(2, 8), torch.tensor([-1.0, 0.0])
    segment, halted = torch.tensor([3, 4, 0, 0]), torch.zeros(4, dtype=torch.bool)
    slots, finite = torch.arange(4), torch.tensor([True, True, False, True])
    decide(high, weight, bias, segment, slots + 1, slots, halted, finite, **SETTINGS)
    assert segment.tolist() == [4, 5, 1, 1] and halted.tolist() == [False, True, True, False]


def test_entropy_of_the_reference_at_the_ends() -> None:
    logits = torch.tensor([0.0, float("inf"), -float("inf"), float("nan"), -30.0], dtype=torch.float64)
    entropy = reference.halting_entropy(logits)
    assert entropy[1:3].tolist() == [0.0, 0.0] and bool(entropy[3].isnan())
    assert float(entropy[0]) == pytest.approx(0.6931471805599453)
    assert float(entropy[4]) == pytest.approx(31 * 9.357622968840175e-14, rel=1e-9)


def test_threshold_as_an_integer_is_the_comparison_of_fractions() -> None:
    """Also where fp32 rounds the exploration probability, and next to the threshold on either side."""
    probabilities = torch.rand(300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for exploration in [
        0.0,
        1.0,
        0.1,
        2.0**-24,
        3 * 2.0**-24 * (1 + 1e-9),
        3 * 2.0**-24 * (1 - 1e-9),
        *probabilities.tolist(),
    ]:
        near = int(exploration * (1 << 24))
        draws = torch.arange(max(near - 3, 0), min(near + 4, 1 << 24))
        assert torch.equal(uniform(draws << 8) < exploration, draws < explore_below(exploration))


def test_host_s_words() -> None:
    for parts in [(0,), (1, 201, 3), (2**31 - 1, 202, 0)]:
        word = hash_int(*parts)
        assert word == int(hash32(*parts)) and signed(word) % (1 << 32) == word
        assert -(1 << 31) <= signed(word) < 1 << 31


class NoSynchronisation(TorchDispatchMode):
    """Fails at an operation that would make the host wait for a value or has a shape that depends on one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.__name__.split(".")[0] not in {"_local_scalar_dense", "nonzero", "_unique2", "masked_select"}
        return func(*args, **(kwargs or {}))


def test_nothing_is_read_back() -> None:
    high, weight, bias = head()
    segment, admissions, slots, halted, finite = state()
    with NoSynchronisation():
        halting_logits(high[:, 0], weight, bias)
        decide(high, weight, bias, segment, admissions, slots, halted, finite, **SETTINGS)
        reset_carry(high, high.clone(), weight[0], weight[1], halted)
    with pytest.raises(AssertionError), NoSynchronisation():
        bool(halted.any())


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("high", {"high": torch.zeros(6, 0, 32)}),
    ("high", {"high": torch.zeros(32)}),
    ("weight", {"weight": torch.zeros(2, 31)}),
    ("bias", {"bias": torch.zeros(3)}),
    ("segment", {"segment": torch.zeros(6, dtype=torch.int32)}),
    ("slots", {"slots": torch.zeros(5, dtype=torch.int64)}),
    ("halted", {"halted": torch.zeros(6)}),
    ("finite", {"finite": torch.zeros(6, dtype=torch.bool, device="meta")}),
    ("kind", {"kind": "sometimes"}),
]


@pytest.mark.parametrize(("name", "change"), REFUSED)
def test_decide_names_what_is_wrong(name: str, change: dict[str, Any]) -> None:
    names = ("high", "weight", "bias", "segment", "admissions", "slots", "halted", "finite")
    arguments: dict[str, Any] = {**dict(zip(names, (*head(), *state()), strict=True)), **SETTINGS, **change}
    with pytest.raises(ValueError, match=f"decide:.*{name}"):
        decide(**arguments)


def test_the_others_name_what_is_wrong_too() -> None:
    high, weight, bias = head()
    with pytest.raises(ValueError, match="halting_logits: prefix"):
        halting_logits(high, weight, bias)
    with pytest.raises(ValueError, match="halting_logits: weight is on meta"):
        halting_logits(high[:, 0], weight.to("meta"), bias)
    halted = torch.zeros(6, dtype=torch.bool)
    good: dict[str, Tensor] = {
        "high": high,
        "low": high,
        "start_high": weight[0],
        "start_low": weight[1],
        "halted": halted,
    }
    bad = [
        ("high", high[0]),
        ("low", high[:5]),
        ("low", high.half()),
        ("start_low", weight),
        ("halted", halted.float()),
    ]
    for name, value in bad:
        with pytest.raises(ValueError, match=f"reset_carry: {name}"):
            reset_carry(**{**good, name: value})


def test_reset_writes_halted_slots_of_any_layout() -> None:
    wide = normal(6, 9, 64)
    high, low = wide[..., :32], normal(6, 9, 32, seed=4)
    before, halted = wide.clone(), state()[3]
    reset_carry(high, low, torch.ones(32), torch.zeros(32, dtype=torch.float64), halted)
    assert bool((high[halted] == 1).all()) and bool((low[halted] == 0).all())
    assert torch.equal(high[~halted], before[~halted][..., :32]) and torch.equal(wide[..., 32:], before[..., 32:])


def test_choice_says_why() -> None:
    assert runtime.choose("act_halting", torch.empty(0), {}).reason == "there is no GPU"
    for arch in ARCHITECTURES:
        assert runtime.has_rows("act_halting", arch, {})


def test_specimens_and_cases_are_complete() -> None:
    specimens = benchmark.specimens(CPU, torch.float32)
    assert [item.shape.split()[0] for item in specimens] == ["halting_logits", "decide", "reset_carry"]
    for item in specimens:
        assert set(item.peers) == {"reference"} and item.check is None and item.bytes > 0
        item.peers["reference"]()
    cases = aot.cases()
    assert len({case.key for case in cases}) == len(cases) and {case.arch for case in cases} == set(ARCHITECTURES)
    for case in cases:
        assert set(case.kernel.arg_names) == set(case.signature) | set(case.constants)

"""The update's operations without kernels: registration, compilation, the reference against published formulas.

The reference is compared with torch.optim where torch has the rule, with formulas in float64 otherwise; the pieces in
which a CPU works with the whole, bit for bit.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from triton_kernels import runtime
from triton_kernels.fused_update import (
    Averaging,
    Buffers,
    Controls,
    Noise,
    Rule,
    fused_update,
    measure_gradients,
    reference,
    rows_sign_update,
)
from triton_kernels.fused_update.autograd import measure_op, rows_op, step_op

ONE = torch.tensor(1.0)


def buffers(size: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Buffers:
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(size, generator=generator) for _ in range(4)]
    return Buffers(*(tensor.to(dtype) for tensor in (draw[0], draw[1], 0.1 * draw[2], 0.1 * draw[3].square())))


def controls(lr: float = 1e-2, keep: float = 1.0, scale: float = 1.0, count: float = 1.0) -> Controls:
    return Controls(*(torch.tensor(value) for value in (lr, keep, scale, count)))


def averaging(kind: str, size: int, count: float = 3.0, taken: float = 1.0) -> Averaging:
    return Averaging(kind, torch.zeros(size), torch.tensor(count), torch.tensor(0.9), torch.tensor(taken))


def step_arguments(kind: str, everything: bool) -> tuple[Any, ...]:
    average = averaging("swa", 70) if everything else None
    return (
        *buffers(70),
        average and average.values,
        torch.zeros(70, dtype=torch.bfloat16) if everything else None,
        *controls(),
        torch.tensor(0.1) if everything else None,
        average and average.steps,
        average and average.decay,
        average and average.taken,
        7,
        kind,
        0.9,
        0.95,
        0.1,
        "swa" if everything else "",
        everything,
    )


@pytest.mark.parametrize("kind", reference.KINDS)
@pytest.mark.parametrize("everything", [False, True])
def test_opcheck_of_the_step(kind: str, everything: bool) -> None:
    torch.library.opcheck(step_op, step_arguments(kind, everything))


def test_opcheck_of_measure_and_rows() -> None:
    torch.library.opcheck(measure_op, (torch.randn(50), 1.0))
    torch.library.opcheck(measure_op, (torch.randn(50), None))
    index = torch.tensor([1, 3, 1])
    torch.library.opcheck(rows_op, (torch.randn(6, 4), index, torch.randn(3, 4), ONE, ONE, 0.1, 0.2))


def test_operations_in_a_compiled_graph() -> None:
    arguments, expected = step_arguments("adamw", True), step_arguments("adamw", True)

    def step(*given: Any) -> Tensor:
        step_op(*given)
        return measure_op(given[1], 1.0)

    measured = torch.compile(step, fullgraph=True, backend="aot_eager")(*arguments)
    assert measured.tolist() == [0.0, 1.0, 1.0]
    step(*expected)
    for ours, theirs in zip(arguments[:6], expected[:6], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", reference.KINDS)
def test_public_function_equals_the_operation(kind: str) -> None:
    arguments, ours = step_arguments(kind, True), step_arguments(kind, True)
    step_op(*arguments)
    fused_update(
        Buffers(*ours[:4]),
        controls(),
        Rule(kind, (0.9, 0.95), 0.1),
        noise=Noise(ours[10], 7),
        average=Averaging("swa", ours[4], *ours[11:14]),
        copy=ours[5],
        clear=True,
    )
    assert all(torch.equal(one, other) for one, other in zip(ours[:6], arguments[:6], strict=True))


@pytest.mark.parametrize("kind", reference.KINDS)
@pytest.mark.parametrize("average", ["", "ema", "swa"])
def test_pieces_equal_the_whole(kind: str, average: str) -> None:
    size = 1000
    outcomes = []
    for chunk in (size, 64):
        state, means = buffers(size), averaging(average, size) if average else None
        copy = torch.zeros(size, dtype=torch.bfloat16)
        rule, noise = Rule(kind, (0.9, 0.95), 0.1), Noise(torch.tensor(0.1), 3)
        reference.update(state, controls(), rule, noise=noise, average=means, copy=copy, clear=True, chunk=chunk)
        outcomes.append([*state, copy, *([means.values] if means else [])])
    assert all(torch.equal(one, other) for one, other in zip(*outcomes, strict=True))


def test_adamw_equals_torch_over_steps() -> None:
    state = Buffers(*(tensor.double() for tensor in buffers(40)))
    state.first.zero_()
    state.second.zero_()
    parameter = nn.Parameter(state.values.clone())
    theirs = torch.optim.AdamW([parameter], lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    for step in range(1, 6):
        gradient = torch.randn(40, generator=torch.Generator().manual_seed(step)).double()
        parameter.grad = gradient.clone()
        theirs.step()
        state.gradients.copy_(gradient)
        scalars = Controls(*(value.double() for value in controls(count=step)))
        fused_update(state, scalars, Rule("adamw", (0.9, 0.95), 0.1))
    torch.testing.assert_close(state.values, parameter.detach(), rtol=1e-7, atol=1e-9)


def test_lion_formula() -> None:
    state = buffers(64)
    values, gradients, first = (tensor.clone() for tensor in state[:3])
    fused_update(state._replace(second=torch.zeros(0)), controls(lr=0.01, scale=0.5), Rule("lion", (0.9, 0.99), 0.1))
    step = torch.sign(0.9 * first + 0.1 * 0.5 * gradients)
    torch.testing.assert_close(state.values, values * (1 - 0.01 * 0.1) - 0.01 * step)
    torch.testing.assert_close(state.first, 0.99 * first + 0.01 * 0.5 * gradients)


def test_averages_and_copy() -> None:
    for kind, weight in (("ema", 1 - min(0.9, 4 / 13)), ("swa", 1 / 3)):
        state, average, copy = buffers(50), averaging(kind, 50), torch.zeros(50, dtype=torch.bfloat16)
        average.values.fill_(2.0)
        fused_update(state, controls(), Rule("adamw", (0.9, 0.95), 0.0), average=average, copy=copy)
        torch.testing.assert_close(average.values, 2.0 + weight * (state.values - 2.0))
        assert torch.equal(copy, state.values.bfloat16())


def test_swa_is_the_mean_of_what_was_taken() -> None:
    state, average, seen = buffers(30), averaging("swa", 30, count=0.0), []
    for step in range(1, 7):
        taken = float(step % 2 == 0)
        average.steps.add_(taken)
        average.taken.fill_(taken)
        fused_update(state, controls(count=step), Rule("adamw", (0.9, 0.95), 0.0), average=average)
        if taken:
            seen.append(state.values.clone())
    torch.testing.assert_close(average.values, torch.stack(seen).mean(0))


def test_noise_is_normal_keyed_and_scaled() -> None:
    count = torch.tensor(5.0)
    drawn = reference.normal(1, count, 0, 200_000)
    assert abs(drawn.mean().item()) < 0.01
    assert abs(drawn.std().item() - 1.0) < 0.01
    inside = (drawn.abs() < 1.0).float().mean().item()
    assert abs(inside - math.erf(math.sqrt(0.5))) < 0.005
    assert torch.equal(reference.normal(1, count, 1000, 50), drawn[1000:1050])
    for other in (reference.normal(2, count, 0, 1000), reference.normal(1, count + 1, 0, 1000)):
        assert abs(torch.corrcoef(torch.stack([other, drawn[:1000]]))[0, 1].item()) < 0.12
    quiet, noisy = buffers(100), buffers(100)
    rule = Rule("lion", (0.9, 0.0), 0.0)
    fused_update(quiet._replace(second=torch.zeros(0)), controls(count=5.0), rule)
    noise = Noise(torch.tensor(0.25), 1)
    fused_update(noisy._replace(second=torch.zeros(0)), controls(count=5.0), rule, noise=noise)
    torch.testing.assert_close(noisy.first - quiet.first, 0.25 * drawn[:100])


@pytest.mark.parametrize("kind", reference.KINDS)
def test_keep_zero_leaves_no_trace_but_zero_gradients(kind: str) -> None:
    state, average = buffers(90), averaging("ema", 90, taken=0.0)
    before = [tensor.clone() for tensor in state]
    state.gradients[4] = float("nan")
    noise = Noise(torch.tensor(1.0), 0)
    rule = Rule(kind, (0.9, 0.95), 0.1)
    fused_update(state, controls(keep=0.0, scale=0.0), rule, noise=noise, average=average, clear=True)
    assert state.gradients.eq(0).all()
    for number in (0, 2, 3):
        assert torch.equal(state[number], before[number])
    assert average.values.eq(0).all()


def test_measure() -> None:
    gradients = torch.tensor([3.0, 4.0])
    found = measure_gradients(gradients, 1.0)
    assert found.norm.item() == 5.0
    assert found.keep.item() == 1.0
    assert found.scale.item() == pytest.approx(0.2)
    assert measure_gradients(gradients, 10.0).scale.item() == 1.0
    assert measure_gradients(gradients, None).scale.item() == 1.0
    gradients[0] = float("inf")
    assert [value.item() for value in measure_gradients(gradients, 1.0)[1:]] == [0.0, 0.0]


def test_rows_by_sign_of_the_sum() -> None:
    table = torch.full((5, 2), 0.5)
    table[-1] = 0.0
    index = torch.tensor([1, 1, 3, 4])
    gradients = torch.tensor([[3.0, -1.0], [-1.0, -1.0], [0.0, 2.0], [1.0, 1.0]])
    rows_sign_update(table, index, gradients, torch.tensor(0.5), ONE, lr=0.2, weight_decay=0.2)
    decayed = 0.5 * (1 - 0.1 * 0.2)
    torch.testing.assert_close(table[1], torch.tensor([decayed - 0.1, decayed + 0.1]))
    torch.testing.assert_close(table[3], torch.tensor([decayed, decayed - 0.1]))
    assert table[[0, 2]].eq(0.5).all()
    assert table[4].eq(0).all()


RULE = Rule("adamw", (0.9, 0.95), 0.1)


@pytest.mark.parametrize(
    ("state", "scalars", "rule", "options", "message"),
    [
        (buffers(4)._replace(first=torch.zeros(3)), controls(), RULE, {}, r"first has shape \(3,\)"),
        (buffers(4)._replace(second=torch.zeros(0)), controls(), RULE, {}, r"second has shape \(0,\)"),
        (buffers(4)._replace(first=torch.zeros(4).double()), controls(), RULE, {}, "first is torch.float64"),
        (Buffers(*[torch.zeros(2, 2)] * 4), controls(), RULE, {}, r"values have shape \(2, 2\)"),
        (buffers(4), controls(), RULE._replace(kind="muon"), {}, "allowed are adamw, adam_atan2, lion"),
        (buffers(4), controls(), RULE._replace(betas=(0.9, 1.0)), {}, "below 1"),
        (buffers(4), controls()._replace(lr=torch.ones(1)), RULE, {}, r"controls.lr has shape \(1,\)"),
        (buffers(4), controls(), RULE, {"noise": Noise(torch.ones(2), 0)}, r"noise.sigma has shape \(2,\)"),
        (buffers(4), controls(), RULE, {"average": averaging("mean", 4)}, "allowed are ema, swa"),
        (buffers(4), controls(), RULE, {"average": averaging("ema", 5)}, r"average has shape \(5,\)"),
        (buffers(4), controls(), RULE, {"copy": torch.zeros(4, device="meta")}, r"copy has shape \(4,\) on meta"),
    ],
)
def test_update_refuses(state: Buffers, scalars: Controls, rule: Rule, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fused_update(state, scalars, rule, **options)


def test_measure_and_rows_refuse() -> None:
    with pytest.raises(ValueError, match="gradients have shape"):
        measure_gradients(torch.zeros(2, 2), 1.0)
    with pytest.raises(ValueError, match="clip is 0"):
        measure_gradients(torch.zeros(2), 0.0)
    table, index, gradients = torch.zeros(4, 3), torch.zeros(2, dtype=torch.int64), torch.zeros(2, 3)
    numbers: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.0}
    with pytest.raises(ValueError, match=r"needs \(R \+ 1, D\), \(S, D\)"):
        rows_sign_update(table, index, torch.zeros(2, 4), ONE, ONE, **numbers)
    with pytest.raises(ValueError, match=r"needs \(2,\) torch.int64"):
        rows_sign_update(table, index.int(), gradients, ONE, ONE, **numbers)
    with pytest.raises(ValueError, match="index on meta"):
        rows_sign_update(table, index.to("meta"), gradients, ONE, ONE, **numbers)
    with pytest.raises(ValueError, match="keep has shape"):
        rows_sign_update(table, index, gradients, ONE, torch.ones(1), **numbers)


def test_no_numbers_are_no_trouble() -> None:
    assert measure_gradients(torch.zeros(0), 1.0).norm.item() == 0.0
    fused_update(buffers(0), controls(), RULE, clear=True)


def test_why_the_reference_runs_here() -> None:
    probe = torch.zeros(3)
    assert runtime.choose("fused_update", probe, {}).reason == "there is no GPU"
    assert runtime.has_rows("fused_update", 87, {})
    with runtime.mode("off"):
        assert runtime.choose("fused_update", probe, {}).reason == "kernels.mode=off"

"""The step: what it computes against a plain loop, that memory changes no sample, and that it never asks the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from small_step import NUM_TASKS, NoHost, make_parts, recipe
from torch.nn import functional

from hrm_core.learning.lanes import LaneState, deal_slots
from hrm_core.model.copies import WeightCopies
from hrm_core.model.hrm import HRM
from hrm_core.model.segment import reasoning_segment
from hrm_core.recipe.augment import AugmentConfig
from hrm_core.recipe.schema import Recipe
from hrm_core.techniques.points import Techniques
from hrm_core.training.step import StepParts, Sum, admit, train_step
from triton_kernels.fused_update import Averaging, Measure


def test_slots_are_dealt_by_largest_remainder() -> None:
    assert deal_slots({10: 100, 20: 50, 30: 10}, 16) == {10: 10, 20: 5, 30: 1}
    assert deal_slots({10: 1000, 30: 1}, 4) == {10: 3, 30: 1}
    assert sum(deal_slots({10: 317, 14: 291, 18: 402, 24: 188, 30: 230}, 320).values()) == 320
    assert deal_slots({10: 5, 14: 5, 18: 5}, 2) == {10: 1, 14: 1, 18: 1}


def test_first_step_equals_a_plain_loop() -> None:
    """One sample at a time, losses written out, gradients by autograd: the same gradient in the flat buffer."""
    chosen = recipe(optimizer__clip=None, halting__exploration=0.0)
    parts, plain = make_parts(chosen), HRM(chosen, NUM_TASKS)
    for lane in parts.lanes:
        admit(lane, chosen, Techniques())
    total = torch.zeros(())
    rows = plain.rows.table.clone().requires_grad_()
    for lane in parts.lanes:
        for slot in range(lane.num_slots):
            one = slice(slot, slot + 1)
            identity = lane.identity(one)
            embedded = plain.embeddings(lane["tokens"][one], identity, rows[identity.task], torch.float32)
            carry = reasoning_segment(
                plain.cast(), plain.start_carry(embedded), embedded, plain.rotary(lane.side), chosen.model
            )
            logits = carry.high[0, 1:] @ plain.head.T
            labels = lane["labels"][slot].long()
            s = torch.where(logits >= 0, logits + 1, 1 / (1 - logits))
            loss = -(s / s.sum(-1, keepdim=True)).log()[torch.arange(len(labels)), labels]
            exact = bool((logits.argmax(-1) == labels)[labels != 0].all())
            q_halt = (plain.q_weight @ carry.high[0, 0] + plain.q_bias)[0]
            halting = functional.binary_cross_entropy_with_logits(q_halt, torch.tensor(float(exact)))
            total = total + (loss[labels != 0].mean() + 0.5 * halting) / parts.num_slots
    names = [name for name, _ in plain.named_parameters()]
    expected = dict(zip(names, torch.autograd.grad(total, list(plain.parameters()), retain_graph=True), strict=True))
    seen: dict[str, torch.Tensor] = {}
    for lane in parts.lanes:  # the step admits again only into halted slots: none now
        lane["halted"].fill_(False)
        start = parts.model.high_start.expand_as(lane["high"])
        lane["high"].copy_(start)
        lane["low"].copy_(parts.model.low_start.expand_as(lane["low"]))

    def keep_gradients(*_: object) -> None:
        seen.update({name: parameter.grad.clone() for name, parameter in parts.model.named_parameters()})

    parts.trunk.clip_and_update = keep_gradients  # type: ignore[method-assign]
    train_step(parts)
    for name, gradient in expected.items():
        torch.testing.assert_close(
            seen[name], gradient, rtol=1e-3, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


def sequences(chosen: Recipe, steps: int) -> dict[tuple[int, int], list[tuple[Any, ...]]]:
    """(side, slot) -> the samples that it saw, in order: tokens, labels and identity as bytes."""
    parts = make_parts(chosen)
    seen: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
    for _ in range(steps):
        before = [lane["halted"].clone() for lane in parts.lanes]
        train_step(parts)
        for lane, halted in zip(parts.lanes, before, strict=True):
            for slot in torch.nonzero(halted).flatten().tolist():
                sample = (lane["tokens"][slot].numpy().tobytes(), lane["labels"][slot].numpy().tobytes())
                seen.setdefault((lane.side, slot), []).append((*sample, *lane["colors"][slot].tolist()))
    return seen


@pytest.mark.timeout(600)
def test_slots_dealt_differently_in_memory_see_the_same_samples() -> None:
    """Halting forced (bias 0): 80 steps, pieces of 12, 4 and 1 slots."""
    runs = [
        sequences(recipe(halting__bias=0.0, training__batch=batch, training__accumulation=12 // batch), 80)
        for batch in (12, 4, 1)
    ]
    lengths = {key: min(len(run[key]) for run in runs) for key in runs[0]}
    assert min(lengths.values()) >= 20
    for other in runs[1:]:
        assert other.keys() == runs[0].keys()
        for key, length in lengths.items():
            assert other[key][:length] == runs[0][key][:length]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"halting__kind": "q_learning", "model__positions": "rope1d", "model__rope_theta": 1e4},
        {"optimizer__kind": "muon", "rows__kind": "adam", "identity__place": "both", "loss__kind": "softmax"},
        {"identity__kind": "per_augmentation", "optimizer__kind": "adam_atan2", "averaging__kind": "none"},
        {"identity__kind": "none", "model__inject_input": False, "loss__include_pad": True},
    ],
)
def test_the_step_never_asks_the_host(changes: dict[str, Any]) -> None:
    parts = make_parts(recipe(**changes))
    train_step(parts)
    with NoHost() as watch:
        train_step(parts)
    assert watch.count > 300
    assert watch.found == []


@pytest.fixture(params=["adamw", "muon"])
def poisoned(request: pytest.FixtureRequest) -> Iterator[StepParts]:
    """A step's parts after two good steps, with one slot's state turned into NaN."""
    parts = make_parts(recipe(optimizer__kind=request.param))
    for _ in range(2):
        train_step(parts)
    parts.lanes[0]["halted"].fill_(False)
    parts.lanes[0]["high"][1].fill_(float("nan"))
    yield parts


def test_a_step_that_is_not_finite_leaves_no_trace_and_gives_the_slot_up(poisoned: StepParts) -> None:
    values = poisoned.flat.values.clone()
    rows = poisoned.model.rows.table.clone()
    average = [tensor.clone() for tensor in poisoned.average.averages]
    poisoned.sums.zero_()
    train_step(poisoned)
    assert poisoned.sums[Sum.NONFINITE].item() == 1
    assert torch.equal(poisoned.flat.values, values)
    assert torch.equal(poisoned.model.rows.table, rows)
    assert all(torch.equal(a, b) for a, b in zip(poisoned.average.averages, average, strict=True))
    assert poisoned.lanes[0]["halted"][1].item()
    for _ in range(3):
        train_step(poisoned)
    assert poisoned.sums[Sum.NONFINITE].item() == 1
    assert not torch.equal(poisoned.flat.values, values)
    assert torch.isfinite(poisoned.flat.values).all()


def test_clip_bounds_the_update_and_is_counted() -> None:
    parts = make_parts(recipe(optimizer__clip=1e-3))
    norms: list[float] = []
    original = parts.trunk.clip_and_update

    def note(lr: torch.Tensor, measured: Measure, average: Averaging | None, noise: object = None) -> None:
        norms.append((parts.flat.gradients * measured.scale).norm().item())
        original(lr, measured, average)

    parts.trunk.clip_and_update = note  # type: ignore[method-assign]
    train_step(parts)
    assert norms[0] == pytest.approx(1e-3, rel=1e-3)
    assert parts.sums[Sum.CLIPPED].item() == 1


def test_segments_are_counted_and_slots_halt_at_the_limit() -> None:
    parts = make_parts(recipe(halting__exploration=0.0))
    for step in range(9):
        train_step(parts)
        for lane in parts.lanes:
            assert lane["segment"].eq(step % 4 + 1).all()
            assert lane["halted"].eq(step % 4 == 3).all()
            assert lane["admissions"].eq(step // 4 + 1).all()
    assert parts.sums[Sum.HALTED].item() == 2 * parts.num_slots
    assert parts.sums[Sum.HALTED_SEGMENTS].item() == 8 * parts.num_slots


def test_learns_to_repeat_one_grid() -> None:
    """All targets alike: the loss falls by half in 40 steps, so gradient, rows and optimizer act together."""
    changes = {"augment__dihedral": False, "augment__color_probability": 0.0, "augment__translate": 0.0}
    parts = make_parts(recipe(**changes, loss__kind="softmax"))
    parts.scalars.lr.fill_(3e-3)
    for lane in parts.lanes:
        lane.pairs.target.fill_(3)
    losses = []
    for _ in range(40):
        parts.sums.zero_()
        train_step(parts)
        losses.append((parts.sums[Sum.TOKEN_LOSS] / parts.sums[Sum.SAMPLES]).item())
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:4])


def test_lane_state_keeps_its_storage() -> None:
    parts = make_parts(recipe())
    lane: LaneState = parts.lanes[0]
    where = {name: tensor.data_ptr() for name, tensor in lane.buffers.items()}
    for _ in range(5):
        train_step(parts)
    assert {name: tensor.data_ptr() for name, tensor in lane.buffers.items()} == where
    assert isinstance(parts.recipe.augment, AugmentConfig)


def test_weights_cast_once_a_step_change_nothing() -> None:
    chosen = recipe(training__dtype="bf16")
    plain = make_parts(chosen, dtype=torch.bfloat16)
    twin = make_parts(chosen, dtype=torch.bfloat16)
    copied = twin._replace(copies=WeightCopies(twin.model, torch.bfloat16))
    for _ in range(4):
        train_step(plain)
        train_step(copied)
    assert torch.equal(plain.flat.values, copied.flat.values)
    assert torch.equal(plain.sums, copied.sums)

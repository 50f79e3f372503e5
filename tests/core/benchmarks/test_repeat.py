"""A step that does not repeat is caught, and what differed first is named."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
import torch
from small_step import make_parts, recipe
from torch import Tensor

from hrm_core.benchmarks.repeat import (
    OperationLog,
    Repeats,
    checksum,
    compare_replays,
    compare_steps,
    first_difference,
    look_for_differences,
    state_of,
)
from hrm_core.training.graphs import StepGraphs, Work, warm_up
from hrm_core.training.step import StepParts
from triton_kernels.residual_norm import reference


@pytest.fixture
def parts() -> StepParts:
    made: StepParts = make_parts(recipe())
    return made


def unrecorded(work: Work) -> Work:
    """A capture that captures nothing: replaying is running."""
    return work


@pytest.fixture
def graphs(parts: StepParts) -> StepGraphs:
    return StepGraphs(parts, unrecorded, warm_up)


def wrong_at(monkeypatch: pytest.MonkeyPatch, calls: set[int]) -> Iterator[int]:
    """From now on the reference of residual_norm is off by a bit at these calls; yields how many there have been."""
    right = reference.residual_norm
    count = 0

    def races(*arguments: Tensor) -> Tensor:
        nonlocal count
        count += 1
        result = right(*arguments)
        return result * (1 + 2.0**-20) if count in calls else result

    monkeypatch.setattr("triton_kernels.residual_norm.reference.residual_norm", races)
    while True:
        yield count


def test_a_step_that_repeats(parts: StepParts, graphs: StepGraphs) -> None:
    before = {name: tensor.clone() for name, tensor in state_of(parts).items()}
    found = look_for_differences(parts, graphs, 2, 2)
    assert found == Repeats(replays=2, steps=2)
    assert found.passed
    assert found.words == "2 replays and 2 eager steps from one start are equal bit for bit"
    after = state_of(parts)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_replay_that_differs_is_named_by_its_graph_and_tensors(
    parts: StepParts, graphs: StepGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = wrong_at(monkeypatch, set())
    next(counted)
    graphs.replays[0]()
    per_lane = next(counted)
    assert per_lane
    monkeypatch.undo()
    # One unrecorded step comes first; then the replay that is the measure, then this one, off in its second lane.
    next(wrong_at(monkeypatch, {per_lane * (2 * len(parts.lanes) + 2 * len(parts.lanes)) - 0}))
    found = compare_replays(graphs, parts, 2)
    ((words, times),) = found.items()
    assert times == 1
    assert "of 3: " in words
    assert words.startswith(f"after graph {len(parts.lanes)} ")


def test_an_eager_step_that_differs_is_named_by_its_operation(
    parts: StepParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = wrong_at(monkeypatch, set())
    next(counted)
    assert not compare_steps(parts, 1)
    per_step = next(counted) // 3
    monkeypatch.undo()
    next(wrong_at(monkeypatch, {2 * per_step + 1}))
    ((words, times),) = compare_steps(parts, 2).items()
    assert times == 1
    assert "aten.mul.Tensor -> float32" in words
    told = Repeats(100, 2, replays_off=3, replays_first={"after graph 2": 3}, steps_off=1, steps_first={words: 1})
    assert not told.passed
    assert told.words.startswith(
        "3 of 100 replays differ, first after graph 2 (3 x); 1 of 2 eager steps differ, first op"
    )


def test_a_log_has_results_changes_and_the_backward_but_no_fresh_memory() -> None:
    x = torch.ones(3, requires_grad=True)
    buffer = torch.zeros(3)
    log = OperationLog()
    with log:
        fresh = torch.empty(3)
        fresh[:2]
        buffer.add_(1)
        (x * 2).sum().backward()
    names = [name.partition(" ")[0] for name in log.names]
    assert not [name for name in names if "empty" in name or "slice" in name]
    assert names.count("aten.add_.Tensor") == 2  # returned, and changed
    assert names.count("aten.mul.Tensor") == 2  # forward and backward
    assert len(log.all()) == len(log.names)


@pytest.mark.parametrize("deterministic", [False, True])
def test_memory_that_nothing_wrote_is_seen(
    parts: StepParts, monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    right = reference.residual_norm

    def careless(*arguments: Tensor) -> Tensor:
        result = right(*arguments)
        fresh = torch.empty(4)
        if not torch.are_deterministic_algorithms_enabled():  # torch did not fill it, and what it holds is chance
            ctypes.memset(fresh.data_ptr(), 0, 4 * fresh.element_size())
        return result + 0 * fresh[0].nan_to_num(0.0) + fresh[1].isnan()

    monkeypatch.setattr("triton_kernels.residual_norm.reference.residual_norm", careless)
    torch.use_deterministic_algorithms(deterministic)
    found = look_for_differences(parts, None, 0, 0)
    assert found.replays == 0
    assert found.unwritten is not None
    assert "reads memory that nothing wrote" in found.words
    assert torch.are_deterministic_algorithms_enabled() is deterministic


def test_checksums_tell_bits_and_places_apart() -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    assert checksum(x) == checksum(x.clone())
    assert checksum(x) != checksum(x.flip(0))
    assert checksum(torch.zeros(2)) != checksum(-torch.zeros(2))
    assert checksum(x.bfloat16()) != checksum(x.bfloat16() * 2)
    assert checksum(torch.tensor([True, False])) != checksum(torch.tensor([False, True]))
    sums = torch.tensor([1, 2])
    assert first_difference(["a", "b"], sums, ["a", "b"], sums.clone()) is None
    assert first_difference(["a", "b"], sums, ["a", "b"], sums + torch.tensor([0, 1])) == "operation 1 of 2: b"
    assert first_difference(["a", "b"], sums, ["a", "c"], sums) == "operation 1: b here, c there"
    assert first_difference(["a", "b"], sums, ["a"], sums[:1]) == "2 operations here, 1 there"

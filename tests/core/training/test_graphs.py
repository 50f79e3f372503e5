"""The captured step against the eager one: on a CPU with a recorder that captures nothing, on a GPU the real one."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from small_step import make_parts, recipe

from hrm_core.errors import UserError
from hrm_core.model.copies import WeightCopies
from hrm_core.recipe.training import TrainingConfig
from hrm_core.training.graphs import (
    StepGraphs,
    Work,
    capture_step,
    captured_or_eager,
    static_buffers,
    wants_graphs,
    warm_up,
)
from hrm_core.training.setup import check_graphs
from hrm_core.training.step import StepParts, train_step


def recorded(log: list[str], work: Work) -> Work:
    """A capture that only remembers: replaying is running."""
    assert isinstance(work, partial)
    log.append(work.func.__name__)
    return work


def fake_capture(parts: StepParts) -> StepGraphs:
    return StepGraphs(parts, partial(recorded, []), warm_up)


def values(parts: StepParts) -> list[torch.Tensor]:
    return [buffer.clone() for buffer in static_buffers(parts)]


def assert_same(left: list[torch.Tensor], right: list[torch.Tensor]) -> None:
    for one, other in zip(left, right, strict=True):
        assert torch.equal(one, other)


def test_warm_up_puts_every_buffer_back() -> None:
    parts = make_parts(recipe())
    for _ in range(3):
        train_step(parts)
    before = values(parts)
    storage = [buffer.data_ptr() for buffer in static_buffers(parts)]
    warm_up(parts)
    assert_same(values(parts), before)
    assert [buffer.data_ptr() for buffer in static_buffers(parts)] == storage


def test_warm_up_puts_buffers_back_when_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = make_parts(recipe())
    before = values(parts)

    def breaks(parts: StepParts) -> None:
        train_step(parts)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr("hrm_core.training.graphs.train_step", breaks)
    with pytest.raises(RuntimeError):
        warm_up(parts)
    assert_same(values(parts), before)


def test_one_graph_a_lane_and_one_for_the_update() -> None:
    parts = make_parts(recipe())
    log: list[str] = []
    StepGraphs(parts, partial(recorded, log), warm_up)
    assert log == ["step_lane"] * len(parts.lanes) + ["update"]
    log.clear()
    half = make_parts(recipe(training__dtype="bf16"), dtype=torch.bfloat16)
    half = half._replace(copies=WeightCopies(half.model, torch.bfloat16))
    StepGraphs(half, partial(recorded, log), warm_up)
    assert log == ["begin", *["step_lane"] * len(parts.lanes), "update"]


def test_capture_and_replays_equal_eager_steps() -> None:
    eager, captured = make_parts(recipe()), make_parts(recipe())
    graphs = fake_capture(captured)
    for _ in range(4):
        train_step(eager)
        graphs()
        assert_same(values(captured), values(eager))


def test_a_capture_that_fails_falls_back_and_says_so() -> None:
    parts, twin = make_parts(recipe()), make_parts(recipe())

    def fails(parts: StepParts) -> StepGraphs:
        warm_up(parts)
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore lines")

    said: list[str] = []
    step = captured_or_eager(parts, fails, said.append)
    assert said == [
        "the step could not be captured as CUDA graphs and runs without them: "
        "CUDA error: operation not permitted when stream is capturing"
    ]
    step()
    train_step(twin)
    assert_same(values(parts), values(twin))
    forced = make_parts(recipe(training__graph="force"))
    with pytest.raises(RuntimeError):
        captured_or_eager(forced, fails, said.append)


def test_where_graphs_are_wanted() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert wants_graphs(TrainingConfig(), cuda)
    assert not wants_graphs(TrainingConfig(), cpu)
    assert not wants_graphs(TrainingConfig(graph="off"), cuda)
    assert wants_graphs(TrainingConfig(graph="force"), cuda)
    with pytest.raises(UserError, match="graph=force: CUDA graphs need"):
        check_graphs(TrainingConfig(graph="force"), cpu)
    check_graphs(TrainingConfig(graph="force"), cuda)
    check_graphs(TrainingConfig(), cpu)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_replay_equals_eager_step_by_step_on_a_gpu(dtype: torch.dtype) -> None:
    chosen = recipe()
    eager = make_parts(chosen, torch.device("cuda"), dtype)
    captured = make_parts(chosen, torch.device("cuda"), dtype)
    graphs = capture_step(captured)
    for _ in range(20):
        train_step(eager)
        graphs()
        for one, other in zip(values(captured), values(eager), strict=True):
            assert torch.allclose(one.double(), other.double(), rtol=1e-5, atol=1e-6)

"""What every technique must keep to: neutral settings equal EXP-00 bit for bit, a resumed run equals an uninterrupted
one, evaluation puts the weights back, the step never asks the host, each pair composes, each can be captured."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small_step import NoHost
from technique_bench import run_steps, tiny_parts
from technique_table import CASES

from hrm_core.training.checkpoint import load_state, save_snapshot
from hrm_core.training.graphs import StepGraphs, static_buffers, warm_up
from hrm_core.training.setup import tensors_of
from hrm_core.training.step import StepParts, train_step

NAMES = list(CASES)


def state(parts: StepParts) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in tensors_of(parts).items()}


def assert_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    for name in left.keys() & right.keys():
        assert torch.equal(left[name], right[name]), name


@pytest.mark.parametrize("name", [name for name in NAMES if CASES[name].neutral is not None])
def test_without_effect_it_equals_the_control_bit_for_bit(name: str, arc1_file: Path) -> None:
    neutral = CASES[name].neutral
    assert neutral is not None
    control, other = tiny_parts(arc1_file), tiny_parts(arc1_file, neutral)
    assert other.techniques.plugs
    run_steps(control, 6)
    run_steps(other, 6)
    assert torch.equal(control.model.rows.table, other.model.rows.table)
    weights, others = control.model.state_dict(), other.model.state_dict()
    for key, value in weights.items():
        assert torch.equal(value, others[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_the_run(name: str, arc1_file: Path) -> None:
    control, other = tiny_parts(arc1_file), tiny_parts(arc1_file, CASES[name].on)
    run_steps(control, 18)
    run_steps(other, 18)
    with control.evaluation_weights(), other.evaluation_weights():
        assert not torch.equal(control.model.head, other.model.head)


@pytest.mark.parametrize("name", NAMES)
def test_resumed_equals_uninterrupted(name: str, arc1_file: Path, tmp_path: Path) -> None:
    """Stopped after 11 of 18 steps: past the thresholds of some techniques, before those of others."""
    straight = tiny_parts(arc1_file, CASES[name].on)
    run_steps(straight, 18)
    first = tiny_parts(arc1_file, CASES[name].on)
    run_steps(first, 11)
    save_snapshot(tmp_path / "step-00000011", first, ("task",), {"kind": "checkpoint", "step": 11}, {"step": 11})
    second = tiny_parts(arc1_file, CASES[name].on)
    assert load_state(tmp_path / "step-00000011", second) == {"step": 11}
    run_steps(second, 7, start=11)
    assert state(second).keys() == state(straight).keys()
    assert_equal(state(second), state(straight))


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_puts_the_weights_back(name: str, arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, CASES[name].on)
    run_steps(parts, 18)
    before = state(parts)
    with pytest.raises(ZeroDivisionError), parts.evaluation_weights():
        raise ZeroDivisionError
    assert_equal(state(parts), before)


@pytest.mark.parametrize("name", NAMES)
def test_the_step_never_asks_the_host(name: str, arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, CASES[name].on)
    run_steps(parts, 12)
    with NoHost() as watch:
        train_step(parts)
    assert watch.found == []


@pytest.mark.parametrize("name", NAMES)
def test_capturing_leaves_no_trace_and_storage_stays(name: str, arc1_file: Path) -> None:
    """A graph replays addresses: nothing that the step reads or writes may be replaced by another tensor."""
    parts = tiny_parts(arc1_file, CASES[name].on)
    run_steps(parts, 12)
    before, where = state(parts), [buffer.data_ptr() for buffer in static_buffers(parts)]
    graphs = StepGraphs(parts, partial(_recorded, []), warm_up)
    assert_equal(state(parts), before)
    graphs()
    assert [buffer.data_ptr() for buffer in static_buffers(parts)] == where


def _recorded(log: list[str], work: Any) -> Any:
    log.append(work.func.__name__)
    return work


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NAMES, 2)))
def test_each_pair_composes(one: str, other: str, arc1_file: Path) -> None:
    merged = dict(override.split("=", 1) for override in (*CASES[one].on, *CASES[other].on))
    parts = tiny_parts(arc1_file, [f"{key}={value}" for key, value in merged.items()])
    run_steps(parts, 5)
    assert all(torch.isfinite(tensor).all() for tensor in state(parts).values() if tensor.is_floating_point())

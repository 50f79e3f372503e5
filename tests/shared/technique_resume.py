"""Stops a small run at a step, goes on in new parts from its checkpoint, and compares with an uninterrupted run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from technique_bench import run_steps, tiny_parts

from hrm_core.training.checkpoint import load_state, save_snapshot
from hrm_core.training.setup import tensors_of
from hrm_core.training.step import StepParts


def assert_same_state(left: StepParts, right: StepParts) -> None:
    """Every tensor of the state, bit for bit, and what the techniques remember."""
    others = tensors_of(right)
    for name, tensor in tensors_of(left).items():
        assert torch.equal(tensor, others[name]), name
    assert left.techniques.remember() == right.techniques.remember()


def assert_resumes(arc1_file: Path, folder: Path, overrides: Sequence[str], stop: int, total: int) -> StepParts:
    """The resumed run's parts after `total` steps, which are the uninterrupted run's."""
    straight = tiny_parts(arc1_file, overrides)
    run_steps(straight, total)
    first = tiny_parts(arc1_file, overrides)
    run_steps(first, stop)
    save_snapshot(folder / f"step-{stop:08d}", first, ("task",), {"kind": "checkpoint", "step": stop}, {"step": stop})
    second = tiny_parts(arc1_file, overrides)
    load_state(folder / f"step-{stop:08d}", second)
    run_steps(second, total - stop, start=stop)
    assert_same_state(second, straight)
    return second

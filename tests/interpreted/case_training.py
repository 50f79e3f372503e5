"""A block's memory for the backward, and thirty training steps with kernels against thirty with references."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import torch
from small_step import make_parts, recipe
from torch import Tensor

from hrm_core.model.layers import Block, run_level
from hrm_core.model.positions import rotary_tables
from hrm_core.training.step import StepParts, Sum, train_step
from triton_kernels import launch, runtime

STEPS = 30


def losses(parts: StepParts, steps: int) -> list[float]:
    """Token loss summed over the slots, of each step."""
    found = []
    for _ in range(steps):
        parts.sums.zero_()
        train_step(parts)
        found.append(float(parts.sums[Sum.TOKEN_LOSS]) / parts.num_slots)
    return found


def saved_bytes(tokens: int) -> int:
    """Bytes that autograd keeps for one recorded block at hidden 256, without its weights and tables, in fp16."""
    generator = torch.Generator().manual_seed(1)
    block = Block(256, 4.0, generator).half()
    weights = block.cast(lambda parameter: parameter)
    rotary = tuple(
        table[:tokens] for table in rotary_tables(10, 1, 64, "rope2d", 100.0, torch.float16, torch.device("cpu"))
    )
    state = torch.randn(1, tokens, 256, generator=generator).half().requires_grad_()
    injection = torch.randn(1, tokens, 256, generator=generator).half()
    constant = {tensor.data_ptr() for tensor in (*weights, *rotary)}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if tensor.data_ptr() not in constant:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = run_level((weights,), state, (injection,), (rotary[0], rotary[1]), 4)
    output.float().sum().backward()
    return sum(kept.values())


def test_a_block_keeps_at_most_three_and_a_half_kilobytes_a_token() -> None:
    tokens = 81
    per_token = saved_bytes(tokens) / tokens
    # The state before the block and its output are each kept once more by their neighbours, and counted there.
    assert 3000 < per_token <= 3.5 * 1024 + 512


def test_kernels_run_where_they_are_forced() -> None:
    for op, names in runtime.OPERATIONS.items():
        choice = runtime.choose(op, torch.empty(1), {name: {"D": 256, "E": 64}[name] for name in names})
        assert choice.kernel, (op, choice.reason)


@contextmanager
def large_blocks() -> Iterator[None]:
    """Elementwise launches of a million numbers: their results do not depend on it, the interpreter's time does."""
    with ExitStack() as stack:
        for kernel in ("norm_kernel", "update_kernel"):
            row = launch.launch("fused_update", kernel, runtime.INTERPRETER_ARCH)
            wide = row._replace(blocks={**row.blocks, "BLOCK": 1 << 20})
            stack.enter_context(launch.override("fused_update", kernel, row.arch, wide))
        yield


@pytest.mark.slow
def test_thirty_steps_with_kernels_equal_thirty_with_references() -> None:
    chosen = recipe(model__hidden=128, model__heads=2, training__batch=4, halting__exploration=0.3)
    with runtime.mode("off"):
        expected = losses(make_parts(chosen), STEPS)
    with runtime.mode("force"), large_blocks():
        actual = losses(make_parts(chosen), STEPS)
    assert expected[-1] < expected[0]
    assert max(abs(one - other) for one, other in zip(actual, expected, strict=True)) < 1e-4

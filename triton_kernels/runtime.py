"""Decides, in one place, which implementation of an operation runs, and can say why.

The model never asks. A public function asks `choose(op, x, shape, problem)`: the answer is the kernel or the reference,
with the reason in words. A kernel is the default only on an architecture where the launch table's rows are verified by
a GPU run; `kernels.mode=force` tries it anyway, `off` never does. On a CPU the reference runs, except in Triton's
interpreter with `force` (how the tests check kernels). For attention on a CPU there are two more forms of the
reference, chosen by `attention_path`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from triton_kernels.launch import find, is_verified, table

# From this many tokens on, the scores of a batch leave the last-level cache, and one sample at a time is faster.
BY_SAMPLE_MIN_TOKENS = 256
# With gradient, recomputing the (T, T) probabilities in the backward pays from here on.
BY_SAMPLE_MIN_TOKENS_GRADIENT = 512

MODES = ("auto", "force", "off")
# Operation -> the names in its shape, as its launch table has them.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "recurrent_attention": ("D", "E"),
    "residual_norm": ("D",),
    "swiglu": ("D",),
    "stablemax_loss": ("D",),
    "act_halting": (),
    "lay": (),
    "fused_update": (),
}
# Kernels that a shape may lack: the operation then uses its others.
OPTIONAL = {("swiglu", "whole_mlp")}
INTERPRETER_ARCH = 89
# Capabilities without rows of their own -> rows that fit in their shared memory (163, 99 or 227 KB a block). For
# `kernels.mode=force` only: a row is verified for its own architecture and no other.
RUNS_AS = {80: 87, 86: 89, 100: 90, 103: 90, 120: 89, 121: 89}

_mode = "auto"
_held_attention: str | None = None

AskTable = Callable[[str, int, dict[str, int]], bool]


class Choice(NamedTuple):
    """kernel: run the Triton kernel; reason: why, or why not, in a few words."""

    kernel: bool
    reason: str


def set_mode(mode: str) -> None:
    """Process-wide `kernels.mode`: auto, force or off. ValueError for anything else."""
    global _mode
    if mode not in MODES:
        raise ValueError(f"kernels.mode {mode!r}; allowed are {', '.join(MODES)}")
    _mode = mode


@contextmanager
def mode(name: str) -> Iterator[None]:
    """`set_mode` within a block; the mode before it comes back."""
    before = _mode
    set_mode(name)
    try:
        yield
    finally:
        set_mode(before)


def interpreting() -> bool:
    """Whether Triton's interpreter runs the kernels of this process."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def launches(x: Tensor) -> bool:
    """Whether a kernel can be launched on this tensor's device at all."""
    return x.device.type == "cuda" or (x.device.type == "cpu" and interpreting())


def capability(device: torch.device) -> int:
    """87, 89, 90 ...: the compute capability without its dot; in the interpreter that of the reference laptop."""
    if device.type != "cuda":
        return INTERPRETER_ARCH
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def arch_of(device: torch.device) -> int:
    """Architecture whose launch rows this device uses: its own, or one whose shared memory it has at least."""
    found = capability(device)
    return RUNS_AS.get(found, found)


def constant_when_compiled(function: AskTable) -> AskTable:
    """Marks a question to the launch table, so that torch.compile asks it once and does not trace the reading of files.

    What torch.compiler.assume_constant_result does, without importing the compiler (seconds) at every start.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


@constant_when_compiled
def has_rows(op: str, arch: int, shape: dict[str, int]) -> bool:
    """Whether every kernel that the operation cannot do without can be launched for this shape."""
    needed = [kernel for kernel in table(op) if (op, kernel) not in OPTIONAL]
    return bool(needed) and all(find(op, kernel, arch, **shape) is not None for kernel in needed)


@constant_when_compiled
def verified(op: str, arch: int, shape: dict[str, int]) -> bool:
    """Whether every row of the operation for this shape is verified on exactly this architecture."""
    return is_verified(op, arch, **shape)


def choose(op: str, x: Tensor, shape: dict[str, int], problem: str | None = None) -> Choice:
    """Kernel or reference for tensors like x. `problem`: why this call cannot be the kernel's, or None."""
    if _mode == "off":
        return Choice(False, "kernels.mode=off")
    if x.device.type != "cuda" and not (interpreting() and _mode == "force"):
        return Choice(False, "there is no GPU" if x.device.type == "cpu" else f"no kernels for {x.device.type}")
    if problem:
        return Choice(False, problem)
    if x.device.type == "cuda" and x.device.index != torch.cuda.current_device():
        return Choice(False, f"{x.device} is not the current CUDA device")
    arch = capability(x.device)
    if not has_rows(op, arch_of(x.device), shape):
        return Choice(False, f"no launch row for sm_{arch}, {shape}")
    if _mode == "force":
        return Choice(True, "kernels.mode=force")
    if verified(op, arch, shape):
        return Choice(True, f"verified on sm_{arch}")
    return Choice(False, f"no verified launch row for sm_{arch}, {shape}")


def attention_path(query: Tensor, needs_grad: bool) -> str:
    """ "by_sample", "materialised" or "fused" (torch's scaled_dot_product_attention) for query (B, H, T, head_dim)."""
    if _held_attention is not None:
        return _held_attention
    if query.device.type != "cpu":
        return "fused"
    least = BY_SAMPLE_MIN_TOKENS_GRADIENT if needs_grad else BY_SAMPLE_MIN_TOKENS
    return "by_sample" if query.shape[-2] >= least else "materialised"


@contextmanager
def held_attention(path: str) -> Iterator[None]:
    """Within a block `attention_path` answers `path`: how benchmarks compare the forms of the reference."""
    global _held_attention
    before, _held_attention = _held_attention, path
    try:
        yield
    finally:
        _held_attention = before


def describe(device: str) -> list[tuple[str, str, str]]:
    """(operation, implementation, reason) for `hrm doctor`, at hidden 256 and head dim 64."""
    shape = {"D": 256, "E": 64}
    rows = []
    for op, names in OPERATIONS.items():
        probe = torch.empty(0, device=device)
        choice = choose(op, probe, {name: shape[name] for name in names})
        rows.append((op, "kernel" if choice.kernel else "reference", choice.reason))
    return rows

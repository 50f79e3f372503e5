"""Whether an operation is right, asked before its speed is told.

Benchmarks room: an operation -> `Verdict`. On CUDA the kernel is compared with its reference in float32 at every shape
that will be timed, and with itself bit for bit. On a CPU, where no kernel can be timed, the kernel's quick cases run
in Triton's interpreter and the operation's own tests beside them, in processes of their own; both need the checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from triton_kernels.benchmarking import Specimen, specimens_of

# Relative Frobenius error that bf16 may have against float32.
BF16_ERROR = 1e-2
# Calls that are compared with each other bit for bit.
CALLS = 20
CHECKOUT = Path(__file__).resolve().parents[2]
CHECK_SECONDS = 900


@final
@dataclass(frozen=True)
class Verdict:
    """`words`: what was compared and how it came out."""

    passed: bool
    words: str


def same_bits(first: object, second: object) -> bool:
    """Whether two results, tensors or nests of them, are equal bit for bit (NaN equals NaN)."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        if first.shape != second.shape or first.dtype != second.dtype:
            return False
        left, right = (tensor.detach().reshape(-1).view(torch.uint8) for tensor in (first, second))
        return bool(torch.equal(left, right))
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(same_bits(a, b) for a, b in zip(first, second, strict=True))
    return first is None and second is None


def _copy(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, tuple | list):
        return tuple(_copy(part) for part in value)
    return value


def repeats(specimen: Specimen, again: Specimen, calls: int = CALLS) -> bool:
    """Whether the kernel gives the same bits from the same inputs, call for call: a race may show once in many.

    Two specimens, called in turn: some kernels change their inputs, and then both go the same way.
    """
    first, second = specimen.peers["kernel"], again.peers["kernel"]
    return all(same_bits(_copy(first()), second()) for _ in range(calls))


def check_on_gpu(specimens: Sequence[Specimen], again: Sequence[Specimen]) -> Verdict:
    """Error and repeatability of every kernel among the specimens. `again`: the same, made anew."""
    worst = 0.0
    for specimen, twin in zip(specimens, again, strict=True):
        where = f"{specimen.shape}, {specimen.direction}"
        if specimen.check is None or "kernel" not in specimen.peers:
            return Verdict(False, f"no kernel at {where}")
        if not repeats(specimen, twin):
            return Verdict(False, f"equal calls differ at {where}")
        error = specimen.check()
        # A NaN fails too.
        if not error < BF16_ERROR:
            return Verdict(False, f"error {error:.1e} at {where}, allowed {BF16_ERROR:.0e}")
        worst = max(worst, error)
    if not specimens:
        return Verdict(False, "it has no specimen")
    return Verdict(True, f"error at most {worst:.1e} at {len(specimens)} shapes, {CALLS} calls equal bit for bit")


def _pytest(words: list[str], environment: dict[str, str]) -> str | None:
    """None where the tests passed, else their last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *words]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=CHECK_SECONDS
    )
    if done.returncode == 0:
        return None
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return lines[-1][:160] if lines else f"exit code {done.returncode}"


def interpreter_files(op: str) -> list[Path]:
    """The interpreter cases of an operation and of its parts: files that carry its name or the last word of it."""
    word = op.rpartition("_")[2]
    return sorted((CHECKOUT / "tests/interpreted").glob(f"case_*{word}*.py"))


def check_on_cpu(op: str) -> Verdict:
    """The operation's tests, as the test suite runs them."""
    cases = interpreter_files(op)
    own = CHECKOUT / f"tests/kernels/test_{op}_op.py"
    if not cases or not own.exists():
        what = f"tests/interpreted/case_{op}.py" if not cases else own.relative_to(CHECKOUT)
        return Verdict(False, f"cannot be checked: {what} is not here (it is in the checkout)")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = ["-o", "python_files=case_*.py", "-m", "not slow", "--timeout", str(CHECK_SECONDS), *map(str, cases)]
    failed = _pytest(words, {**environment, "TRITON_INTERPRET": "1"})
    if failed is not None:
        return Verdict(False, f"its cases in the interpreter fail: {failed}")
    environment.pop("TRITON_INTERPRET", None)
    failed = _pytest(["-m", "not slow and not gpu and not bench", str(own)], environment)
    if failed is not None:
        return Verdict(False, f"its tests fail: {failed}")
    return Verdict(True, "its cases in the interpreter and its own tests pass")


def check_operation(op: str, specimens: Sequence[Specimen], device: torch.device, dtype: torch.dtype) -> Verdict:
    """By device."""
    if device.type != "cuda":
        return check_on_cpu(op)
    return check_on_gpu(specimens, specimens_of(op, device, dtype) or [])

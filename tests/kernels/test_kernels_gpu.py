"""Every kernel on a real GPU, in bf16: against its reference in float32, and against itself bit for bit.

The specimens are those of the benchmarks: what is timed is what is checked. Needs a CUDA device; `-m gpu` runs it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from hrm_core.benchmarks.checks import BF16_ERROR, repeats
from triton_kernels import runtime
from triton_kernels.benchmarking import Specimen, specimens_of
from triton_kernels.runtime import OPERATIONS

# Peers that are compiled import parts of torch that warn of their own age.
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")]


@pytest.fixture
def cuda() -> Iterator[torch.device]:
    """The device, with kernels forced: a launch row need not be verified to be checked."""
    assert torch.cuda.is_available(), "this test needs a CUDA device; none can be reached (see `hrm doctor`)"
    with runtime.mode("force"):
        yield torch.device("cuda")


def with_kernel(op: str, device: torch.device) -> list[Specimen]:
    specimens = specimens_of(op, device, torch.bfloat16)
    assert specimens, f"{op} has no benchmark.py, or no specimen in it"
    for specimen in specimens:
        assert "kernel" in specimen.peers, f"{op}: no kernel at {specimen.shape}, {specimen.direction}"
    return specimens


@pytest.mark.parametrize("op", OPERATIONS)
def test_the_error_in_bf16_is_small(op: str, cuda: torch.device) -> None:
    for specimen in with_kernel(op, cuda):
        assert specimen.check is not None
        assert specimen.check() < BF16_ERROR, f"{specimen.shape}, {specimen.direction}"


@pytest.mark.parametrize("op", OPERATIONS)
def test_two_calls_give_the_same_bits(op: str, cuda: torch.device) -> None:
    for specimen, again in zip(with_kernel(op, cuda), with_kernel(op, cuda), strict=True):
        assert repeats(specimen, again), f"{specimen.shape}, {specimen.direction}"

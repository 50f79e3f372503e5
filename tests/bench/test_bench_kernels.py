"""Speed of every operation and its peers, in a table for each operation, shape and direction: `pytest -m bench`.

pytest-benchmark measures and prints: the kernel (on CUDA), the reference and the other peers of a specimen are one
group. On CUDA a round is a replay of ten captured calls, waited for; on a CPU it is a call. Whether an operation is
right is not asked here: `hrm bench kernels` does, and refuses to time what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch

from triton_kernels import runtime
from triton_kernels.benchmarking import Specimen, specimens_of
from triton_kernels.runtime import OPERATIONS

CALLS_IN_A_REPLAY = 10

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(600),
    # Peers that are compiled import parts of torch that warn of their own age.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]


@lru_cache(maxsize=1)
def specimens(op: str) -> list[Specimen]:
    """Of one operation: on CUDA in bf16 where there is one, else on the CPU in the dtype that is fast on it."""
    if torch.cuda.is_available():
        found = specimens_of(op, torch.device("cuda"), torch.bfloat16)
    else:
        fast = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
        found = specimens_of(op, torch.device("cpu"), fast)
    assert found, f"{op} has no benchmark.py, or no specimen in it"
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Peers are known only once the tensors are there: they are made where benchmarks were asked for."""
    expression = metafunc.config.getoption("markexpr")
    wanted = "bench" in expression and "not bench" not in expression
    places = [
        pytest.param(op, number, peer, id=f"{op}-{number}-{peer}")
        for op in (OPERATIONS if wanted else ())
        for number, specimen in enumerate(specimens(op))
        for peer in specimen.peers
    ]
    metafunc.parametrize(("op", "number", "peer"), places)


def captured(call: Callable[[], object]) -> Callable[[], object]:
    """Ten calls in one graph, and waiting for them."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS_IN_A_REPLAY):
            call()

    def replay() -> None:
        graph.replay()
        torch.cuda.synchronize()

    return replay


@pytest.mark.benchmark(max_time=0.3, min_rounds=5, warmup=True, warmup_iterations=1)
def test_speed(op: str, number: int, peer: str, benchmark: Any) -> None:
    specimen = specimens(op)[number]
    cuda = torch.cuda.is_available()
    benchmark.group = f"{op}, {specimen.shape}, {specimen.direction}" + (f", x {CALLS_IN_A_REPLAY}" if cuda else "")
    benchmark.name = peer
    benchmark.extra_info.update(flops=specimen.flops, bytes=specimen.bytes)
    with runtime.mode("force"):
        call = specimen.peers[peer]
        benchmark(captured(call) if cuda else call)

"""What an operation hands to the benchmarks, the tuner and the GPU checks; timing by medians.

An operation's `benchmark.py` has `specimens(device, dtype)`: for each shape, the kernel and its peers as closures over
the same tensors, with the FLOPs and bytes of one call. Nothing here knows an operation.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import torch


@final
@dataclass(frozen=True)
class Specimen:
    """One operation at one shape.

    peers: name -> closure without arguments; "kernel" (where one can be launched), "reference", and others such as
    "compile", "sdpa flash". check: relative Frobenius error of the kernel against the reference in float32, None
    where there is no kernel. flops, bytes: of one call, least possible traffic.
    """

    op: str
    shape: str
    direction: str
    flops: float
    bytes: float
    peers: dict[str, Callable[[], object]] = field(repr=False)
    check: Callable[[], float] | None = field(default=None, repr=False)


@final
@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: median and 20th and 80th percentile over `calls`."""

    median_ms: float
    low_ms: float
    high_ms: float
    calls: int


def specimens_of(op: str, device: torch.device, dtype: torch.dtype) -> list[Specimen] | None:
    """`specimens` of the operation's `benchmark.py`; None where there is no such file."""
    name = f"triton_kernels.{op}.benchmark"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        return None
    specimens: list[Specimen] = module.specimens(device, dtype)
    return specimens


def percentiles(milliseconds: list[float]) -> Timing:
    """Median, 20 % and 80 % of at least two timings."""
    fifths = statistics.quantiles(milliseconds, n=5)
    return Timing(statistics.median(milliseconds), fifths[0], fifths[3], len(milliseconds))


def time_cpu(call: Callable[[], object], seconds: float = 0.5, least: int = 5) -> Timing:
    """Wall time of single calls, after one warm-up."""
    call()
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < least or time.perf_counter() - begin < seconds:
        started = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - started))
    return percentiles(taken)


def time_cuda(call: Callable[[], object], seconds: float = 0.2) -> Timing:
    """GPU time of calls replayed from a captured graph, so that launch costs are left out; ten calls a replay."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(10):
            call()
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < 5 or time.perf_counter() - begin < seconds:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        taken.append(start.elapsed_time(end) / 10)
    return percentiles(taken)

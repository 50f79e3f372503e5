"""What is being measured on: device, versions, date, commit, and its peaks as measured in the same minute.

Benchmarks room: a torch device -> `Machine` and `Peaks`. A peak is what a large matrix product and a large copy reach
here and now, not a figure from a data sheet. What the NVIDIA driver says comes from `nvidia-smi`.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, final

import torch

from hrm_core.errors import UserError
from hrm_core.training.session import commit, versions
from hrm_core.training.setup import cpu_name
from triton_kernels.benchmarking import time_cpu, time_cuda

# Fields of `nvidia-smi --query-gpu`: what a speed depends on, and whether something else was running.
SMI_FIELDS = (
    "name,driver_version,memory.total,memory.used,utilization.gpu,power.limit,power.draw,temperature.gpu,"
    "clocks.sm,clocks.max.sm,clocks.mem,clocks_throttle_reasons.active,compute_mode,ecc.mode.current,persistence_mode"
)


@final
@dataclass(frozen=True)
class Peaks:
    """Measured: FLOP/s of a matrix product in this dtype, bytes/s (read and written) of a copy."""

    flops: float
    bytes: float
    dtype: str

    def least_ms(self, flops: float, num_bytes: float) -> float:
        """The time under the roofline: no call with this work can be faster."""
        return 1e3 * max(flops / self.flops, num_bytes / self.bytes)


@final
@dataclass(frozen=True)
class Machine:
    """Goes above every table of speeds. `load`: processes that wanted a CPU in the last minute, ours among them."""

    device: str
    kind: str
    arch: int | None
    threads: int
    versions: dict[str, str | None]
    commit: str | None
    date: str
    load: float = 0.0

    @property
    def slug(self) -> str:
        """The device's name as part of a file name."""
        name = re.sub(r"\(.*?\)", "", self.device)
        return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "device"

    def line(self) -> str:
        """One line of text."""
        threads = f", {self.threads} threads" if self.kind == "cpu" else f", sm_{self.arch}"
        said = self.versions
        return (
            f"{self.device}{threads}; Python {said['python']}, torch {said['torch']}, triton {said['triton']}; "
            f"{self.date}; commit {(self.commit or 'unknown')[:12]}{'+' if (self.commit or '').endswith('+') else ''}"
        )


def this_machine(device: torch.device) -> Machine:
    """Of the process that asks."""
    cuda = device.type == "cuda"
    capability = torch.cuda.get_device_capability(device) if cuda else None
    return Machine(
        device=torch.cuda.get_device_name(device) if cuda else cpu_name(),
        kind=device.type,
        arch=10 * capability[0] + capability[1] if capability else None,
        threads=torch.get_num_threads(),
        versions=versions(),
        commit=commit(),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        load=os.getloadavg()[0],
    )


def require_gpu(command: str, instead: str) -> torch.device:
    """The CUDA device; UserError (exit 1) with the remedy where there is none."""
    if not torch.cuda.is_available():
        raise UserError(f"{command}: no CUDA device can be reached here (see `hrm doctor`); {instead}", 1)
    return torch.device("cuda")


def measure_peaks(device: torch.device, dtype: torch.dtype) -> Peaks:
    """A square matrix product and a copy that is far larger than any cache."""
    cuda = device.type == "cuda"
    side, elements = (8192, 2**28) if cuda else (1024, 2**25)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    source = torch.zeros(elements, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    time_call = time_cuda if cuda else time_cpu
    with torch.no_grad():
        product = time_call(lambda: torch.mm(left, right, out=out))
        copied = time_call(lambda: target.copy_(source))
    return Peaks(
        flops=2 * side**3 / (1e-3 * product.median_ms),
        bytes=2 * 4 * elements / (1e-3 * copied.median_ms),
        dtype=str(dtype).removeprefix("torch."),
    )


def driver_report() -> dict[str, str]:
    """What `nvidia-smi` says of the first GPU; its complaint under "error" where it does not work or is not there."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {"error": "nvidia-smi is not on PATH"}
    command = [tool, f"--query-gpu={SMI_FIELDS}", "--format=csv", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return {"error": str(error)[:200]}
    rows = list(csv.reader(io.StringIO(done.stdout), skipinitialspace=True))
    if done.returncode != 0 or len(rows) < 2:
        return {"error": (done.stdout + done.stderr).strip()[:200]}
    return dict(zip(rows[0], rows[1], strict=False))


def device_report(device: torch.device) -> dict[str, Any]:
    """Everything about the device in one JSON object, measured peaks included."""
    properties = torch.cuda.get_device_properties(device)
    return {
        "machine": {**asdict(this_machine(device)), "slug": this_machine(device).slug},
        "driver": driver_report(),
        "properties": {
            "multiprocessors": properties.multi_processor_count,
            "memory_gib": properties.total_memory / 2**30,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        },
        "peaks": asdict(measure_peaks(device, torch.bfloat16)),
    }

"""Memory, power and temperature of the device, each None where it cannot be read.

Training room. NVML through nvidia-ml-py for GPUs (a laptop may answer "not supported" to any single question), psutil
for the process on a CPU. Reading never raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import psutil
import torch

GIB = 1024**3


def _optional(read: Callable[[], float]) -> float | None:
    try:
        return read()
    except Exception:  # NVML raises its own errors for each unsupported question; none may end a run
        return None


@final
class Telemetry:
    """Reads the device that a run computes on."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.process = psutil.Process()
        self.nvml: Any = None
        self.handle: Any = None
        if device.type == "cuda":
            try:
                import pynvml

                pynvml.nvmlInit()
                self.nvml = pynvml
                self.handle = pynvml.nvmlDeviceGetHandleByIndex(torch.cuda.current_device())
            except Exception:  # no driver library, no permission: the run goes on without these columns
                self.nvml = None

    def read(self) -> dict[str, float | None]:
        """memory_gib (peak allocated on CUDA, resident on CPU), power_w, temperature_c."""
        if self.device.type != "cuda":
            return {"memory_gib": self.process.memory_info().rss / GIB, "power_w": None, "temperature_c": None}
        memory = torch.cuda.max_memory_allocated() / GIB
        if self.nvml is None:
            return {"memory_gib": memory, "power_w": None, "temperature_c": None}
        nvml, handle = self.nvml, self.handle
        return {
            "memory_gib": memory,
            "power_w": _optional(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
            "temperature_c": _optional(lambda: float(nvml.nvmlDeviceGetTemperature(handle, 0))),
        }

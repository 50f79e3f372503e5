"""Memory, power, temperature, clock and throttling of the device, each None where it cannot be read.

Training room. NVML through nvidia-ml-py for GPUs (a laptop may answer "not supported" to any single question), psutil
for the process on a CPU. Reading never raises. Asked at the rows of the training log only: four questions a row, and
the power cap once a minute. What throttling means is in `hrm_core.runs.throttling`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, final

import psutil
import torch

from hrm_core.runs.device import clock_of, or_none, power_cap_of, throttle_of
from hrm_core.runs.throttling import ThrottleWindow

GIB = 1024**3
CAP_EVERY_S = 60.0


@final
class GpuTelemetry:
    """What NVML says of one GPU, and what it said in the last minutes. `nvml` is the module pynvml, or None."""

    def __init__(self, nvml: Any, handle: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self.nvml = nvml
        self.handle = handle
        self._clock = clock
        self._window = ThrottleWindow()
        self._throttle: tuple[str, ...] | None = None
        self._cap_w: float | None = None
        self._cap_at: float | None = None

    def read(self) -> dict[str, float | None]:
        """power_w, temperature_c, clock_mhz; also looks at the throttle reasons."""
        nvml, handle, now = self.nvml, self.handle, self._clock()
        if nvml is None:
            return {"power_w": None, "temperature_c": None, "clock_mhz": None}
        self._throttle = or_none(lambda: throttle_of(nvml, handle))
        if self._throttle is not None:
            self._window.add(now, self._throttle)
        if self._cap_at is None or now - self._cap_at >= CAP_EVERY_S:
            self._cap_at, self._cap_w = now, or_none(lambda: power_cap_of(nvml, handle))
        return {
            "power_w": or_none(lambda: float(nvml.nvmlDeviceGetPowerUsage(handle)) / 1000),
            "temperature_c": or_none(lambda: float(nvml.nvmlDeviceGetTemperature(handle, 0))),
            "clock_mhz": or_none(lambda: clock_of(nvml, handle)),
        }

    def status(self) -> dict[str, Any]:
        """For status.json: the reasons seen last, the cap, and how much of the last minutes heat or power slowed it."""
        return {
            "throttle": None if self._throttle is None else list(self._throttle),
            "throttled_share": self._window.share,
            "throttled_s": self._window.span_s,
            "power_cap_w": self._cap_w,
        }


def handle_of(nvml: Any, uuid: str, index: int) -> Any:
    """NVML's handle of the GPU that torch computes on: by its UUID, as CUDA_VISIBLE_DEVICES may have renumbered it.

    NVML wants bytes in some versions of its module and text in others. Raises NVML's errors.
    """
    for name in (f"GPU-{uuid}", f"GPU-{uuid}".encode("ascii")):
        try:
            return nvml.nvmlDeviceGetHandleByUUID(name)
        except Exception:  # not known by this name: MIG, an older driver, WSL
            continue
    return nvml.nvmlDeviceGetHandleByIndex(index)


@final
class Telemetry:
    """Reads the device that a run computes on."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.process = psutil.Process()
        self.gpu = GpuTelemetry(None, None)
        if device.type == "cuda":
            try:
                import pynvml

                pynvml.nvmlInit()
                index = torch.cuda.current_device()
                uuid = str(getattr(torch.cuda.get_device_properties(index), "uuid", ""))
                self.gpu = GpuTelemetry(pynvml, handle_of(pynvml, uuid, index))
            except Exception:  # no driver library, no permission: the run goes on without these columns
                self.gpu = GpuTelemetry(None, None)

    def read(self) -> dict[str, float | None]:
        """memory_gib (peak allocated on CUDA, resident on CPU), power_w, temperature_c, clock_mhz."""
        if self.device.type != "cuda":
            return {"memory_gib": self.process.memory_info().rss / GIB, **self.gpu.read()}
        return {"memory_gib": torch.cuda.max_memory_allocated() / GIB, **self.gpu.read()}

    def status(self) -> dict[str, Any]:
        """The part of status.json that is no column of the log."""
        return self.gpu.status()

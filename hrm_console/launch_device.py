"""Whether this machine has an NVIDIA GPU, told from its driver's file, so that no library is loaded to ask."""

from __future__ import annotations

from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/version")


def has_gpu() -> bool:
    """True where the driver is loaded. Called in a thread."""
    return DRIVER.exists()

"""What the launch form knows of this machine, told from the kernel's files, so that no library is loaded to ask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

DRIVER = Path("/proc/driver/nvidia/version")
MEMORY = Path("/proc/meminfo")
PROCESSOR = Path("/proc/cpuinfo")


@final
@dataclass(frozen=True)
class Machine:
    """has_gpu: an NVIDIA driver is loaded; memory_gib: of the machine, None where it is not told; fast_bf16: the
    processor computes in bf16, which runs on the CPU then do."""

    has_gpu: bool
    memory_gib: float | None
    fast_bf16: bool


def has_gpu() -> bool:
    """True where the driver is loaded. Called in a thread."""
    return DRIVER.exists()


def this_machine() -> Machine:
    """Called in a thread."""
    return Machine(has_gpu(), memory_gib(_text(MEMORY)), "avx512_bf16" in _text(PROCESSOR))


def memory_gib(meminfo: str) -> float | None:
    """/proc/meminfo -> GiB of the machine."""
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if name == "MemTotal" and len(words) == 2 and words[0].isdigit():
            return int(words[0]) / 2**20
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""What the launch form knows of this machine, told from the kernel's files, so that no library is loaded to ask."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

DRIVER = Path("/proc/driver/nvidia/version")
MEMORY = Path("/proc/meminfo")
PROCESSOR = Path("/proc/cpuinfo")
GPUS = Path("/proc/driver/nvidia/gpus")


@final
@dataclass(frozen=True)
class Machine:
    """has_gpu: an NVIDIA driver is loaded; memory_gib: of the machine, None where it is not told; fast_bf16: the
    processor computes in bf16, which runs on the CPU then do; host, processor ("family 25 model 17") and gpus: what a
    run that was trained here says of its machine."""

    has_gpu: bool
    memory_gib: float | None
    fast_bf16: bool
    host: str = ""
    processor: str = ""
    gpus: tuple[str, ...] = ()


def has_gpu() -> bool:
    """True where the driver is loaded. Called in a thread."""
    return DRIVER.exists()


def this_machine() -> Machine:
    """Called in a thread."""
    processor = _text(PROCESSOR)
    return Machine(
        has_gpu(),
        memory_gib(_text(MEMORY)),
        "avx512_bf16" in processor,
        socket.gethostname(),
        processor_of(processor),
        tuple(sorted({_model(_text(path / "information")) for path in GPUS.glob("*")} - {""})),
    )


def is_here(run_json: Mapping[str, Any], machine: Machine) -> bool:
    """Whether a run was trained on this machine, as far as host and device tell."""
    process, device = run_json.get("process"), str(run_json.get("device") or "")
    host = process.get("host") if isinstance(process, dict) else None
    if not machine.host or host != machine.host:
        return False
    if run_json.get("device_kind") == "cuda":
        return device in machine.gpus
    return bool(machine.processor) and machine.processor in device


def processor_of(cpuinfo: str) -> str:
    """/proc/cpuinfo -> "family 25 model 17" as runs write it, nothing where it is not told."""
    found: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return f"family {found['cpu family']} model {found['model']}" if {"cpu family", "model"} <= set(found) else ""


def _model(information: str) -> str:
    lines = [line.partition(":") for line in information.splitlines()]
    return next((value.strip() for name, _, value in lines if name.strip() == "Model"), "")


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

"""Room `runs`: the devices of this machine as places for one run each, and whether it should start one now.

NVML, `CUDA_VISIBLE_DEVICES`, power supplies -> `Device`s with their heat; battery or mains. A device is claimed by a
record that names the process at work on it (pid, start ticks, boot id), so a claim outlives the worker that made it,
holds over all runs folders of a user, and ends by itself with its process. Free of torch; without NVML, or with a torch
that was built for CPUs, the machine is one place called CPU. Locks of trainers are in `locks.py`, what a device is
doing is in `device.py`.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, final

from hrm_core.runs.atomic import write_json
from hrm_core.runs.device import POWER_SUPPLY, or_none, read_battery
from hrm_core.runs.files import Row, mapping, read_json_object
from hrm_core.runs.launch import is_alive
from hrm_core.runs.layout import data_home
from hrm_core.runs.locks import device_lock, lock_holder, short_lock
from hrm_core.runs.records import utc_now

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


@final
@dataclass(frozen=True)
class Device:
    """A place for one run. `name` is a GPU's UUID, or `cpu`; `temperature_c` is None where it is not told."""

    name: str
    label: str
    temperature_c: float | None = None

    @property
    def is_gpu(self) -> bool:
        """Whether a run has to be told of it."""
        return self.name != CPU.name


CPU: Final = Device("cpu", "CPU")


def environment_of(devices: Sequence[Device]) -> dict[str, str]:
    """What makes a child see these devices and no others."""
    gpus = [device.name for device in devices if device.is_gpu]
    return {VISIBLE: ",".join(gpus)} if gpus else {}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _nvml_devices() -> list[Device]:
    """Every GPU that the driver names, in its order; none without driver or library."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no library, no driver, no permission
        return []
    try:
        count = or_none(pynvml.nvmlDeviceGetCount) or 0
        return [found for index in range(count) if (found := _nvml_device(pynvml, index)) is not None]
    finally:
        or_none(pynvml.nvmlShutdown)


def _nvml_device(nvml: Any, index: int) -> Device | None:
    handle = or_none(lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    uuid = None if handle is None else or_none(lambda: nvml.nvmlDeviceGetUUID(handle))
    if uuid is None:
        return None
    name = or_none(lambda: nvml.nvmlDeviceGetName(handle))
    heat = or_none(lambda: float(nvml.nvmlDeviceGetTemperature(handle, 0)))
    return Device(_text(uuid), f"GPU {index}" + (f" ({_text(name)})" if name else ""), heat)


def _torch_has_no_cuda() -> bool:
    try:
        return metadata.version("torch").endswith("+cpu")
    except metadata.PackageNotFoundError:
        return False


def visible(devices: list[Device], wanted: str | None) -> list[Device]:
    """Those that `CUDA_VISIBLE_DEVICES` leaves, in its order: numbers, beginnings of UUIDs, parts of a GPU (MIG)."""
    if wanted is None:
        return devices
    found = []
    for word in (part.strip() for part in wanted.split(",")):
        if word.startswith("MIG-"):
            found.append(Device(word, word[:12]))
            continue
        if word.isdigit():
            match = devices[int(word) : int(word) + 1]
        else:
            match = [device for device in devices if word and device.name.startswith(word)][:1]
        if not match:
            break  # as CUDA does: what stands behind a wrong word is not seen
        found += match
    return found


def devices_here(environment: Mapping[str, str] = os.environ) -> tuple[Device, ...]:
    """The places of this machine: its GPUs, or the CPU where there is none that torch could use."""
    gpus = [] if _torch_has_no_cuda() else visible(_nvml_devices(), environment.get(VISIBLE))
    return tuple(gpus) or (CPU,)


def claims_folder() -> Path:
    """Where claims are kept: beside the runs' default folder, for all runs folders of this user."""
    return data_home() / "devices"


def _record(device: Device, folder: Path) -> Path:
    # Homes are shared between machines: "cpu" alone would be everybody's.
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", f"{platform.node()}-{device.name}")[:120]
    return folder / f"{safe}.json"


def occupant(device: Device, folder: Path | None = None) -> Row | None:
    """Who is at work on a device: the record of a claim whose process lives, or the pid of a trainer without one."""
    row = read_json_object(_record(device, folder or claims_folder()))
    if row is not None and is_alive(mapping(row, "process")):
        return row
    pid = lock_holder(device_lock(device.name).path) if device.is_gpu else None
    return None if pid is None else {"process": {"pid": pid}, "runs": "", "run": ""}


def claim(device: Device, process: Row, about: Mapping[str, Any], folder: Path | None = None) -> bool:
    """Claims a device for a process until that ends; False if another is at work on it. UserError, OSError: no disk.

    The same call with another process hands the claim over, if `about` (the runs folder and the run) is the same.
    """
    place = folder or claims_folder()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with short_lock(place / "claims.lock", "the list of devices"):
        there = occupant(device, place)
        if there is not None and any(there.get(key) != value for key, value in about.items()):
            return False
        write_json(_record(device, place), {"process": process, "time_utc": utc_now(), **about})
    return True


def claim_all(devices: Sequence[Device], process: Row, about: Mapping[str, Any], folder: Path | None = None) -> bool:
    """Claims each of them, as `claim`; none if one of them is another's by now."""
    for place, device in enumerate(devices):
        if not claim(device, process, about, folder):
            release_all(devices[:place], about, folder)
            return False
    return True


def release_all(devices: Sequence[Device], about: Mapping[str, Any], folder: Path | None = None) -> None:
    """Gives claims back, those that are still these."""
    for device in devices:
        release(device, about, folder)


def release(device: Device, about: Mapping[str, Any], folder: Path | None = None) -> None:
    """Gives a claim back, if it is still this one."""
    place = folder or claims_folder()
    with short_lock(place / "claims.lock", "the list of devices"):
        row = read_json_object(_record(device, place)) or {}
        if all(row.get(key) == value for key, value in about.items()):
            _record(device, place).unlink(missing_ok=True)


def on_battery(folder: Path = POWER_SUPPLY) -> bool:
    """Whether the machine runs on a battery of its own; unknown is mains."""
    battery = read_battery(folder)
    return battery is not None and battery.on_battery

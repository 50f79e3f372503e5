"""Room `runs`: what GPUs and host do at this moment, free of torch.

NVML (nvidia-ml-py), psutil, /sys and the locks of the runs -> `Reading`. Each value is None where it cannot be had:
a laptop's GPU answers "not supported" to some questions, WSL to more, and a machine without a driver has no GPU at all,
which `trouble` says. Nothing raises. What holds a GPU is known by process; which of our runs that is, by the pid that
holds the run's lock. Names come from other processes: clean them before a terminal sees them.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, final

from hrm_core.runs.catalogue import is_run
from hrm_core.runs.locks import holder
from hrm_core.runs.text import clean
from hrm_core.runs.throttling import throttle_words

POWER_SUPPLY: Final = Path("/sys/class/power_supply")
NAME_LENGTH: Final = 60
NO_DRIVER: Final = "no NVIDIA driver answers on this machine"
Value = TypeVar("Value")


@final
@dataclass(frozen=True)
class Holder:
    """A process that has memory on a GPU. `run` names the run of ours that it trains, else empty; bytes."""

    pid: int
    name: str
    memory: int | None
    run: str = ""


@final
@dataclass(frozen=True)
class Gpu:
    """One GPU. Bytes, watts, degrees Celsius, MHz; `utilisation` is a share. `holders` None: nobody may know."""

    index: int
    name: str
    uuid: str
    memory_used: int | None
    memory_total: int | None
    utilisation: float | None
    power_w: float | None
    power_cap_w: float | None
    temperature_c: float | None
    clock_mhz: float | None
    clock_max_mhz: float | None
    throttle: tuple[str, ...] | None
    holders: tuple[Holder, ...] | None


@final
@dataclass(frozen=True)
class Disk:
    """The file system that a folder is on, or will be: bytes."""

    what: str
    folder: str
    free: int
    total: int


@final
@dataclass(frozen=True)
class Battery:
    """Whether the machine lives on its battery, and how full that is (a share; None where it is not said)."""

    on_battery: bool
    charge: float | None


@final
@dataclass(frozen=True)
class Host:
    """CPU (shares of all cores since the last reading, load of the last minute), memory and swap in bytes."""

    cores: int
    cpu: float | None
    load: float | None
    memory_used: int | None
    memory_total: int | None
    swap_used: int | None
    swap_total: int | None
    disks: tuple[Disk, ...]
    battery: Battery | None


@final
@dataclass(frozen=True)
class Reading:
    """Everything at one moment. `trouble` says why there is no GPU, where there is none."""

    gpus: tuple[Gpu, ...]
    trouble: str
    host: Host

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def or_none(ask: Callable[[], Value]) -> Value | None:
    """An answer of NVML or psutil, None where it cannot be had. Never raises."""
    try:
        return ask()
    except Exception:  # NVML and psutil raise errors of their own for each question that is not supported here
        return None


@final
class DeviceReader:
    """Reads again and again; keeps the driver's library open. `nvml` is a module like pynvml, for tests."""

    def __init__(self, nvml: Any = None) -> None:
        self._nvml: Any = None
        self._trouble = ""
        try:
            found = importlib.import_module("pynvml") if nvml is None else nvml
            found.nvmlInit()
            self._nvml = found
        except ImportError:
            self._trouble = "the package nvidia-ml-py is not installed, so no GPU can be asked"
        except Exception as error:  # NVML's own errors: no library, no driver, no permission
            self._trouble = f"{NO_DRIVER} ({clean(error)[:80]})"
        or_none(lambda: _psutil().cpu_percent(None))  # the first answer has nothing to compare with

    def read(self, folders: Iterable[tuple[str, Path]] = (), runs: Mapping[int, str] | None = None) -> Reading:
        """What is now. `folders`: (what, folder) whose disk is looked at; `runs`: pid -> run (see `run_pids`)."""
        gpus = self._gpus(runs or {})
        trouble = self._trouble or ("" if gpus else "the NVIDIA driver knows no GPU")
        return Reading(gpus, trouble, read_host(folders))

    def _gpus(self, runs: Mapping[int, str]) -> tuple[Gpu, ...]:
        nvml = self._nvml
        count = 0 if nvml is None else or_none(lambda: int(nvml.nvmlDeviceGetCount())) or 0
        handles = [(index, or_none(lambda at=index: nvml.nvmlDeviceGetHandleByIndex(at))) for index in range(count)]  # type: ignore[misc]
        return tuple(_gpu(nvml, index, handle, runs) for index, handle in handles if handle is not None)


def _psutil() -> Any:
    return importlib.import_module("psutil")


def _text(value: object) -> str:
    """Older drivers' names come as bytes."""
    return clean(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))[:NAME_LENGTH]


def throttle_of(nvml: Any, handle: Any) -> tuple[str, ...] | None:
    """Why the clocks of a GPU are below their most, in words; None where it does not say. May raise NVML's errors."""
    ask = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    try:
        bits = None if ask is None else int(ask(handle))
    except Exception:  # a driver from before the name was changed knows only the old one
        bits = None
    if bits is None:
        bits = int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
    return throttle_words(bits)


def power_cap_of(nvml: Any, handle: Any) -> float:
    """The cap in force in watts. Raises NVML's errors."""
    return float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000


def clock_of(nvml: Any, handle: Any) -> float:
    """The clock of the multiprocessors in MHz. Raises NVML's errors."""
    return float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))


def _gpu(nvml: Any, index: int, handle: Any, runs: Mapping[int, str]) -> Gpu:
    memory = or_none(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    return Gpu(
        index=index,
        name=or_none(lambda: _text(nvml.nvmlDeviceGetName(handle))) or f"GPU {index}",
        uuid=or_none(lambda: _text(nvml.nvmlDeviceGetUUID(handle))) or "",
        memory_used=or_none(lambda: int(memory.used)),  # type: ignore[union-attr]
        memory_total=or_none(lambda: int(memory.total)),  # type: ignore[union-attr]
        utilisation=or_none(lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100),
        power_w=or_none(lambda: float(nvml.nvmlDeviceGetPowerUsage(handle)) / 1000),
        power_cap_w=or_none(lambda: power_cap_of(nvml, handle)),
        temperature_c=or_none(lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
        clock_mhz=or_none(lambda: clock_of(nvml, handle)),
        clock_max_mhz=or_none(lambda: float(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM))),
        throttle=or_none(lambda: throttle_of(nvml, handle)),
        holders=_holders(nvml, handle, runs),
    )


def _holders(nvml: Any, handle: Any, runs: Mapping[int, str]) -> tuple[Holder, ...] | None:
    """Processes with memory on the GPU, those with most of it first."""
    asked = [
        or_none(lambda: list(nvml.nvmlDeviceGetComputeRunningProcesses(handle))),
        or_none(lambda: list(nvml.nvmlDeviceGetGraphicsRunningProcesses(handle))),
    ]
    if all(answer is None for answer in asked):
        return None
    found: dict[int, int | None] = {}
    for process in (process for answer in asked for process in answer or ()):
        pid, memory = or_none(lambda: int(process.pid)), or_none(lambda: int(process.usedGpuMemory))  # noqa: B023
        if pid is not None:
            found[pid] = max(memory or 0, found.get(pid) or 0) or None
    holders = [Holder(pid, process_name(pid), memory, runs.get(pid, "")) for pid, memory in found.items()]
    return tuple(sorted(holders, key=lambda held: (-(held.memory or 0), held.pid)))


def process_name(pid: int) -> str:
    """The name of a process, cleaned; "?" for one that is gone or out of sight."""
    return or_none(lambda: _text(_psutil().Process(pid).name())) or "?"


def run_pids(runs_dir: Path) -> dict[int, str]:
    """pid -> run, for every run of a folder that a process of this host holds."""
    try:
        folders = [folder for folder in runs_dir.iterdir() if is_run(folder)]
    except OSError:
        return {}
    found = {holder(folder): folder.name for folder in folders}
    return {pid: name for pid, name in found.items() if pid}


def read_host(folders: Iterable[tuple[str, Path]] = ()) -> Host:
    """CPU, memory, disks and battery of this machine."""
    memory, swap = or_none(lambda: _psutil().virtual_memory()), or_none(lambda: _psutil().swap_memory())
    return Host(
        cores=or_none(lambda: int(_psutil().cpu_count())) or 1,
        cpu=or_none(lambda: float(_psutil().cpu_percent(None)) / 100),
        load=or_none(lambda: float(_psutil().getloadavg()[0])),
        memory_used=or_none(lambda: int(memory.total - memory.available)),  # type: ignore[union-attr]
        memory_total=or_none(lambda: int(memory.total)),  # type: ignore[union-attr]
        swap_used=or_none(lambda: int(swap.used)),  # type: ignore[union-attr]
        swap_total=or_none(lambda: int(swap.total)),  # type: ignore[union-attr]
        disks=tuple(disk for what, folder in folders if (disk := read_disk(what, folder)) is not None),
        battery=read_battery(),
    )


def read_disk(what: str, folder: Path) -> Disk | None:
    """The disk of a folder, or of its nearest parent that exists."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    usage = or_none(lambda: shutil.disk_usage(place))
    return None if usage is None else Disk(what, str(folder), usage.free, usage.total)


def read_battery(supplies: Path = POWER_SUPPLY) -> Battery | None:
    """The machine's battery; None where it has none. A mouse's or a tablet pen's (`scope` "Device") does not count."""

    def said(folder: Path, name: str) -> str:
        return or_none(lambda: (folder / name).read_text(encoding="ascii", errors="replace").strip()[:40]) or ""

    folders = or_none(lambda: sorted(supplies.iterdir())) or []
    batteries = [
        folder for folder in folders if said(folder, "type") == "Battery" and said(folder, "scope") != "Device"
    ]
    if not batteries:
        return None
    mains = [said(folder, "online") for folder in folders if said(folder, "type") in ("Mains", "USB")]
    on_battery = any(said(folder, "status") == "Discharging" for folder in batteries) and "1" not in mains
    charges = [float(text) / 100 for folder in batteries if (text := said(folder, "capacity")).isdigit()]
    return Battery(on_battery, sum(charges) / len(charges) if charges else None)


def hold_reason(reading: Reading, hold_on_battery: bool, hold_above_c: float) -> str:
    """Why the queue starts nothing now, by its two settings (0 degrees: never for heat); empty if it may.

    As the queue's worker decides it: one GPU that is cool enough, or does not say, is enough.
    """
    battery = reading.host.battery
    if hold_on_battery and battery is not None and battery.on_battery:
        left = "" if battery.charge is None else f" ({100 * battery.charge:.0f} % left)"
        return f"the machine is on battery{left}"
    coolest = min((gpu.temperature_c or 0.0 for gpu in reading.gpus), default=0.0)
    if hold_above_c > 0 and coolest > hold_above_c:
        return f"the GPU is at {coolest:.0f} °C, above the {hold_above_c:.0f} °C of the setting"
    return ""

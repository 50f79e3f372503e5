"""Device readings against a made-up NVML and a made-up /sys: what is told, and what no refusal may end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import pytest

from hrm_core.runs.device import (
    Battery,
    DeviceReader,
    Gpu,
    Host,
    Reading,
    hold_reason,
    process_name,
    read_battery,
    read_disk,
    run_pids,
)
from hrm_core.runs.writer import RunWriter

GIB = 2**30


@final
class FakeNvml:
    """Two GPUs, of which the second answers nothing but its name; older names of some questions are missing."""

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def nvmlInit(self) -> None:
        """The driver is there."""

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"RTX A3000\x1b[2J Laptop"

    def __getattr__(self, name: str) -> Any:
        def answer(handle: int, *more: int) -> Any:
            if handle == 1 or name not in ANSWERS:
                raise RuntimeError("Not Supported")
            found = ANSWERS[name]
            return found(self.pid) if callable(found) else found

        return answer


def _processes(pid: int) -> list[Any]:
    return [
        SimpleNamespace(pid=2**22 + 7, usedGpuMemory=None),
        SimpleNamespace(pid=pid, usedGpuMemory=2 * GIB),
    ]


ANSWERS: dict[str, Any] = {
    "nvmlDeviceGetUUID": "GPU-1",
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=3 * GIB, total=6 * GIB),
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=97),
    "nvmlDeviceGetPowerUsage": 79_500,
    "nvmlDeviceGetEnforcedPowerLimit": 80_000,
    "nvmlDeviceGetTemperature": 81,
    "nvmlDeviceGetClockInfo": 1_335,
    "nvmlDeviceGetMaxClockInfo": 2_100,
    "nvmlDeviceGetCurrentClocksThrottleReasons": 0x4,
    "nvmlDeviceGetComputeRunningProcesses": _processes,
    "nvmlDeviceGetGraphicsRunningProcesses": lambda pid: _processes(pid)[1:],
}


def test_everything_that_a_gpu_says_and_nothing_of_what_it_refuses(tmp_path: Path) -> None:
    reading = DeviceReader(FakeNvml(os.getpid())).read([("runs", tmp_path)], {os.getpid(): "run-1"})
    first, second = reading.gpus
    assert reading.trouble == ""
    assert first.name == "RTX A3000␛[2J Laptop" and first.uuid == "GPU-1"
    assert (first.memory_used, first.memory_total, first.utilisation) == (3 * GIB, 6 * GIB, 0.97)
    assert (first.power_w, first.power_cap_w, first.temperature_c) == (79.5, 80.0, 81.0)
    assert (first.clock_mhz, first.clock_max_mhz, first.throttle) == (1335.0, 2100.0, ("power cap",))
    assert first.holders is not None
    mine, gone = first.holders
    assert (mine.pid, mine.memory, mine.run) == (os.getpid(), 2 * GIB, "run-1") and "python" in mine.name
    assert (gone.name, gone.memory, gone.run) == ("?", None, "")
    assert second.name.startswith("RTX") and second.holders is None and second.throttle is None
    assert {second.memory_used, second.power_w, second.temperature_c, second.clock_mhz} == {None}
    assert json.loads(json.dumps(reading.to_json()))["gpus"][0]["throttle"] == ["power cap"]


def test_the_host_is_there_without_a_driver(tmp_path: Path) -> None:
    class NoDriver:
        """A machine without one."""

        def nvmlInit(self) -> None:
            raise RuntimeError("NVML Shared Library Not Found")

    reading = DeviceReader(NoDriver()).read([("runs", tmp_path / "to" / "come")])
    assert reading.gpus == ()
    assert reading.trouble == "no NVIDIA driver answers on this machine (NVML Shared Library Not Found)"
    host = reading.host
    assert host.cores >= 1 and host.cpu is not None and 0 <= host.cpu <= 1
    assert host.memory_used is not None and host.memory_total is not None and 0 < host.memory_used < host.memory_total
    (disk,) = host.disks
    assert disk.what == "runs" and disk.folder == str(tmp_path / "to" / "come") and 0 < disk.free <= disk.total


def test_a_driver_without_a_gpu_says_so() -> None:
    empty = SimpleNamespace(nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 0)
    assert DeviceReader(empty).read().trouble == "the NVIDIA driver knows no GPU"


def test_this_module_loads_neither_torch_nor_nvml() -> None:
    code = "import sys, hrm_core.runs.device; print(sorted({'torch', 'pynvml', 'psutil', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=250)
    assert done.stdout.strip() == "[]"


def supply(root: Path, name: str, **files: str) -> None:
    (root / name).mkdir(parents=True)
    for file, text in files.items():
        (root / name / file).write_text(text + "\n")


def test_batteries(tmp_path: Path) -> None:
    assert read_battery(tmp_path / "nothing") is None
    supply(tmp_path / "mouse", "hid", type="Battery", scope="Device", status="Discharging", capacity="5")
    supply(tmp_path / "mouse", "AC", type="Mains", online="0")
    assert read_battery(tmp_path / "mouse") is None
    supply(tmp_path / "away", "BAT0", type="Battery", status="Discharging", capacity="40")
    supply(tmp_path / "away", "BAT1", type="Battery", status="Unknown", capacity="100")
    supply(tmp_path / "away", "AC", type="Mains", online="0")
    assert read_battery(tmp_path / "away") == Battery(True, 0.7)
    supply(tmp_path / "home", "BAT0", type="Battery", status="Discharging", capacity="strange")
    supply(tmp_path / "home", "ucsi", type="USB", online="1")
    assert read_battery(tmp_path / "home") == Battery(False, None)


def test_disk_of_a_folder_to_come_and_name_of_a_process_gone(tmp_path: Path) -> None:
    found = read_disk("data", tmp_path / "a" / "b")
    assert found is not None and found.total == (read_disk("", tmp_path) or found).total
    assert process_name(2**22 + 7) == "?"


def test_pids_of_the_runs_that_somebody_holds(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "live", "", {}):
        RunWriter.create(tmp_path / "gone", "", {}).close()
        (tmp_path / "no-run").mkdir()
        assert run_pids(tmp_path) == {os.getpid(): "live"}
    assert run_pids(tmp_path) == {} and run_pids(tmp_path / "missing") == {}


def reading(celsius: float | None, battery: Battery | None) -> Reading:
    gpu = Gpu(0, "x", "", None, None, None, None, None, celsius, None, None, None, None)
    return Reading((gpu,), "", Host(1, None, None, None, None, None, None, (), battery))


@pytest.mark.parametrize(
    ("found", "on_battery", "above", "said"),
    [
        (reading(70, None), True, 90, ""),
        (reading(91, None), True, 90, "the GPU is at 91 °C, above the 90 °C of the setting"),
        (reading(91, None), True, 0, ""),
        (reading(None, None), True, 90, ""),
        (reading(70, Battery(True, 0.4)), True, 90, "the machine is on battery (40 % left)"),
        (reading(70, Battery(True, None)), True, 90, "the machine is on battery"),
        (reading(70, Battery(True, 0.4)), False, 90, ""),
        (reading(70, Battery(False, 0.4)), True, 90, ""),
    ],
)
def test_when_the_queue_holds(found: Reading, on_battery: bool, above: float, said: str) -> None:
    assert hold_reason(found, on_battery, above) == said


def test_one_cool_gpu_is_enough_for_the_queue() -> None:
    hot, cool = reading(95, None), reading(60, None)
    both = Reading(hot.gpus + cool.gpus, "", hot.host)
    assert hold_reason(hot, True, 90) != "" and hold_reason(both, True, 90) == ""

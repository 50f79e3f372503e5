"""Telemetry against a made-up NVML: what goes to the log and to status.json, and what no refusal may end."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import pytest
import torch
from small_trainer import make_trainer

from hrm_core.runs.reader import events, metrics_rows, read_status
from hrm_core.training import board
from hrm_core.training.telemetry import CAP_EVERY_S, GpuTelemetry, Telemetry, handle_of


@final
class FakeNvml:
    """Answers as a GPU would; `refused` names questions that it does not support."""

    NVML_CLOCK_SM = 1

    def __init__(self, refused: tuple[str, ...] = ()) -> None:
        self.refused = refused
        self.bits = 0x4
        self.asked: list[str] = []

    def _answer(self, name: str, value: Any) -> Any:
        self.asked.append(name)
        if name in self.refused:
            raise RuntimeError("Not Supported")
        return value

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:
        return int(self._answer("power", 79_500))

    def nvmlDeviceGetTemperature(self, handle: object, sensor: int) -> int:
        return int(self._answer("temperature", 81))

    def nvmlDeviceGetClockInfo(self, handle: object, kind: int) -> int:
        return int(self._answer("clock", 1_335))

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: object) -> int:
        return int(self._answer("cap", 80_000))

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: object) -> int:
        return int(self._answer("reasons", self.bits))

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: object) -> int:
        return int(self._answer("old reasons", self.bits))


def test_a_row_and_the_status_hold_what_the_gpu_says() -> None:
    now = [0.0]
    nvml = FakeNvml()
    gpu = GpuTelemetry(nvml, None, lambda: now[0])
    assert gpu.status() == {"throttle": None, "throttled_share": None, "throttled_s": 0.0, "power_cap_w": None}
    assert gpu.read() == {"power_w": 79.5, "temperature_c": 81.0, "clock_mhz": 1335.0}
    assert gpu.status() == {
        "throttle": ["power cap"], "throttled_share": 0.0, "throttled_s": 0.0, "power_cap_w": 80.0,
    }  # fmt: skip
    nvml.bits = 0x4 | 0x40
    now[0] = 30.0
    gpu.read()
    assert gpu.status()["throttle"] == ["power cap", "heat (hardware)"]
    assert gpu.status()["throttled_share"] == 0.5 and gpu.status()["throttled_s"] == 30.0
    assert nvml.asked.count("cap") == 1
    now[0] = CAP_EVERY_S
    gpu.read()
    assert nvml.asked.count("cap") == 2


def test_an_older_driver_knows_the_reasons_by_their_older_name() -> None:
    nvml = FakeNvml(refused=("reasons",))
    gpu = GpuTelemetry(nvml, None)
    gpu.read()
    assert gpu.status()["throttle"] == ["power cap"] and nvml.asked[:2] == ["reasons", "old reasons"]


def test_no_refusal_ends_anything() -> None:
    gpu = GpuTelemetry(FakeNvml(("power", "temperature", "clock", "cap", "reasons", "old reasons")), None)
    assert gpu.read() == {"power_w": None, "temperature_c": None, "clock_mhz": None}
    assert gpu.status() == {"throttle": None, "throttled_share": None, "throttled_s": 0.0, "power_cap_w": None}


def test_the_gpu_is_found_by_its_uuid_and_else_by_its_number() -> None:
    known: dict[object, str] = {"GPU-abc": "right", b"GPU-old": "by bytes"}
    nvml = SimpleNamespace(
        nvmlDeviceGetHandleByUUID=lambda name: known[name], nvmlDeviceGetHandleByIndex=lambda index: f"number {index}"
    )
    assert handle_of(nvml, "abc", 0) == "right" and handle_of(nvml, "old", 0) == "by bytes"
    assert handle_of(nvml, "", 1) == "number 1"


def test_a_cpu_has_memory_alone() -> None:
    found = Telemetry(torch.device("cpu")).read()
    assert found["memory_gib"] is not None and 0 < found["memory_gib"] < 1000
    assert found["power_w"] is None and found["clock_mhz"] is None


def test_the_trainer_writes_both_and_tells_of_heat_once(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = ("training.max_steps=4", "training.checkpoint_every=4", "schedule.warmup=1")
    validations = ("training.fast_validation_every=4", "training.full_validation_every=4")
    trainer = make_trainer(arc1_file, tmp_path / "run", (*course, *validations))
    nvml = FakeNvml()
    nvml.bits = 0x20
    minutes = count(step=60.0)
    trainer.telemetry.gpu = GpuTelemetry(nvml, None, lambda: next(minutes))
    monkeypatch.setattr(board, "STATUS_EVERY_S", 0.0)
    with trainer.writer:
        assert trainer.run() == "finished"
    status = read_status(tmp_path / "run")
    assert status["throttle"] == ["heat (driver)"] and status["throttled_share"] == 1.0
    assert status["clock_mhz"] == 1335.0 and status["power_cap_w"] == 80.0
    (alarm,) = [event for event in events(tmp_path / "run") if event.get("name") == "throttled"]
    assert alarm["kind"] == "alarm" and alarm["step"] == 2 and "100 % of the last 60 s" in alarm["sentence"]
    assert [row["clock_mhz"] for row in metrics_rows(tmp_path / "run")] == [1335.0] * 4

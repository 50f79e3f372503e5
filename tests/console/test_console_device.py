"""The device screen with a made-up driver: numbers, curves, holders, energy, the queue; and without any GPU."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.screens import device as device_screen
from hrm_console.screens.device import DeviceScreen
from hrm_console.theme import FULL, SIXTEEN
from hrm_console.views.device.history import KEPT, WINDOW_S, History
from hrm_console.views.device.words import Energy, device_rows, queue_lines
from hrm_core.runs import device as device_readings
from hrm_core.runs.device import Battery, DeviceReader, Disk, Gpu, Holder, Host, Reading
from hrm_core.runs.text import clean
from hrm_core.runs.user_settings import SETTINGS, UserSettings

GIB = 2**30
HOSTILE = "\x1b]52;c;AA\x07[bold]\u202e\x9b31m"


class FakeNvml:
    """One GPU that this very process holds; `trouble` makes it have none."""

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, celsius=81):
        self.celsius = celsius
        self.asked = 0

    def nvmlInit(self):
        """There is a driver."""

    def nvmlDeviceGetCount(self):
        self.asked += 1
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def __getattr__(self, name):
        answers = {
            "nvmlDeviceGetName": "RTX A3000" + HOSTILE,
            "nvmlDeviceGetUUID": "GPU-1",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=3 * GIB, total=6 * GIB),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=97),
            "nvmlDeviceGetPowerUsage": 70_000 + self.asked * 1000,
            "nvmlDeviceGetEnforcedPowerLimit": 80_000,
            "nvmlDeviceGetTemperature": self.celsius,
            "nvmlDeviceGetClockInfo": 1_335,
            "nvmlDeviceGetMaxClockInfo": 2_100,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0x44,
            "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=os.getpid(), usedGpuMemory=2 * GIB)],
            "nvmlDeviceGetGraphicsRunningProcesses": [],
        }
        if name not in answers:
            raise AttributeError(name)
        return lambda *arguments: answers[name]


@pytest.fixture
def gpu(monkeypatch):
    """A machine with that GPU, looked at ten times a second."""
    nvml = FakeNvml()
    monkeypatch.setattr(device_screen, "TICK_S", 0.1)
    monkeypatch.setattr(device_screen, "CURVES_S", 0.1)
    monkeypatch.setattr(device_screen, "DeviceReader", lambda: DeviceReader(nvml))
    return nvml


async def opened(app, pilot, until):
    await until(pilot, lambda: app.runs_known)
    app.go("device")
    await until(pilot, lambda: isinstance(app.screen, DeviceScreen) and app.screen.history.reading is not None)
    return app.screen


async def test_numbers_holder_energy_and_queue_side_by_side_with_curves(runs, gpu, until, shown):
    runs.make("one", steps=300)
    writer = runs.writers["one"]
    for step in range(310, 410, 10):
        writer.metrics(
            {"step": step, "elapsed_s": step * 0.2, "samples": 32 * step, "loss": 1.0, "lr": 1e-3, "power_w": 50.0}
        )
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60)) as pilot:
        app.subject = "one"
        screen = await opened(app, pilot, until)
        await until(pilot, lambda: "segments a joule" in shown(app))
        text = shown(app)
        assert "RTX A3000" in text and "\x1b" not in text and "3.0 of 6.0 GiB" in text and "97 %" in text
        assert "W of a cap of 80 W" in text and "81 °C" in text and "1335 of 2100 MHz" in text
        assert "power cap, heat (hardware)" in text and f"one  process {os.getpid()}  2.0 GiB" in text
        assert "energy of one" in text and "nothing here holds it" in text and "above 90 °C" in text
        joules = screen.energy().joules
        assert joules == pytest.approx(50.0 * 2.0 * 10) and screen.energy().segments == 32 * 400
        titles = [chart.title for chart in screen.curves.charts]
        assert titles == ["GPU power", "GPU temperature", "GPU memory", "busy", "GPU clock", "host memory"]
        asked = gpu.asked
        await until(pilot, lambda: gpu.asked > asked + 2)
        assert len(screen.history.curves["power", "0"]) > 2
        await pilot.press("enter")
        await until(pilot, lambda: getattr(app.screen, "ROOM", "") == "run" and app.screen.run_id == "one")


@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
async def test_pages_and_keys_and_nothing_is_read_out_of_sight(runs, gpu, until, shown, size):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=size) as pilot:
        screen = await opened(app, pilot, until)
        assert screen.shell_words() == ("device",)
        await pilot.press("2", "z", "right_square_bracket", "left_square_bracket", "z")
        assert screen.page == "curves"
        await until(pilot, lambda: "GPU power" in shown(app))
        await pilot.press("1")
        await until(pilot, lambda: "RTX A3000" in shown(app))
        app.show_run("one")
        await until(pilot, lambda: app.screen is not screen)
        await pilot.pause(1.0)  # a question that is under way has its answer
        asked = gpu.asked
        await pilot.pause(0.3)
        assert gpu.asked == asked
        await pilot.press("escape")
        await until(pilot, lambda: gpu.asked > asked)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, DeviceScreen))


async def test_a_machine_without_a_gpu_says_so_and_shows_the_host(runs, monkeypatch, until, shown):
    monkeypatch.setattr(device_screen, "TICK_S", 0.1)
    monkeypatch.setattr(device_screen, "CURVES_S", 0.1)
    absent = SimpleNamespace(nvmlInit=lambda: (_ for _ in ()).throw(RuntimeError("NVML Shared Library Not Found")))
    monkeypatch.setattr(device_screen, "DeviceReader", lambda: DeviceReader(absent))
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(app, pilot, until)
        await until(pilot, lambda: "No GPU: no NVIDIA driver answers" in shown(app))
        text = shown(app)
        assert "host," in text and "disk, runs" in text and "queue" in text and "energy of" not in text
        await until(pilot, lambda: [chart.title for chart in screen.curves.charts] == ["busy", "host memory"])
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen is screen


async def test_the_queue_would_hold(runs, gpu, until, shown):
    values = {setting.key: setting.default for setting in SETTINGS} | {"queue.hold_above_c": 70.0}
    app = ConsoleApp(runs.folder, tick_s=0.05, settings=UserSettings(values))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, until)
        await until(pilot, lambda: "would start nothing: the GPU is at 81 °C, above the 70 °C" in shown(app))


def test_a_reader_that_fails_is_asked_again(monkeypatch):
    """What the thread raised is a toast of the app's; the screen waits no longer than its patience."""
    screen = DeviceScreen()
    screen.asked_s = device_screen.time.monotonic() - device_screen.PATIENCE_S - 1
    asked = []
    app = SimpleNamespace(in_sight=screen, in_background=lambda work, then: asked.append(work))
    monkeypatch.setattr(DeviceScreen, "app", app)
    screen._tick()
    screen._tick()
    assert len(asked) == 1


HOST = Host(8, 0.25, 1.5, 4 * GIB, 16 * GIB, GIB, 2 * GIB, (Disk("runs", HOSTILE, 10, 100),), Battery(True, 0.4))
SILENT = Gpu(1, HOSTILE, HOSTILE, None, None, None, None, None, None, None, None, None, None)
BUSY = Gpu(0, "A3000", "", 1, 2, 0.5, 10.0, None, 84.0, 300.0, None, ("heat (driver)",), (Holder(5, HOSTILE, None),))


@pytest.mark.parametrize("palette", [FULL, SIXTEEN])
@pytest.mark.parametrize("width", [0, 1, 20, 60])
def test_words_fit_their_width_and_arrive_cleaned(width, palette):
    reading = Reading((SILENT, BUSY), "", HOST)
    energy = Energy(HOSTILE, None, None)
    rows = device_rows(reading, {5: HOSTILE}, [], energy, palette, (width, 100))
    rows += device_rows(Reading((), HOSTILE, HOST), {5: HOSTILE}, [], None, palette, (max(width, 12), 5))
    for row in rows:
        assert clean(row.plain) == row.plain


def test_words_of_what_is_not_told_of_heat_and_of_a_battery():
    rows = device_rows(Reading((SILENT, BUSY), "", HOST), {}, queue_lines("", True, 0), None, FULL, (80, 60))
    said = "\n".join(row.plain for row in rows)
    assert said.count("not told") == 7 and "slowed by    heat (driver)" in said and "in use, 40 % full" in said
    assert "at no temperature" in said and "swap" in said and "\n\n" in said
    hot = next(row for row in rows if "84 °C" in row.plain)
    assert any(span.style == FULL.warn for span in hot.spans) or FULL.warn in str(hot.style)
    small = device_rows(Reading((BUSY,), "", HOST), {}, [], None, FULL, (80, 10))
    assert all(row.plain for row in small)
    measured = Energy("one", 7200.0, 14400.0)
    said = "\n".join(row.plain for row in device_rows(Reading((), "x", HOST), {3: "one"}, [], measured, FULL, (80, 60)))
    assert "7.2k J, 2.00 Wh" in said and "2.00 segments a joule" in said and "at work      one  process 3" in said
    assert "power was not measured" in "\n".join(
        row.plain for row in device_rows(Reading((), "x", HOST), {}, [], Energy("one", None, 1.0), FULL, (80, 60))
    )


def test_the_window_moves_by_whole_minutes_and_old_readings_are_forgotten():
    history = History()
    assert history.charts() == []
    for second in range(3 * KEPT):
        history.add(1000.0 + second, Reading((BUSY,), "", HOST))
    assert len(history.curves["power", "0"]) <= 2 * KEPT
    view = history.charts(90.0)[0].view
    assert view.x_low == 3 * KEPT - WINDOW_S and view.x_high == 3 * KEPT
    history.add(1000.0 + 3 * KEPT, Reading((BUSY,), "", HOST))
    assert history.charts()[0].view.x_high == 3 * KEPT + 60
    assert device_readings.Reading is Reading


def test_two_gpus_have_two_lines():
    history = History()
    other = Gpu(1, "B", "", 1, 2, 0.5, 20.0, 80.0, 50.0, 300.0, 600.0, (), ())
    for second in (0.0, 1.0):
        history.add(second, Reading((BUSY, other), "", HOST))
    power = history.charts()[0]
    assert [line.label for line in power.lines] == ["GPU 0", "GPU 1"]
    assert [guide.y for guide in power.guides] == [80.0]

"""Memory on the launch form: what is shown beside steps and slots, what refuses, and what is known of the machine."""

from __future__ import annotations

import pytest

import hrm_console.views.launch.machine as launch_device
from hrm_console.app import ConsoleApp
from hrm_console.launching import Outcome
from hrm_console.screens.launch import LaunchScreen
from hrm_console.views.launch.machine import Machine, memory_gib, this_machine
from hrm_console.views.launch.recipes import check

GPU = Machine(has_gpu=True, memory_gib=64.0, fast_bf16=True)
CPU = Machine(has_gpu=False, memory_gib=23.5, fast_bf16=True)


async def form(app, pilot, until, overrides=""):
    await pilot.press("n")
    await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.answer is not None)
    app.screen.overrides.value = overrides
    await until(pilot, lambda: app.screen.answer.form == ("EXP-00", "plan", overrides))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_form_shows_what_a_run_takes(runs, until, shown, monkeypatch, size):
    monkeypatch.setattr(launch_device, "this_machine", lambda: GPU)
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=lambda argv: Outcome(True, ""))
    async with app.run_test(size=size, notifications=True) as pilot:
        await form(app, pilot, until)
        await until(pilot, lambda: "memory ~4.7 GiB of 16" in shown(app))
        assert "steps 100000   slots 64 x 5 = 320   segments 16" in shown(app)
        assert app.screen.start_button.ready


async def test_what_will_not_fit_cannot_start(runs, until, shown, monkeypatch):
    asked = []
    monkeypatch.setattr(launch_device, "this_machine", lambda: GPU)
    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=lambda argv: asked.append(argv) or Outcome(True, ""))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await form(app, pilot, until, "memory.limit_gib=2")
        await until(pilot, lambda: "for the same 320" in " ".join(shown(app).split()))
        text = " ".join(shown(app).split())
        assert "training.batch=14" in text and "memory ~4.7 GiB of 2" in text and "memory.limit_gib is 2.00 GiB" in text
        assert not app.screen.start_button.ready
        await pilot.press("f5")
        await pilot.pause()
        assert asked == []


def words(checked) -> str:
    return dict(checked.size)["memory"]


def test_each_machine_has_its_own_memory():
    assert words(check("EXP-00", "plan", "", GPU)) == "~4.7 GiB of 16"
    assert words(check("EXP-00", "h100", "", GPU)).endswith("GiB of 80")
    assert words(check("EXP-00", "plan", "memory.limit_gib=8", GPU)) == "~4.7 GiB of 8"
    assert words(check("EXP-00", "plan", "kernels.mode=force", GPU)) == "~2.3 GiB of 16"
    assert words(check("EXP-00", "plan", "", CPU)).endswith("GiB of 23.5")
    assert words(check("EXP-00", "plan", "training.device=cpu", GPU)).endswith("GiB of 64")
    slow = words(check("EXP-00", "plan", "", Machine(False, None, fast_bf16=False)))
    assert "of" not in slow and slow > words(check("EXP-00", "plan", "", CPU))
    assert "memory" not in dict(check("EXP-00", "plan", "").size)


def test_only_what_is_known_refuses():
    assert check("hrm-official", "plan", "", GPU).problem == ""
    assert "this machine's memory is 23.50 GiB" in check("hrm-official", "plan", "", CPU).problem
    assert "memory.limit_gib is 4.00 GiB" in check("EXP-00", "plan", "memory.limit_gib=4", GPU).problem
    assert check("EXP-00", "plan", "memory.limit_gib=5", GPU).problem == ""


def test_the_kernels_files_are_read():
    assert memory_gib("MemTotal:       16384000 kB\nMemFree: 3 kB\n") == pytest.approx(15.625)
    assert memory_gib("MemFree: 3 kB\n") is None
    assert memory_gib("") is None
    found = this_machine()
    assert found.memory_gib is None or found.memory_gib > 0.1

"""Every screen as a picture of text, at three sizes, and with its styles in 16 and in 256 colours: changes are seen.

Clock, machine, code and folder are frozen; the runs are written by the real writer. `HRM_UPDATE_SNAPSHOTS=1` makes the
pictures anew (tests/shared/snapshots.py).
"""

from __future__ import annotations

import time
from pathlib import Path

import made_puzzles
import pytest
import textual.constants
from made_archive import make_archived
from snapshots import check_snapshot, picture
from textual.widgets import Input

from hrm_console.app import ConsoleApp
from hrm_console.asking import Answer
from hrm_console.rooms import ROOMS
from hrm_console.screens import frame
from hrm_console.screens import help as help_screen
from hrm_console.screens import runs as runs_screen
from hrm_console.session import Session, write_session
from hrm_console.views.launch.machine import Machine
from hrm_core.runs import records, writer
from hrm_core.runs.device import DeviceReader, Disk, Gpu, Holder, Host, Reading
from hrm_core.runs.queue import add
from hrm_core.runs.queue_records import Code

NOW = 1_772_331_000.0  # 2026-03-01T02:10:00Z
SIZES = ((80, 24), (120, 40), (200, 60))
GIB = 2**30
CODE = Code("0123456789abcdef", "", "0.1.0", "2.13.0")
READING = Reading(
    (
        Gpu(
            0, "RTX 3500 Ada", "GPU-1", 6 * GIB, 12 * GIB, 0.97, 79.0, 80.0, 71.0, 1200.0, 2100.0,
            ("power cap",), (Holder(4242, "python", 5 * GIB),),
        ),
    ),
    "",
    Host(8, 0.3, 1.5, 10 * GIB, 32 * GIB, 0, 8 * GIB, (Disk("runs", "/runs", 40 * GIB, 100 * GIB),), None),
)  # fmt: skip


@pytest.fixture
def frozen(monkeypatch):
    """A clock that stands still, a machine, a folder's name and code that are the same everywhere."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    for module in (records, writer):
        monkeypatch.setattr(module, "utc_now", lambda: "2026-03-01T02:00:00.000Z")
    for module in (frame, runs_screen, help_screen):
        monkeypatch.setattr(module, "folder_words", lambda folder: "~/runs")
    monkeypatch.setattr("hrm_console.views.launch.machine.this_machine", lambda: Machine(False, 16.0, True))
    monkeypatch.setattr(DeviceReader, "read", lambda self, folders, runs: READING)
    monkeypatch.setattr("hrm_console.screens.device.TICK_S", 600.0)  # one reading, however slow the machine is
    monkeypatch.setattr(Input, "cursor_blink", False)
    for name in ("hrm_core.runs.queue_pins", "hrm_core.runs.queue", "hrm_console.views.queue.look"):
        monkeypatch.setattr(f"{name}.code_now", lambda: CODE)


def make_day(folder: Path) -> None:
    """What a day leaves: bests of two runs, predictions, a queue."""
    make_archived(folder, "EXP-00-a", {10: 0.1, 20: 0.2}, begun=1)
    make_archived(
        folder, "EXP-02-b", {10: 0.05, 30: 0.25}, begun=5, experiment="EXP-02", overrides=("training.seed=2",)
    )
    made_puzzles.keep(folder / "EXP-02-b", 30)
    made_puzzles.keep(folder / "EXP-00-a", 20)
    write_session(folder, Session(marked=("EXP-02-b", "EXP-00-a"), baseline="EXP-00-a"))
    add(folder, "EXP-06b", ("preset=cpu",), name="objects")
    add(folder, "EXP-10", ("preset=cpu", "training.seed=3"), name="lion", hold=True)


def answer(words):
    """The command line says nothing: the compare screen says so in its words."""
    return Answer(False, None, "not asked in this test")


async def show(app, pilot, until, room):
    """Open a room and let it come to rest."""
    await until(pilot, lambda: len(app.runs) == 2)
    await until(pilot, lambda: app.session.marked)
    if room == "run":
        app.show_run("EXP-02-b")
    elif room != "runs":
        app.go(room)
    await until(pilot, lambda: getattr(app.screen, "ROOM", "") == room)
    last = ""
    for _ in range(100):
        await pilot.pause(0.1)
        now = picture(app)
        if now == last:
            break
        last = now


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("room", ROOMS)
async def test_how_a_screen_looks(tmp_path, until, frozen, room, size):
    folder = tmp_path / "runs"
    folder.mkdir()
    make_day(folder)
    app = ConsoleApp(folder, tick_s=0.05, asker=answer)
    async with app.run_test(size=size) as pilot:
        await show(app, pilot, until, room)
        check_snapshot(f"{room}-{size[0]}x{size[1]}", picture(app))


@pytest.mark.parametrize("colors", ["standard", "256"])
@pytest.mark.parametrize("room", ROOMS)
async def test_what_colours_a_screen_has(tmp_path, until, frozen, monkeypatch, room, colors):
    monkeypatch.setattr(textual.constants, "COLOR_SYSTEM", colors)
    folder = tmp_path / "runs"
    folder.mkdir()
    make_day(folder)
    app = ConsoleApp(folder, tick_s=0.05, asker=answer)
    assert app.console.color_system == colors
    async with app.run_test(size=(80, 24)) as pilot:
        await show(app, pilot, until, room)
        check_snapshot(f"{room}-{colors}", picture(app, styles=True))


async def test_an_empty_folder(tmp_path, until, frozen):
    folder = tmp_path / "empty"
    folder.mkdir()
    app = ConsoleApp(folder, tick_s=0.05, asker=answer)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.runs_known)
        await pilot.pause(0.3)
        check_snapshot("runs-empty", picture(app))


async def test_a_folder_that_cannot_be_read(tmp_path, until, frozen, shown):
    folder = tmp_path / "trouble"
    folder.touch()
    app = ConsoleApp(folder, tick_s=0.05, asker=answer)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Cannot read ~/runs: " in shown(app))

"""Jump letters, a screen's line, picture and table, help for what has the focus, and leaving by a signal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from real_terminal import PtyTerminal

from hrm_console.app import ConsoleApp
from hrm_console.charts.chart import Chart, Line
from hrm_console.charts.series import Series
from hrm_console.charts.view import View
from hrm_console.exporting import copied, curves_csv
from hrm_console.rooms import ROOMS
from hrm_console.screens.go import GoScreen, places_of
from hrm_console.screens.launch import LaunchScreen
from hrm_console.screens.run import RunScreen
from hrm_console.screens.runs import RunsScreen
from hrm_console.session import read_session
from hrm_core.runs.queue_store import change
from hrm_core.runs.user_settings import SETTINGS, UserSettings


def settings(**changed):
    values = {setting.key: setting.default for setting in SETTINGS}
    return UserSettings({**values, **{key.replace("__", "."): value for key, value in changed.items()}})


def test_every_letter_is_one_place():
    letters = [room.letter for room in ROOMS.values() if room.letter]
    assert len(letters) == len(set(letters)) and all(letter.isalpha() for letter in letters)
    places = places_of("runs", ["one", "two"])
    assert "r" not in [letter for letter, *_ in places] and places[-2:] == [
        ("1", "one", "pane of this screen"),
        ("2", "two", "pane of this screen"),
    ]


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (40, 10)])
async def test_a_letter_goes_to_a_screen_and_back(runs, until, shown, size):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, GoScreen) and "Launch" in shown(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen))
        app.go("runs")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("g", "escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


async def test_going_to_an_open_screen_does_not_open_it_twice(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        app.show_run("one")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        app.go("launch")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen))
        app.go("run")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        assert len(app.screen_stack) == 2


async def test_a_number_goes_to_a_pane(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        app.show_run("one")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.pause()
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, GoScreen) and app.screen.panes)
        wanted = app.screen.panes[1]
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.focused is wanted)


async def test_the_line_of_the_screen_is_copied_and_said(runs, until, shown):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        app.show_run("one")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.press("Y")
        await until(pilot, lambda: app.clipboard)
        assert app.clipboard == f"hrm show one --runs {runs.folder}"
        await until(pilot, lambda: "hrm show one" in shown(app))


async def test_a_screen_is_saved_as_a_picture(runs, until, tmp_path):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05, settings=settings(console__exports=str(tmp_path / "out")))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        await pilot.press("S")
        await until(pilot, lambda: list((tmp_path / "out").glob("runs-*.svg")))
        picture = next((tmp_path / "out").glob("runs-*.svg")).read_text()
    assert ElementTree.fromstring(picture).tag.endswith("svg") and "one" in picture


async def test_a_picture_that_cannot_be_saved_is_said(runs, until, shown, tmp_path):
    (tmp_path / "file").write_text("")
    app = ConsoleApp(runs.folder, tick_s=0.05, settings=settings(console__exports=str(tmp_path / "file" / "x")))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.runs_known)
        await pilot.press("S")
        await until(pilot, lambda: "Not a directory" in " ".join(shown(app).split()))
        assert app.is_running


def test_curves_are_a_table():
    series = Series("loss")
    for step, value in ((1, 2.0), (2, None), (3, 0.5)):
        series.append(step, value, time=step * 2.0)
    table = curves_csv(copied([Chart("loss, \x1b[2J", [Line(series, "train")])])).splitlines()
    assert table[0] == "chart,curve,axis,x,y"
    assert table[1:] == ['"loss, \u241b[2J",train,step,1.0,2.0', '"loss, \u241b[2J",train,step,3.0,0.5']


def test_a_table_is_of_the_moment_of_the_key_and_of_the_curves_on_the_axis():
    train, full = Series("loss"), Series("loss")
    train.append(1, 2.0, time=4.0)
    full.append(1, 3.0)  # validated before any row of training: it has no time yet
    found = copied([Chart("loss", [Line(train, "train"), Line(full, "full")], view=View(x_kind="time"))])
    train.append(2, 1.0, time=8.0)
    assert curves_csv(found).splitlines()[1:] == ["loss,train,time,4.0,2.0"]


async def test_the_help_begins_with_what_has_the_focus(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(100, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        app.screen.query_one("#table").focus()
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen.query("#help") and app.screen.query_one("#help").rows)
        rows = [row.plain for row in app.screen.query_one("#help").rows]
        assert "which has the focus" in rows[0] and "A list." in rows[1]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_the_app_in_order_and_its_session_is_kept(runs, number):
    runs.make("one")
    environment = {**os.environ, "TERM": "xterm-256color"}
    argv = [sys.executable, "-m", "hrm_console", "--runs", str(runs.folder), "one"]
    terminal = PtyTerminal(argv, (80, 24), environment)
    terminal.wait_for("curves")
    os.kill(terminal.pid, number)
    assert terminal.exit_code() == 0
    assert b"\x1b[?1049l" in terminal.raw and b"Traceback" not in terminal.raw  # the screen before is back
    assert read_session(runs.folder).views["app"]["run"] == "one"


def test_a_terminal_that_goes_away_ends_the_app(runs):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    argv = [sys.executable, "-m", "hrm_console", "--runs", str(runs.folder)]
    child = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True)
    os.close(theirs)
    try:
        seen = b""
        end = time.monotonic() + 60
        while b"No runs here yet" not in seen and time.monotonic() < end:
            seen += os.read(ours, 65536)
        os.close(ours)
        assert child.wait(timeout=60) is not None
    finally:
        child.kill()
        child.wait()


async def test_the_run_that_was_looked_at_when_the_connection_went_is_opened_again_once(runs, until):
    runs.make("one")
    runs.make("two")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: len(app.runs) == 2)
        app.show_run("one")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        app.lose_terminal()
        await pilot.pause()
    again = ConsoleApp(runs.folder, tick_s=0.05)
    async with again.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: isinstance(again.screen, RunScreen) and again.screen.run_id == "one")
        await pilot.press("ctrl+q")
        await pilot.pause()
    third = ConsoleApp(runs.folder, tick_s=0.05)
    async with third.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: len(third.runs) == 2)
        await pilot.pause(0.3)
        assert isinstance(third.screen, RunsScreen)


async def test_a_queue_that_stops_is_said_on_every_screen(runs, until, shown):

    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        change(runs.folder, lambda queue: replace(queue, stopped="2 failed after 3 s: \x1b]52;c;x\x07"))
        app.show_run("one")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        app.queue_alarm.look()
        await until(pilot, lambda: "queue stopped" in (shown(app).splitlines() or [""])[0])
        await until(pilot, lambda: "2 failed after 3 s" in " ".join(shown(app).split()))
        assert "\x1b" not in shown(app)
        change(runs.folder, lambda queue: replace(queue, stopped=""))
        app.queue_alarm.look()
        await until(pilot, lambda: "queue stopped" not in (shown(app).splitlines() or ["queue stopped"])[0])

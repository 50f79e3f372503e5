"""Every key of the run screen's curves, typed in a running app on folders of the real writer."""

from __future__ import annotations

import csv

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.screens.run import RunScreen
from hrm_console.screens.run_pick import PickScreen
from hrm_console.session import Session, read_session, write_session
from hrm_console.views.run.look import Look
from hrm_core.runs.user_settings import read_settings
from tests.console.test_console_run import opened, series

WIDE = (200, 60)


@pytest.fixture
def open_run(runs, until):
    """`async with`-less: gives an app; `await ready(app, pilot)` opens run "one" with its rows."""

    async def ready(app, pilot, rows=20):
        await opened(app, pilot, until)
        await until(pilot, lambda: len(series(app, "loss")[0]["train"]) == rows)

    return ready


def app_of(runs):
    return ConsoleApp(runs.folder, tick_s=0.05)


async def test_the_crosshair_reads_every_chart_and_escape_takes_it_away_before_the_screen(runs, until, shown, open_run):
    runs.make("one")
    app = app_of(runs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await open_run(app, pilot)
        await pilot.press("left")
        await until(pilot, lambda: app.screen.look.cursor == 200)
        assert all(chart.view.cursor == 200 for chart in app.screen.curves.charts)
        await until(pilot, lambda: "step 200, 40s" in shown(app) and "at step 200" in shown(app))
        await pilot.press("h", "home")
        assert app.screen.look.cursor == 10
        await pilot.press("l", "right")
        assert app.screen.look.cursor == 30
        await pilot.press("pagedown", "L")
        assert app.screen.look.cursor == 70
        await pilot.press("end", "pageup", "H")
        assert app.screen.look.cursor == 160
        await pilot.press("escape")
        assert app.screen.look.cursor is None and isinstance(app.screen, RunScreen)
        await until(pilot, lambda: "at step 200, 40s" not in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, RunScreen))


async def test_zoom_pan_and_back_to_the_whole(runs, until, shown, open_run):
    runs.make("one", "finished")
    app = app_of(runs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await open_run(app, pilot)
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: "+ zooms in" in shown(app))
        await pilot.press("plus", "equals_sign")
        views = {(chart.view.x_low, chart.view.x_high) for chart in app.screen.curves.charts}
        assert views == {(152.5, 200)}
        await until(pilot, lambda: "window 152.5 to 200, follows" in shown(app))
        await pilot.press("less_than_sign", "comma", "full_stop")
        assert app.screen.look.end == 200 - 47.5 / 4
        await pilot.press("minus")
        assert app.screen.look.span == 95
        await pilot.press("0")
        assert app.screen.look == Look()


async def test_a_zoomed_window_follows_what_the_trainer_writes(runs, until, open_run):
    runs.make("one")
    app = app_of(runs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await open_run(app, pilot)
        await pilot.press("plus", "plus")
        for step in range(210, 301, 10):
            runs.writers["one"].metrics({"step": step, "elapsed_s": step * 0.2, "loss": 0.5})
        await until(pilot, lambda: app.screen.curves.charts[0].view.x_high >= 300)
        assert app.screen.curves.charts[0].view.x_low > 200


async def test_axis_log_scale_smoothing_and_markers_are_kept(runs, until, shown, open_run):
    runs.make("one")
    app = app_of(runs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await open_run(app, pilot)
        await pilot.press("x")
        assert app.screen.curves.charts[0].view.x_kind == "time"
        await until(pilot, lambda: "40s" in shown(app))
        await pilot.press("y", "e", "m")
        assert app.screen.curves.widgets[0].markers == "blocks"
        await until(pilot, lambda: "log, smoothed 0.6" in shown(app) and "⠉" not in shown(app))
        await pilot.press("m")
        assert app.screen.curves.widgets[0].markers == "ascii"
        await until(pilot, lambda: read_session(runs.folder).views.get("run", {}).get("axis") == "time")
        await pilot.press("escape")
        app.show_run("one")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.curves.charts)
        assert app.screen.look == Look(x_kind="time", log_y=True, smoothing=0.6)
        await pilot.press("x")
        assert app.screen.look.x_kind == "step"


async def test_the_setting_says_what_curves_are_drawn_with(runs, until, open_run, tmp_path):
    runs.make("one")
    file = tmp_path / "settings.toml"
    file.write_text('[console]\nmarkers = "ascii"\n')
    app = ConsoleApp(runs.folder, tick_s=0.05, settings=read_settings(file))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_run(app, pilot)
        assert {widget.markers for widget in app.screen.curves.widgets} == {"ascii"}


async def test_events_are_jumped_to_and_said(runs, until, shown, open_run):
    runs.make("one")
    writer = runs.writers["one"]
    writer.event("best", 100, metric="exact", value=0.1)
    writer.event("stage", 155, stage=1)
    app = app_of(runs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await open_run(app, pilot)
        await until(pilot, lambda: len(app.screen.feed.events) == 3)
        await pilot.press("t")
        await until(pilot, lambda: "new best: exact 10.0 % (best trivial 0.9 %)" in shown(app))
        assert app.screen.look.cursor == 100
        await pilot.press("t")
        await until(pilot, lambda: "stage 1" in shown(app))
        assert app.screen.look.cursor in (150, 160)
        await pilot.press("t")
        await until(pilot, lambda: "no event there" in shown(app))
        await pilot.press("T")
        assert app.screen.look.cursor == 100
        await pilot.press("left", "right")
        await until(pilot, lambda: "new best" in shown(app))


async def test_without_rows_no_key_breaks_anything(runs, until):
    (runs.folder / "one").mkdir()
    (runs.folder / "one" / "run.json").write_text("{")
    app = app_of(runs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: app.runs_known)
        app.show_run("one")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        keys = [
            "left",
            "l",
            "home",
            "end",
            "pageup",
            "plus",
            "minus",
            "comma",
            "full_stop",
            "0",
            "x",
            "y",
            "e",
            "t",
            "T",
        ]
        await pilot.press(*keys, "o", "c", "space", "escape", "w", "m", "z", "slash", "a", "enter", "escape", "f")
        for page in "12345678":
            await pilot.press(page)
        await pilot.pause(0.1)
        assert app.is_running and app._exception is None


async def test_marked_runs_and_the_baseline_lie_over_this_one(runs, until, shown, open_run):
    for name in ("one", "two", "three"):
        runs.make(name, "finished")
    write_session(runs.folder, Session(marked=("two", "one", "gone"), baseline="three"))
    app = app_of(runs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await until(pilot, lambda: app.session.baseline and len(app.runs) == 3)
        app.show_run("one")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and len(app.screen.shown_runs()) == 3)
        await until(pilot, lambda: len(app.screen.curves.charts) > 0 and len(app.screen.curves.charts[0].lines) == 4)
        assert [line.label for line in app.screen.curves.charts[0].lines] == ["1", "1 full", "2", "3"]
        await until(pilot, lambda: "1 ━ one" in shown(app) and "2 ━ three" in shown(app) and "3 ━ two" in shown(app))
        assert list(app.feeds) == ["one", "three", "two"]
        await pilot.press("left")
        await until(pilot, lambda: "━ 3 " in shown(app))
        await pilot.press("o")
        await until(pilot, lambda: list(app.feeds) == ["one"] and "2 ━ three" not in shown(app))
        assert [line.label for line in app.screen.curves.charts[0].lines] == ["train", "full"]
        await pilot.press("o")
        await until(pilot, lambda: len(app.screen.shown_runs()) == 3)
        (runs.folder / "two").rename(runs.folder.parent / "away")
        await until(pilot, lambda: len(app.screen.shown_runs()) == 2)


async def test_overlay_without_marked_runs_says_what_to_do(runs, until, shown, open_run):
    runs.make("one")
    app = app_of(runs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await open_run(app, pilot)
        await pilot.press("o")
        await until(pilot, lambda: "mark some on the runs screen" in shown(app))


async def test_charts_are_chosen_from_a_list_and_kept(runs, until, shown, open_run):
    runs.make("one")
    app = app_of(runs)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await open_run(app, pilot)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, PickScreen) and "[x] loss" in shown(app))
        await pilot.press("space", "down", "enter", "escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        titles = [chart.title for chart in app.screen.curves.charts]
        assert "loss" not in titles and "learning rate" not in titles and "exact, validation" in titles
        assert sum(widget.display for widget in app.screen.curves.widgets) == len(titles) == 4
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.press("d", "escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and len(app.screen.curves.charts) == 6)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        await pilot.press("escape")
        assert app.screen.names is None


async def test_curves_are_saved_as_they_are_shown(runs, until, shown, open_run, tmp_path):
    runs.make("one")
    file = tmp_path / "settings.toml"
    file.write_text(f'[console]\nexports = "{tmp_path / "out"}"\n')
    app = ConsoleApp(runs.folder, tick_s=0.05, settings=read_settings(file))
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await open_run(app, pilot)
        await pilot.press("x", "w")
        await until(pilot, lambda: "saved" in shown(app))
        found = list((tmp_path / "out").glob("run-*.csv"))
        rows = list(csv.DictReader(found[0].read_text().splitlines()))
        loss = [row for row in rows if row["chart"] == "loss" and row["curve"] == "train"]
        assert len(loss) == 20 and loss[0]["axis"] == "time" and float(loss[0]["x"]) == 2.0

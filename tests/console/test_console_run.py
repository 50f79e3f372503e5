"""The run screen against the real writer's files: curves hold its rows, alarms its words, the log its lines."""

from __future__ import annotations

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.rows.feed import Batch, Feed
from hrm_console.screens.run import RunScreen
from hrm_console.screens.run_bars import PAGES
from hrm_console.views.run.charts import horizon, run_charts
from hrm_console.widgets.chart_grid import ChartGrid, grid_for

ALARM = {
    "name": "constant_output",
    "sentence": "One predicted grid for 97 % of the inputs.",
    "advice": "Start again from EXP-00.",
}


async def opened(app, pilot, until, name="one"):
    await until(pilot, lambda: app.line_of(name) is not None)
    app.show_run(name)
    await until(
        pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.feed is not None and app.screen.feed.read
    )
    await until(pilot, lambda: any(grid.charts for grid in app.screen.query(ChartGrid)))


def series(app, title):
    chart = next(chart for chart in app.screen.query_one(ChartGrid).charts if chart.title.startswith(title))
    return {line.label: line.series for line in chart.lines}, chart


async def test_the_curves_hold_the_rows_and_exact_its_trivial_value(runs, until, shown):
    runs.make("one", steps=300, alarms=(ALARM,))
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await opened(app, pilot, until)
        loss, _ = series(app, "loss")
        assert len(loss["train"]) == 30 and len(loss["full"]) == 3
        exact, chart = series(app, "exact")
        assert list(exact["full"].ys) == [0.1, 0.1, 0.1]
        assert [(guide.y, guide.label) for guide in chart.guides] == [(0.009, "trivial")]
        _, cells = series(app, "cell accuracy")
        assert [guide.y for guide in cells.guides] == [0.61]
        titles = [chart.title for chart in app.screen.query_one(ChartGrid).charts]
        assert titles[3:5] == ["learning rate", "gradient norm"]
        told = ("constant_output", "Start again from EXP-00.", "a line", "input sensitivity 93.0 %", "▲ 1 alarm")
        await until(pilot, lambda: all(words in shown(app) for words in (*told, "padded 30x30")))


async def test_what_the_trainer_appends_is_drawn(runs, until, shown):
    runs.make("one", steps=100)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await opened(app, pilot, until)
        writer = runs.writers["one"]
        writer.metrics(
            {"step": 110, "elapsed_s": 22.0, "loss": 0.25, "lr": 1e-3, "grad_norm": 1.0, "samples_per_sec": 160.0}
        )
        writer.log("something new")
        await until(
            pilot, lambda: series(app, "loss")[0]["train"].last == (110, 0.25) and "something new" in shown(app)
        )


async def test_a_run_cut_to_its_checkpoint_is_read_again(runs, until):
    runs.make("one", steps=200)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await opened(app, pilot, until)
        assert len(series(app, "loss")[0]["train"]) == 20
        runs.writers["one"].cut(100)
        await until(pilot, lambda: len(series(app, "loss")[0]["train"]) == 10)


@pytest.mark.parametrize("size", [(80, 24), (120, 24), (80, 50)])
async def test_small_terminals_show_a_page_at_a_time(runs, until, shown, size):
    runs.make("one", alarms=(ALARM,))
    app = ConsoleApp(runs.folder, tick_s=0.05)
    marks = {
        "curves": "┤",
        "status": "of 1000",
        "alarms": "Start again from EXP-00.",
        "log": "a line",
        "config": "holds no recipe",
        "halting": "holds no halting histogram",
        "families": "by family this row",
        "values": "move a crosshair",
    }
    async with app.run_test(size=size, notifications=True) as pilot:
        await opened(app, pilot, until)
        for key, page in enumerate(PAGES, 1):
            await pilot.press(str(key))
            await until(pilot, lambda page=page: marks[page] in shown(app))
            assert not any(mark in shown(app) for other, mark in marks.items() if other != page)
            assert "constant_output" in shown(app)


async def test_charts_that_do_not_fit_are_on_further_pages(runs, until, shown):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        seen = set()
        for _ in range(3):
            seen |= {
                chart.title
                for at, chart in enumerate(app.screen.query_one(ChartGrid).charts)
                if at in app.screen.query_one(ChartGrid).shown
            }
            await pilot.press("right_square_bracket")
            await pilot.pause()
        assert len(seen) == 6
        await until(pilot, lambda: "1-2/6" in shown(app))
        await pilot.press("left_square_bracket", "z")
        await until(pilot, lambda: "5/6" in shown(app) and "gradient norm" in shown(app))


async def test_log_scale_and_smoothing_reach_the_charts(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("y", "e")
        await pilot.pause()
        view = series(app, "loss")[1].view
        assert view.log_y and view.smoothing > 0 and not series(app, "exact")[1].view.log_y


@pytest.mark.parametrize("screen", ["runs", "run", "launch", "help", "stop"])
async def test_resized_to_nothing_and_back(runs, until, screen):
    runs.make("one", alarms=(ALARM,))
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        if screen == "run":
            await opened(app, pilot, until)
        else:
            await pilot.press(*{"launch": ["n"], "help": ["question_mark"], "stop": ["s"]}.get(screen, []))
        for size in ((40, 10), (3, 2), (200, 60), (40, 10), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await pilot.press("tab")
        assert app.is_running and app._exception is None


async def test_a_run_that_vanishes_is_said_to_have(runs, until, shown):
    folder = runs.make("one", "finished")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await opened(app, pilot, until)
        folder.rename(runs.folder.parent / "elsewhere")
        await until(pilot, lambda: "not in the folder any more" in shown(app))


async def test_a_long_run_is_handed_over_in_batches(runs, until):
    runs.make("one", steps=50_000, max_steps=100_000)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await until(pilot, lambda: len(series(app, "loss")[0]["train"]) == 5_000)


async def test_a_run_named_on_the_command_line_is_opened(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05, open_run="one")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen))


@pytest.mark.parametrize(
    ("room", "grid"),
    [((80, 20), (1, 2)), ((150, 44), (2, 3)), ((200, 20), (3, 2)), ((40, 6), (1, 1)), ((0, 0), (1, 1))],
)
def test_the_grid_fits_the_room(room, grid):
    assert grid_for(*room, 6) == grid


async def test_the_run_that_is_looked_at_is_followed_whatever_lies_below(runs, until):
    for name in ("a", "b"):
        runs.make(name, steps=100)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await until(pilot, lambda: len(app.runs) == 2)
        other = next(line.run_id for line in app.runs if line.run_id != app.screen.chosen)
        await opened(app, pilot, until, other)
        for name in ("a", "b"):
            runs.writers[name].metrics({"step": 110, "elapsed_s": 22.0, "loss": 0.5})
            runs.writers[name].status(runs.status("running", 110))
        await until(pilot, lambda: series(app, "loss")[0]["train"].last == (110, 0.5))
        await until(pilot, lambda: app.line_of("a").step == app.line_of("b").step == 110)
        assert list(app.feeds) == [other]


async def test_a_tick_that_changed_nothing_paints_nothing(runs, until, monkeypatch):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.pause(0.3)
        painted = []
        monkeypatch.setattr(app, "_display", lambda screen, update: painted.append(update))
        for _ in range(5):
            app.screen.runs_changed()
            app.screen.feed_changed()
            await pilot.pause(0.05)
        assert painted == []


def test_the_axis_of_a_run_that_goes_on_moves_by_an_eighth_at_a_time():
    feed = Feed("one")
    ends = []
    for step in range(10, 5_000, 10):
        feed.take(Batch("one", metrics=[{"step": step, "loss": 1.0, "elapsed_s": 1.0}]))
        ends.append(horizon(feed))
        assert step <= ends[-1] <= step * 1.126
    assert len(set(ends)) < 60
    assert run_charts(feed)[0].view.x_high == 5_000


def test_a_resumed_run_goes_back_to_its_checkpoint():
    feed = Feed("one")
    rows = [{"step": step, "kind": "full", "metrics": {"exact": step / 1000}} for step in (100, 200, 300)]
    feed.take(Batch("one", evaluations=rows))
    feed.take(Batch("one", evaluations=[{"step": 150, "kind": "full", "metrics": {"exact": 0.5}}]))
    assert [row["step"] for row in feed.evaluations] == [100, 150]
    assert list(feed.full["exact"].ys) == [0.1, 0.5]

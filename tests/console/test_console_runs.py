"""The runs screen against run folders of the real writer: what the files say is what the table shows."""

from __future__ import annotations

import os

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.launching import Outcome
from hrm_console.screens.run import RunScreen
from hrm_console.screens.runs import RunsScreen
from hrm_console.screens.stop import StopScreen
from hrm_console.widgets.chart import ChartWidget

ALARM = {"name": "input_blind", "sentence": "2 % change when the input is swapped.", "advice": "Re-inject the input."}


def table(app):
    return [row.plain for row in app.screen.query_one("#table").rows]


async def test_an_empty_folder_explains_how_to_start(runs, until, shown):
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: "No runs here yet." in shown(app))
        text = shown(app)
        assert "Press n" in text and "hrm run demo --detach" in text and runs.folder.name in text


async def test_a_folder_that_is_missing_is_an_empty_one(tmp_path, until, shown):
    app = ConsoleApp(tmp_path / "none", tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: "No runs here yet." in shown(app))


async def test_the_first_frame_comes_before_any_reading(runs, monkeypatch, shown):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    monkeypatch.setattr(app.watching, "start", lambda: None)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause()
        assert "reading" in shown(app) and not app.runs


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_every_state_is_shown(runs, until, shown, size):
    states = ["running", "paused", "stopping", "finished", "stopped", "failed", "lost"]
    for state in states:
        runs.make(f"run-{state}", state, alarms=(ALARM,) if state == "running" else ())
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: len(table(app)) == len(states))
        rows = {row.split()[1]: row for row in table(app)}
        assert set(rows) == set(states)
        assert "200/1k" in rows["running"] and "10.0" in rows["running"] and "0.9" in rows["running"]
        assert "+9.1" in rows["running"] and "2m40" in rows["running"]
        assert "▲ 2 alarms" in shown(app)
        assert "2m40" not in rows["finished"]


async def test_what_is_written_while_it_is_shown_appears(runs, until):
    runs.make("one", steps=200)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: table(app) and "200/1k" in table(app)[0])
        runs.writers["one"].status(runs.status("paused", 210))
        await until(pilot, lambda: "210/1k" in table(app)[0] and "paused" in table(app)[0])
        runs.make("two")
        await until(pilot, lambda: len(table(app)) == 2)


async def test_a_run_killed_is_lost_and_offers_resume(runs, until, shown):
    runs.make("one")
    asked = []

    def launcher(argv):
        asked.append(list(argv))
        return Outcome(True, "")

    app = ConsoleApp(runs.folder, tick_s=0.05, launcher=launcher)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: table(app) and "running" in table(app)[0])
        runs.writers["one"].close()
        await until(pilot, lambda: "lost" in table(app)[0] and "Press r" in shown(app))
        await pilot.press("r")
        await until(pilot, lambda: asked)
        assert asked[0][1:] == ["-m", "hrm_core.cli.main", "resume", "one", "--detach", "--runs", str(runs.folder)]
        await until(pilot, lambda: "is resumed" in shown(app))


async def test_the_cursor_stays_on_its_run_when_others_come(runs, until):
    for name in ("a", "b", "c"):
        runs.make(name)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: len(table(app)) == 3)
        await pilot.press("down")
        await pilot.pause()
        chosen = app.screen.chosen
        runs.make("d")
        await until(pilot, lambda: len(table(app)) == 4)
        screen = app.screen
        assert screen.chosen == chosen
        assert screen.listed[screen.query_one("#table").cursor].run_id == chosen


async def test_enter_opens_the_run_and_escape_comes_back(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: table(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == "one")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


@pytest.mark.parametrize(
    ("keys", "kind"), [(["c"], "stop"), (["n"], "stop-now"), (["down", "enter"], "stop-now"), (["enter"], "stop")]
)
async def test_stop_asks_once_and_writes_a_request(runs, until, shown, keys, kind):
    folder = runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: table(app))
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, StopScreen) and "at the next checkpoint" in shown(app))
        await pilot.press(*keys)
        await until(pilot, lambda: os.listdir(folder / "control"))
        (name,) = os.listdir(folder / "control")
        assert f"-{kind}-" in name and not (kind == "stop" and "-stop-now-" in name)
        await until(pilot, lambda: "will stop" in shown(app))


async def test_escape_in_the_stop_dialog_asks_nothing_of_the_run(runs, until):
    folder = runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: table(app))
        await pilot.press("s", "escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert os.listdir(folder / "control") == []


async def test_p_pauses_and_continues(runs, until):
    folder = runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)

    def asked():
        return sorted(name.split("-")[1] for name in os.listdir(folder / "control"))

    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: table(app))
        await pilot.press("p")
        await until(pilot, lambda: asked() == ["pause"])
        runs.writers["one"].status(runs.status("paused", 200))
        await until(pilot, lambda: "paused" in table(app)[0])
        await pilot.press("p")
        await until(pilot, lambda: asked() == ["continue", "pause"])


async def test_keys_that_make_no_sense_say_so(runs, until, shown):
    folder = runs.make("one", "finished")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: table(app))
        await pilot.press("s")
        await until(pilot, lambda: "nothing to stop" in shown(app))
        assert not os.listdir(folder / "control")


async def test_a_tall_terminal_draws_the_chosen_run(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await until(pilot, lambda: table(app))
        chart = app.screen.query_one("#preview-0", ChartWidget)
        await until(pilot, lambda: chart.chart is not None and len(chart.chart.lines[0].series) == 20)


async def test_runs_that_vanish_or_break_while_shown_do_no_harm(runs, until, shown):
    one, two = runs.make("one"), runs.make("two", "finished")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: len(table(app)) == 2)
        (two / "status.json").write_bytes(b"{half")
        (one / "metrics.jsonl").write_bytes(b"\xff\xfe\x00 no row\n" * 50)
        runs.make("three")
        await until(pilot, lambda: len(table(app)) == 3)
        for path in two.rglob("*"):
            if path.is_file():
                path.unlink()
        await until(pilot, lambda: len(table(app)) == 2)
        assert app.is_running

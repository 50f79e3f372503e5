"""Renaming and removing from the runs screen, against folders of the real writer."""

from __future__ import annotations

import os

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.screens.runs import RunsScreen
from hrm_console.screens.runs_remove import RemoveScreen
from hrm_console.screens.runs_rename import RenameScreen
from hrm_core.runs.sweeps import Sweep, extend_sweep


async def ready(app, pilot, until, count):
    await until(pilot, lambda: len(app.runs) == count and app.screen.digest.news is not None)


async def dialog(app, pilot, until, screen, attribute):
    """The dialog, once it knows what it has to say."""
    await until(pilot, lambda: isinstance(app.screen, screen) and getattr(app.screen, attribute) is not None)
    await pilot.pause()


async def type_name(app, pilot, name):
    app.screen.field.value = ""
    await pilot.press(*name)


async def test_a_run_is_renamed_and_its_marks_follow(runs, until, shown):
    runs.make("old", "finished")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(app, pilot, until, 1)
        await pilot.press("space", "b", "R")
        await dialog(app, pilot, until, RenameScreen, "known")
        await type_name(app, pilot, "new")
        await pilot.press("enter")
        await until(pilot, lambda: [line.run_id for line in app.runs] == ["new"])
        await until(pilot, lambda: "old is new now" in shown(app))
        assert app.session.marked == ("new",) and app.session.baseline == "new" and app.screen.chosen == "new"
    assert os.listdir(runs.folder) == ["new"]


async def test_a_name_that_cannot_be_is_said_while_it_is_typed(runs, until, shown):
    runs.make("old", "finished")
    runs.make("other", "finished")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(app, pilot, until, 2)
        app.screen.held.key = "old"
        app.screen.show_runs()
        await pilot.press("R")
        await dialog(app, pilot, until, RenameScreen, "known")
        for name, said in (("other", "There is a run other already."), ("../x", "is not allowed"), ("old", "name now")):
            await type_name(app, pilot, name)
            await until(pilot, lambda said=said: said in shown(app))
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(app.screen, RenameScreen)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
    assert sorted(os.listdir(runs.folder)) == ["old", "other"]


async def test_a_run_of_a_sweep_is_not_renamed_in_silence(runs, until, shown):
    extend_sweep(runs.folder, Sweep("night", ("EXP-00",), 1, 1, ()))
    runs.make("night-EXP-00-s1", "finished")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(app, pilot, until, 1)
        await pilot.press("R")
        await until(pilot, lambda: "It belongs to sweep night" in shown(app))


@pytest.mark.parametrize(("key", "word"), [("R", "renamed"), ("D", "removed")])
async def test_a_run_that_goes_on_is_refused(runs, until, key, word):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        await ready(app, pilot, until, 1)
        await pilot.press(key)
        told = f"one is running: press s to stop it before it can be {word}"
        await until(pilot, lambda: [toast.message for toast in app._notifications] == [told])
        assert isinstance(app.screen, RunsScreen)


@pytest.mark.parametrize("keys", [["escape"], ["enter"]])
async def test_removing_asks_once_and_keeping_is_the_first_answer(runs, until, shown, keys):
    folder = runs.make("one", "finished")
    (folder / "archive" / "best-00000100").mkdir()
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(app, pilot, until, 1)
        await pilot.press("D")
        await until(pilot, lambda: "MiB, no checkpoints, 1 archived best" in shown(app))
        await pilot.press(*keys)
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
    assert os.listdir(runs.folder) == ["one"]


async def test_yes_removes_the_run_under_the_cursor_alone(runs, until, shown):
    for name in ("one", "two", "three"):
        runs.make(name, "finished")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(app, pilot, until, 3)
        await pilot.press("space")
        chosen = app.screen.chosen
        await pilot.press("D")
        await dialog(app, pilot, until, RemoveScreen, "found")
        assert "remove the marked run" in shown(app) and "in all:" in shown(app)
        await pilot.press("y")
        await until(pilot, lambda: len(app.runs) == 2 and f"{chosen} is removed" in shown(app))
        assert len(app.session.marked) == 1
    assert len(os.listdir(runs.folder)) == 2 and chosen not in os.listdir(runs.folder)


async def test_all_marked_runs_go_at_once_and_those_that_go_on_stay(runs, until, shown):
    for name in ("one", "two"):
        runs.make(name, "lost")
    runs.make("alive")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(app, pilot, until, 3)
        await pilot.press("A", "D")
        await dialog(app, pilot, until, RemoveScreen, "found")
        assert "1 marked runs go on and are left alone." in shown(app)
        await pilot.press("a")
        await until(
            pilot, lambda: [line.run_id for line in app.runs] == ["alive"] and "2 runs are removed" in shown(app)
        )
        assert app.session.marked == ("alive",)


async def test_a_run_that_was_taken_up_meanwhile_stays_and_says_so(runs, until, shown):
    folder = runs.make("one", "lost")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 24), notifications=True) as pilot:
        await ready(app, pilot, until, 1)
        await pilot.press("D")
        await dialog(app, pilot, until, RemoveScreen, "found")
        from hrm_core.runs.writer import RunWriter

        runs.writers["one"] = RunWriter.open(folder)
        await pilot.press("y")
        await until(pilot, lambda: "cannot be removed" in shown(app))
    assert (folder / "run.json").exists()


async def test_names_from_outside_reach_no_dialog_raw(runs, until, shown):
    from hrm_core.runs.text import clean

    evil = "evil\x1b]0;pwned\x07[bold]"
    (runs.folder / evil).mkdir()
    (runs.folder / evil / "run.json").write_text("{}")
    (runs.folder / evil / "result.json").write_text('{"state": "finished"}')
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await ready(app, pilot, until, 1)
        await pilot.press("b", "R")
        await dialog(app, pilot, until, RenameScreen, "known")
        texts = [shown(app)]
        await pilot.press("escape", "D")
        await dialog(app, pilot, until, RemoveScreen, "found")
        texts.append(shown(app))
    assert all(clean(character) == character for text in texts for character in text.replace("\n", ""))
    assert all("pwned" in text for text in texts)

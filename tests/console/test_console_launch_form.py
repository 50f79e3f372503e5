"""All settings of the launch form: changed in place they stand in the overrides line, and go from it again."""

from __future__ import annotations

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.launching import Outcome
from hrm_console.screens.launch import LaunchScreen
from hrm_console.screens.launch_words import candidate_rows
from hrm_console.theme import FULL
from hrm_console.views.launch.overrides import candidates, keys, settled, taken, with_override
from hrm_core.errors import UserError


def console(runs):
    return ConsoleApp(runs.folder, tick_s=0.05, launcher=lambda argv: Outcome(True, ""))


async def settings_of(app, pilot, until, experiment="EXP-03", preset="cpu", key=""):
    app.go("launch", experiment, f"preset={preset}")
    await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and app.screen.answer is not None)
    await until(pilot, lambda: app.screen.answer.form[:2] == (experiment, preset))
    await pilot.press("f2")
    await until(pilot, lambda: app.screen.on_settings and app.screen.settings_list.choice.rows)
    if key:
        await at(app, pilot, key)
    return app.screen


async def at(app, pilot, key):
    pane = app.screen.settings_list
    pane.choice.move_to([info.key for info in pane.listed].index(key))
    await pilot.pause()


async def value(app, pilot, until, key, wanted):
    await until(pilot, lambda: app.screen.answer.checked.values.get(key) == wanted)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (120, 40), (200, 60)])
async def test_all_settings_are_listed_with_their_values(runs, until, shown, size):
    app = console(runs)
    async with app.run_test(size=size, notifications=True) as pilot:
        screen = await settings_of(app, pilot, until)
        assert [info.key for info in screen.settings_list.listed] == list(keys())
        hidden = next(row for row in screen.settings_list.choice.rows if "≠hidden" in row.plain)
        if size[0] > 60:
            assert "128" in hidden.plain and "256" in hidden.plain
        await pilot.press("f2")
        await until(pilot, lambda: not screen.on_settings)


async def test_a_choice_steps_and_is_taken_out_again_where_it_is_the_experiments_own(runs, until):
    app = console(runs)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await settings_of(app, pilot, until, key="schedule.kind")
        for wanted, line in (
            ("constant", "schedule.kind=constant"),
            ("cosine", "schedule.kind=cosine"),
            ("wsd", ""),
        ):
            await pilot.press("enter")
            await until(pilot, lambda line=line: screen.overrides.value == line)
            await value(app, pilot, until, "schedule.kind", wanted)


async def test_a_number_is_typed_checked_written_and_given_back(runs, until, shown):
    app = console(runs)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await settings_of(app, pilot, until, key="training.batch")
        await pilot.press("enter", "0")
        await until(pilot, lambda: "at least 1" in " ".join(shown(app).split()))
        assert screen.overrides.value == "" and screen.settings_list.value.has_focus
        screen.settings_list.value.value = "48"
        await value(app, pilot, until, "training.batch", "48")
        await pilot.press("enter")
        await until(pilot, lambda: screen.overrides.value == "training.batch=48")
        assert screen.settings_list.choice.has_focus
        await pilot.press("enter", "9", "escape")
        await until(pilot, lambda: screen.settings_list.editing is None)
        await value(app, pilot, until, "training.batch", "48")
        await pilot.press("backspace")
        await until(pilot, lambda: screen.overrides.value == "")
        await value(app, pilot, until, "training.batch", "32")


async def test_a_technique_is_switched_with_its_settings(runs, until):
    app = console(runs)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await settings_of(app, pilot, until, key="techniques.drop_path.probability")
        await pilot.press("enter")
        screen.settings_list.value.value = "0.4"
        await pilot.press("enter")
        await until(pilot, lambda: screen.overrides.value == "techniques.drop_path.probability=0.4")
        await at(app, pilot, "techniques.drop_path")
        await value(app, pilot, until, "techniques.drop_path", "on")
        await pilot.press("enter")
        await until(pilot, lambda: screen.overrides.value == "techniques.drop_path=none")
        await value(app, pilot, until, "techniques.drop_path", "none")


async def test_settings_are_searched(runs, until, shown):
    app = console(runs)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await settings_of(app, pilot, until)
        await pilot.press("slash", *"muon rate")
        await until(pilot, lambda: [info.key for info in screen.settings_list.listed][-1] == "optimizer.muon_lr")
        await pilot.press("enter")
        assert screen.settings_list.choice.has_focus
        await pilot.press("slash", *"zzz")
        await until(pilot, lambda: "no setting has these words" in shown(app))
        await pilot.press("enter", "enter", "backspace")
        await pilot.press("escape")
        await until(pilot, lambda: len(screen.settings_list.listed) == len(keys()))
        await pilot.press("escape")
        await until(pilot, lambda: not screen.on_settings)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.ROOM == "runs")


async def test_tab_takes_the_marked_suggestion_and_goes_on_where_there_is_none(runs, until, shown):
    app = console(runs)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.go("launch")
        await until(pilot, lambda: getattr(app.screen, "answer", None) is not None)
        field = app.screen.overrides
        field.focus()
        await pilot.press(*"optimizer.")
        await until(pilot, lambda: "‹optimizer.kind›" in shown(app) and "optimizer.clip" in shown(app))
        assert "is no override" not in shown(app)
        await pilot.press("down", "down", "up", "tab")
        await until(pilot, lambda: field.value == "optimizer.lr=")
        field.value = "optimizer.kind="
        field.cursor_position = len(field.value)
        await until(pilot, lambda: "‹adamw›" in shown(app))
        await pilot.press("up", "tab")
        await until(pilot, lambda: field.value == "optimizer.kind=muon" and app.screen.answer.form[2] == field.value)
        assert app.screen.answer.checked.problem == ""
        await pilot.press("tab")
        await until(pilot, lambda: not field.has_focus)


async def test_the_suggestion_is_shown_behind_what_is_typed(runs, until, shown):
    app = console(runs)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.go("launch")
        await until(pilot, lambda: getattr(app.screen, "answer", None) is not None)
        app.screen.overrides.focus()
        await pilot.press(*"training.max")
        await until(pilot, lambda: "training.max_steps=" in shown(app))


@pytest.mark.parametrize(
    ("line", "key", "wanted", "after"),
    [
        ("", "training.batch", "8", "training.batch=8"),
        ("training.batch=4 training.seed=2", "training.batch", "8", "training.batch=8 training.seed=2"),
        ("training.batch=4 training.batch=5", "training.batch", "8", "training.batch=8"),
        ("training.seed=2", "training.seed", None, ""),
        ("techniques.drop_path.mask=call", "techniques.drop_path", "none", "techniques.drop_path=none"),
        ("data.source='a b'", "training.seed", "2", "'data.source=a b' training.seed=2"),
        ("", "data.source", "a;b", "'data.source=a;b'"),
    ],
)
def test_one_value_is_set_in_a_line(line, key, wanted, after):
    assert with_override(line, key, wanted) == after


def test_the_experiments_own_value_needs_no_override():
    assert settled("EXP-00", "cpu", "training.seed=2", "training.batch", "32") == "training.seed=2"
    assert settled("EXP-00", "plan", "training.seed=2", "training.batch", "32") == "training.seed=2 training.batch=32"
    assert settled("EXP-03", "cpu", "techniques.drop_path=none", "techniques.drop_path", "on") == ""
    assert settled("EXP-03", "cpu", "", "techniques.drop_path", "none") == "techniques.drop_path=none"
    assert settled("EXP-00", "cpu", "training.bach=3", "training.batch", "32").endswith("training.batch=32")
    with pytest.raises(UserError, match="quote"):
        settled("EXP-00", "cpu", "a='", "training.batch", "32")


def test_a_preset_is_taken_from_the_line():
    assert taken("preset=cpu training.seed=2", "preset") == ("cpu", "training.seed=2")
    assert taken("training.seed=2", "preset") == ("", "training.seed=2") and taken("a='", "preset") == ("", "a='")


@pytest.mark.parametrize("width", [30, 63, 100])
@pytest.mark.parametrize("word", ["t", "e", "training.", "techniques.", "optimizer.kind="])
def test_the_marked_suggestion_is_always_in_sight(word, width):
    found = candidates(word)
    for at_number, candidate in enumerate(found):
        rows = candidate_rows(found, at_number, FULL, width)
        assert len(rows) <= 2
        if width > 60:
            assert f"‹{candidate.shown}›" in " ".join(row.plain for row in rows)

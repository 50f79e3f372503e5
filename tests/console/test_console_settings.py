"""The settings screen: every kind of setting is changed, kept and holds; keys are given, refused and given back."""

from __future__ import annotations

import tomllib

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.keys import keys_path, read_keymap
from hrm_console.screens.settings import SettingsScreen
from hrm_console.theme import look_for
from hrm_console.views.settings.words import key_rows, shown, typed
from hrm_core.errors import UserError
from hrm_core.runs.user_settings import BY_KEY, SETTINGS, read_settings, settings_path


def written():
    return tomllib.loads(settings_path().read_text()) if settings_path().exists() else {}


async def opened(app, pilot, until, key=""):
    await pilot.press("g", "s")
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and app.screen.settings_list.rows)
    if key:
        app.screen.settings_list.move_to([setting.key for setting in SETTINGS].index(key))
        await pilot.pause()


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60)])
async def test_every_setting_is_listed_with_what_it_is(runs, until, shown, size):
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=size, notifications=True) as pilot:
        await opened(app, pilot, until)
        listed = [row.plain for row in app.screen.settings_list.rows]
        assert len(listed) == len(SETTINGS)
        for setting, row in zip(SETTINGS, listed, strict=True):
            assert setting.key.partition(".")[2][:20] in row
        await pilot.press("2")
        await until(pilot, lambda: "screen" in shown(app) and len(app.screen.keys_list.rows) == len(key_rows()))
        assert app.screen.shell_words() == ("settings",)


async def test_a_choice_is_stepped_through_kept_and_holds_at_once(runs, until, monkeypatch):
    """On a terminal of 256 colours; one of 16 has its own whatever is chosen."""
    monkeypatch.setattr("hrm_console.app.look_for", lambda setting, _: look_for(setting, "256"))
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until, "console.theme")
        for theme in ("calm", "clear", "light", "ansi", "auto"):
            await pilot.press("enter")
            await until(pilot, lambda theme=theme: app.settings.text("console.theme") == theme)
            await until(pilot, lambda theme=theme: written().get("console", {}).get("theme", "auto") == theme)
            assert app.theme == {"ansi": "calm-16", "auto": "calm"}.get(theme, theme)
            row = app.screen.settings_list.rows[0]
            assert app.palette.text in {str(span.style) for span in row.spans}
        assert "≠" not in app.screen.settings_list.rows[0].plain


async def test_a_number_is_typed_checked_and_refused_where_it_is_out_of_range(runs, until, shown):
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until, "console.refresh_s")
        await pilot.press("enter", "9", "9", "9")
        await until(pilot, lambda: "a number from 0.1 to 60" in " ".join(shown(app).split()))
        await pilot.press("enter")
        assert app.screen.editing is not None and app.settings.number("console.refresh_s") == 0.5
        app.screen.value.value = "2"
        await pilot.press("enter")
        await until(pilot, lambda: written().get("console", {}).get("refresh_s") == 2.0)
        assert app.watching.tick_s == 2.0 and read_settings().number("console.refresh_s") == 2.0
        await pilot.press("enter", "7", "escape")
        await until(pilot, lambda: app.screen.editing is None)
        assert app.settings.number("console.refresh_s") == 2.0 and isinstance(app.screen, SettingsScreen)
        await pilot.press("backspace")
        await until(pilot, lambda: app.settings.number("console.refresh_s") == 0.5 and not written()["console"])


async def test_yes_and_no_and_words(runs, until):
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until, "console.mouse")
        await pilot.press("enter")
        await until(pilot, lambda: written().get("console") == {"mouse": False})
        app.screen.settings_list.move_to(list(BY_KEY).index("notify.command"))
        await pilot.press("enter")
        app.screen.value.value = "notify-send 'a run"
        await until(pilot, lambda: "close the quote" in app.screen.wrong)
        app.screen.value.value = "notify-send 'a run'"
        await pilot.press("enter")
        await until(pilot, lambda: written()["notify"]["command"] == ["notify-send", "a run"])


async def test_a_disk_that_refuses_is_said(runs, until, shown, tmp_path):
    (tmp_path / "config").write_text("in the way")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until, "console.mouse")
        await pilot.press("enter")
        await until(pilot, lambda: "config" in shown(app) and "hrm-console" in shown(app))
        assert app.is_running


async def catch(app, pilot, until, action, key):
    app.screen.keys_list.move_to([row.action.id for row in key_rows()].index(action))
    await pilot.press("enter")
    await until(pilot, lambda: getattr(app.screen, "ROOM", "") == "catch")
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen))


async def test_a_key_is_given_refused_and_given_back(runs, until, shown):
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await pilot.press("2")
        await catch(app, pilot, until, "launch", "s")
        assert "another use on the screen runs" in app.screen.wrong and app.keymap == {}
        await catch(app, pilot, until, "launch", "escape")
        assert app.keymap == {} and not keys_path().exists()
        await catch(app, pilot, until, "launch", "f9")
        await until(pilot, lambda: app.keymap == {"launch": "f9"} and keys_path().exists())
        await until(pilot, lambda: read_keymap(keys_path()) == ({"launch": "f9"}, ()))
        assert any("F9" in row.plain and "≠" in row.plain for row in app.screen.keys_list.rows)
        await pilot.press("escape", "n")
        await pilot.pause()
        assert app.screen.ROOM == "runs"
        await pilot.press("f9")
        await until(pilot, lambda: app.screen.ROOM == "launch")
        await pilot.press("escape", "g", "s", "2")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and app.screen.page == "keys")
        app.screen.keys_list.move_to([row.action.id for row in key_rows()].index("launch"))
        await pilot.press("backspace")
        await until(pilot, lambda: app.keymap == {} and read_keymap(keys_path()) == ({}, ()))
        await pilot.press("escape", "n")
        await until(pilot, lambda: app.screen.ROOM == "launch")


def test_what_is_shown_can_be_typed_again():
    for setting in SETTINGS:
        assert typed(setting, shown(setting.default)) == setting.default
    assert typed(BY_KEY["notify.command"], "a 'b c'") == ("a", "b c")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("console.refresh_s", "often"),
        ("console.refresh_s", "nan"),
        ("console.theme", "pink"),
        ("console.mouse", "perhaps"),
        ("notify.command", "'a"),
    ],
)
def test_what_cannot_be_is_refused_by_name(key, text):
    with pytest.raises(UserError, match=key):
        typed(BY_KEY[key], text)


async def test_a_wrong_value_is_not_taken_after_a_click_on_another_setting(runs, until, shown):
    """What was typed is left as it was with its trouble: it must not be taken without."""
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until, "console.refresh_s")
        await pilot.press("enter", "9", "9", "9")
        await until(pilot, lambda: app.screen.wrong)
        await pilot.click(app.screen.settings_list, offset=(5, 1))
        await until(pilot, lambda: app.screen.settings_list.cursor == 1)
        app.screen.value.focus()
        await pilot.press("enter")
        assert app.screen.editing is None and not app.screen.wrong
        assert app.settings.number("console.refresh_s") == 0.5

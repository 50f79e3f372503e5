"""The key map: what a file says against what is bound and shown; mistakes are said and take no key away."""

from __future__ import annotations

import pytest

from hrm_console.actions import actions_of, key_name
from hrm_console.app import ConsoleApp
from hrm_console.keys import checked_keymap, read_keymap, textual_keys
from hrm_console.screens.help import HelpScreen
from hrm_console.screens.launch import LaunchScreen


def test_keys_are_read_and_shown(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text('[keys]\nlaunch = "F2, ctrl+n"\nhelp = "?"\n')
    keymap, problems = read_keymap(path)
    assert keymap == {"launch": "f2,ctrl+n", "help": "question_mark"} and problems == ()
    shown = {action.id: action.shown for action in actions_of("runs", keymap)}
    assert shown["launch"] == "F2" and shown["help"] == "?"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"lanch": "x"}, "did you mean launch"),
        ({"launch": "alt+n"}, "ctrl+letter"),
        ({"launch": "ctrl+enter"}, "ctrl+letter"),
        ({"launch": 5}, "ctrl+letter"),
        ({"launch": "s"}, "another use on the screen runs"),
        ({"launch": "ctrl+q"}, "another use"),
    ],
)
def test_mistakes_are_said_and_the_key_stays(wanted, words):
    keymap, problems = checked_keymap(wanted)
    assert keymap == {} and len(problems) == 1 and words in problems[0]


@pytest.mark.parametrize("text", ["[keys\n", "keys = 3\n", "\x00"])
def test_a_file_that_is_no_key_map_changes_nothing(tmp_path, text):
    path = tmp_path / "keys.toml"
    path.write_text(text)
    keymap, problems = read_keymap(path)
    assert keymap == {} and len(problems) == 1


def test_two_actions_may_swap_their_keys():
    keymap, problems = checked_keymap({"stop": "p", "pause": "s"})
    assert keymap == {"stop": "p", "pause": "s"} and problems == ()


@pytest.mark.parametrize(
    ("written", "meant"), [("?", "question_mark"), ("F5", "f5"), ("Q", "Q"), ("esc", "escape"), ("ctrl+S", "ctrl+s")]
)
def test_a_person_writes_keys_as_they_look(written, meant):
    assert textual_keys(written) == meant
    assert key_name(meant)


async def test_a_mapped_key_works_and_the_old_one_does_not(runs, until, shown, tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text('[keys]\nlaunch = "f2"\nstopp = "x"\n')
    app = ConsoleApp(runs.folder, tick_s=0.05, keys_file=path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.keymap and "F2" in shown(app))
        await until(pilot, lambda: "did you mean stop" in " ".join(shown(app).split()))
        await pilot.press("n")
        await pilot.pause()
        assert not isinstance(app.screen, LaunchScreen)
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen))
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await until(pilot, lambda: any("F2" in row.plain for row in app.screen.query_one("#help").rows))

"""The table of actions against the screens: every call exists, no key does two things, help lists everything."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from hrm_console.actions import ACTIONS, EVERYWHERE, MOVEMENT, SCREENS, actions_of, bindings_of
from hrm_console.app import ConsoleApp
from hrm_console.key_table import with_table
from hrm_console.rooms import ROOMS
from hrm_console.screens.archive_ask import AskScreen
from hrm_console.screens.archive_prune import PruneScreen
from hrm_console.screens.go import GoScreen
from hrm_console.screens.help import HelpScreen, help_rows
from hrm_console.screens.launch_save import SaveScreen
from hrm_console.screens.queue_ask import AfterScreen, CloneScreen, QueueRemoveScreen
from hrm_console.screens.run_pick import PickScreen
from hrm_console.screens.runs import RunsScreen
from hrm_console.screens.runs_remove import RemoveScreen
from hrm_console.screens.runs_rename import RenameScreen
from hrm_console.screens.settings_catch import CatchScreen
from hrm_console.screens.stop import StopScreen
from hrm_console.theme import FULL

ROOM_CLASSES = [getattr(import_module(f"hrm_console.screens.{room.module}"), room.attribute) for room in ROOMS.values()]
OWNERS = {
    screen.ROOM: screen
    for screen in (
        *ROOM_CLASSES,
        StopScreen,
        HelpScreen,
        GoScreen,
        CatchScreen,
        SaveScreen,
        PickScreen,
        RenameScreen,
        RemoveScreen,
        AskScreen,
        PruneScreen,
        AfterScreen,
        CloneScreen,
        QueueRemoveScreen,
    )
}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.id)
def test_what_an_action_calls_exists(action):
    call = action.call.partition("(")[0]
    if call.startswith("app."):
        assert hasattr(ConsoleApp, f"action_{call.removeprefix('app.')}")
    else:
        assert all(hasattr(OWNERS[screen], f"action_{call}") for screen in action.screens)


def test_ids_are_unique_and_screens_known():
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    assert {screen for action in ACTIONS for screen in action.screens} <= {EVERYWHERE, *OWNERS}


@pytest.mark.parametrize("room", OWNERS)
def test_no_key_does_two_things_on_one_screen(room):
    keys = [key for action in actions_of(room) for key in action.keys.split(",")]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("room", OWNERS)
def test_bindings_come_from_the_table(room):
    assert bindings_of(room) == OWNERS[room].BINDINGS


def test_keys_are_such_as_every_terminal_sends():
    """Letters, digits, F keys, ctrl with a letter: no alt, no ctrl+enter, which tmux and others swallow."""
    for action in ACTIONS:
        for key in action.keys.split(","):
            assert "alt+" not in key and key not in ("ctrl+enter", "shift+enter", "ctrl+space")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_help_lists_every_action(width):
    text = " ".join(" ".join(row.plain.split()) for row in help_rows("runs", FULL, width))
    for action in ACTIONS:
        assert action.shown in text
        assert " ".join(action.sentence.split()) in text
    for _, sentence in MOVEMENT:
        assert sentence in text
    assert all(title in text for title in SCREENS.values())


async def test_question_mark_opens_the_help_and_escape_closes_it(runs, until, shown):
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("question_mark")
        await until(
            pilot, lambda: isinstance(app.screen, HelpScreen) and "Open the run under the cursor." in shown(app)
        )
        assert str(runs.folder)[-12:] in "\n".join(row.plain for row in app.screen.query_one("#help").rows)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


@pytest.mark.parametrize("keys", [[], ["n"], ["question_mark"], ["n", "tab", "tab"], ["n", "f1"]])
async def test_ctrl_q_leaves_from_everywhere_with_exit_code_0(runs, keys):
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press(*keys)
        await pilot.press("ctrl+q")
        await pilot.pause()
    assert (app.return_code or 0) == 0 and not app.is_running


async def test_the_palette_offers_the_actions_of_the_screen(runs):
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True):
        assert "go to Launch" in [command.title for command in app.get_system_commands(app.screen)]
        titles = [command.title for command in app.get_system_commands(app.screen)]
    assert "new run (n)" in titles and "quit (^q)" in titles and "zoom (z)" not in titles


def test_the_table_of_keys_in_the_readme_is_the_table_of_actions():
    """`python -m hrm_console.key_table README.md` writes it anew."""
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert with_table(text) == text

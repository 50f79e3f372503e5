"""What a key must not cost: frames that nobody sees, styles learned again, panes that the key says nothing of."""

from __future__ import annotations

import pytest
from textual._compositor import Compositor
from textual.css import stylesheet

from hrm_console.app import ConsoleApp
from hrm_console.screens import run as run_module
from hrm_console.screens.run import RunScreen
from hrm_console.styles import FOLDER

SIZE = (200, 60)
STYLES = sorted(FOLDER.glob("*.tcss"))


def counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[tuple[object, ...]]:
    """The arguments of every call of a function from now on."""
    calls: list[tuple[object, ...]] = []
    called = getattr(owner, name)

    def count(*arguments, **named):
        calls.append((*arguments, *named.values()))
        return called(*arguments, **named)

    monkeypatch.setattr(owner, name, count)
    return calls


async def opened(app, pilot, until) -> RunScreen:
    await until(pilot, lambda: app.runs)
    await until(pilot, lambda: all(app.stylesheet.has_source(str(path)) for path in STYLES))
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.curves.charts)
    await pilot.pause(0.2)
    return app.screen


async def test_a_screen_that_comes_back_is_sent_once(runs, until, monkeypatch):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot, until)
        whole = counted(monkeypatch, Compositor, "render_full_update")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await pilot.pause(0.3)
        assert len(whole) == 1


async def test_a_screen_that_is_opened_learns_only_the_styles_of_widgets_that_are_new(runs, until, monkeypatch):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.runs)
        await until(pilot, lambda: all(app.stylesheet.has_source(str(path)) for path in STYLES))
        learned = counted(monkeypatch, stylesheet, "parse")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.curves.charts)
        assert learned  # those of its own widgets
        assert not [call for call in learned if ".tcss" in str(call[2])]


async def test_a_key_of_the_charts_draws_no_other_pane(runs, until, monkeypatch):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(app, pilot, until)
        drawn = counted(monkeypatch, run_module, "families_rows")
        for key in ("y", "e", "x"):
            await pilot.press(key)
        await pilot.pause(0.2)
        assert screen.look.log_y
        assert not drawn

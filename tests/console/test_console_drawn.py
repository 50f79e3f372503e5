"""Screens that are left are let go, with all that was drawn on them."""

from __future__ import annotations

import gc

from textual._styles_cache import StylesCache
from textual.widget import Widget

from hrm_console.app import ConsoleApp
from hrm_console.screens.run import RunScreen


def drawn() -> int:
    """How many widgets' drawn lines there are, of those of apps that went before too."""
    gc.collect()
    return sum(type(thing) is StylesCache for thing in gc.get_objects())


async def test_no_look_at_a_run_leaves_its_drawing_behind(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.runs)
        counts = []
        for _ in range(4):
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, RunScreen))
            await pilot.pause(0.1)
            many = len(app.screen.query(Widget))
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)
            await pilot.press("g", "escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)
            await pilot.pause(0.1)
            counts.append(drawn())
        assert many > 20  # so many would be added by each look
        # Widgets go a moment after their screen: on a busy machine the last look's may still be there.
        await until(pilot, lambda: drawn() - counts[1] < many)

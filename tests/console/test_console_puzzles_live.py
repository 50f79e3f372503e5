"""The puzzles screen while its files come, go and are odd; with two runs; with few colours; resized."""

from __future__ import annotations

import shutil

import pytest
from hostile_text import dangerous
from made_puzzles import FLIPPED, keep, record, records

from hrm_console.app import ConsoleApp
from hrm_console.screens.puzzles import PuzzlesScreen
from hrm_console.widgets.grid import changed_cells
from hrm_core.runs.predictions import steps_kept, write_predictions
from hrm_core.runs.user_settings import read_settings

ALL = "\x1b]52;c;cHduZWQ=\x07 \x1b[2J \x9b31m \u202egnp.exe [bold red]markup[/] a\rb \x7f\x00" + "x" * 2_000


async def opened(app, pilot, until, *arguments):
    await until(pilot, lambda: app.runs)
    app.go("puzzles", *arguments)
    await until(pilot, lambda: isinstance(app.screen, PuzzlesScreen) and app.screen.source.looked)
    await until(pilot, lambda: app.screen.state.loaded == app.screen.state.name)
    await pilot.pause()
    return app.screen.state


async def test_a_new_step_is_followed_and_the_test_stays(runs, until, shown):
    folder = runs.make("one")
    keep(folder, 20)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        state = await opened(app, pilot, until, "one", None, "dddd3333:1")
        keep(folder, 40, [*records()[:4], record("dddd3333", 1, right=False)])
        runs.writers["one"].status(runs.status("running", 240))
        await until(pilot, lambda: "step 40" in shown(app) and "✗ wrong  dddd3333:1" in shown(app))
        assert state.found.steps == (20, 40)


async def test_a_step_that_was_asked_for_and_goes_away_is_said(runs, until, shown):
    folder = runs.make("one")
    keep(folder, 20)
    keep(folder, 40)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until, "one", 20)
        write_predictions(folder, 60, records(), keep=(40,))
        for step in (20, 40):
            for ending in ("jsonl.gz", "index.json"):
                (folder / "predictions" / f"{step}.{ending}").unlink(missing_ok=True)
        runs.writers["one"].status(runs.status("running", 240))
        await until(pilot, lambda: "step 20 is not kept; this is step 60" in " ".join(shown(app).split()))
        assert steps_kept(folder) == [60]


async def test_a_record_that_is_gone_and_a_run_that_vanishes(runs, until, shown):
    folder = runs.make("one", "finished")
    keep(folder, 40)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until, "one")
        (folder / "predictions" / "40.jsonl.gz").write_bytes(b"\x1f\x8b torn")
        await pilot.press("j")
        await until(pilot, lambda: "The record of bbbb1111:0 is not kept any more." in shown(app))
        shutil.rmtree(folder)
        await until(pilot, lambda: "Not in the folder any more." in shown(app))
        await pilot.press("f", "n", "x", "full_stop", "right", "v", "o", "space")
        assert app.is_running


async def test_runs_without_predictions_say_what_to_wait_for(runs, until, shown):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot, until)
        await until(pilot, lambda: "No predictions to be seen: no run here keeps any." in shown(app))
        for key in ("f", "n", "right", "space", "v", "c", "o", "e", "d", "x", "s", "full_stop", "z", "1", "2", "3"):
            await pilot.press(key)
        assert app.screen.shell_words() == ("list",)
        keep(runs.folder / "one", 20)
        runs.writers["one"].status(runs.status("running", 240))
        await until(pilot, lambda: "✗ wrong  bbbb1111:0" in shown(app))


async def test_the_run_last_looked_at_is_meant_else_one_that_keeps_predictions(runs, until):
    for name in ("older", "newer"):
        keep(runs.make(name, "finished"), 40)
    runs.make("bare", "finished")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: len(app.runs) == 3 and app.subject)  # the list has said what it looks at
        await pilot.pause(0.2)
        app.subject = "older"
        assert (await opened(app, pilot, until)).found.run_id == "older"
        await pilot.press("escape")
        app.subject = "bare"
        assert (await opened(app, pilot, until)).found.run_id in ("older", "newer")
        await pilot.press("escape", "g", "p")
        await until(pilot, lambda: isinstance(app.screen, PuzzlesScreen))


async def test_two_runs_side_by_side(runs, until, shown):
    keep(runs.make("one", "finished"), 40)
    keep(runs.make("two", "finished"), 40, [{**row, "predicted": FLIPPED, "exact": True} for row in records()[:4]])
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        state = await opened(app, pilot, until, "one", None, "bbbb1111:0", "two")
        text = shown(app)
        for words in (
            "one A | two B",
            "A ✗ wrong  B ✓ right",
            "A predicted 3x3",
            "B predicted 3x3",
            "A wrong 1",
            "B wrong 0",
        ):
            assert words in text, words
        await pilot.press("x", "x", "x")
        await until(pilot, lambda: "gained or lost: 0/3 right" in shown(app) and len(state.lines) == 3)
        await pilot.press("x", "j", "j", "j")
        await until(pilot, lambda: "B has no answer to it" in shown(app))


async def test_a_test_that_is_not_kept_is_said(runs, until, shown):
    keep(runs.make("one"), 40)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until, "one", None, "zzzz")
        await until(pilot, lambda: "zzzz is not among the tests of step 40" in shown(app))
        assert app.screen.state.name == "aaaa0000:0"


async def test_hostile_records_reach_the_screen_harmless(runs, until, shown):
    rows = [
        {"task": ALL, "test": ALL, "families": [ALL], "input": [ALL], "target": ALL, "predicted": [ALL] * 90},
        record("bbbb", answers=[{"grid": ["1" * 99] * 99, "votes": 10**30}] * 30, halt_logit=[ALL, None, 1e300]),
        record("cccc", segments=[["1"], [], 7, None], input=["12", "3"], side=-4, rank=-1, confidence="x"),
        record("dddd", predicted=[], cell_accuracy=1e300, exact="yes", test="\x1b[2J"),
        {},
    ]
    keep(runs.make("one"), 40, rows)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until, "one")
        for _ in rows:
            for keys in (("right", "right"), ("v", "o"), ("e", "c", "d", "z")):
                await pilot.press(*keys)
                assert not dangerous(shown(app))
            await pilot.press("j")
            await until(pilot, lambda: app.screen.state.loaded == app.screen.state.name)
        assert app.is_running and app._exception is None


@pytest.mark.parametrize("markers", ["ascii", "braille"])
async def test_few_colours_and_ascii_write_digits(runs, until, shown, monkeypatch, markers):
    keep(runs.make("one"), 40)
    settings = read_settings()
    settings = type(settings)({**settings.values, "console.markers": markers})
    app = ConsoleApp(runs.folder, tick_s=0.05, settings=settings)
    monkeypatch.setattr(type(app.console), "color_system", "standard")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until, "one", None, "bbbb1111:0")
        grids = "\n".join("".join(text for text, _ in row) for row in app.screen.grids.rows)
        assert "1   2   0" in grids and ("7x" if markers == "ascii" else "7╳") in grids
        assert (markers == "ascii") == grids.isascii()


async def test_resized_to_nothing_and_back(runs, until):
    keep(runs.make("one"), 40)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await opened(app, pilot, until, "one")
        for size in ((40, 10), (3, 2), (200, 60), (40, 10), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await pilot.press("tab", "right", "o")
        assert app.is_running and app._exception is None


async def test_a_segment_repaints_cells_and_not_the_board(runs, until):
    keep(runs.make("one"), 40)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot, until, "one", None, "dddd3333:0")
        await pilot.press("right", "right")
        await pilot.pause()
        pane = app.screen.grids
        before = list(pane.rows)
        app.screen.state.segment(1)
        app.screen.show_puzzle()
        spans = [changed_cells(old, new) for old, new in zip(before, pane.rows, strict=True)]
        changed = sum(stop - start for start, stop in spans)
        assert 0 < changed < pane.size.width * pane.size.height // 8

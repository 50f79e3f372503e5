"""The puzzles screen on predictions written by the real writer: every key, and what the screen says then."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_puzzles import keep, record, records

from hrm_console.app import ConsoleApp
from hrm_console.screens.puzzles import PuzzlesScreen
from hrm_console.tables import puzzles as table
from hrm_console.views.puzzles.grids import Scale


async def opened(app, pilot, until, *arguments):
    """The screen, with its list and its first test."""
    await until(pilot, lambda: app.runs)
    app.go("puzzles", *arguments)
    await until(pilot, lambda: isinstance(app.screen, PuzzlesScreen) and app.screen.state.puzzle is not None)
    await at(app, pilot, until)
    return app.screen.state


async def at(app, pilot, until, name=None):
    """Until the test looked at (of that name) is read and drawn."""
    state = app.screen.state
    await until(pilot, lambda: state.name == (name or state.name) and state.loaded == state.name)
    await pilot.pause()


@pytest.fixture
def one(runs):
    keep(runs.make("one"), 40)
    return ConsoleApp(runs.folder, tick_s=0.05)


async def test_everything_is_in_sight_where_there_is_room(one, until, shown):
    async with one.run_test(size=(200, 60), notifications=True) as pilot:
        await opened(one, pilot, until)
        text = shown(one)
        for words in (
            "puzzles of one, step 40",
            "✓ right  aaaa0000:0",
            "cells 100.0 % (copying 73.3 %)",
            "2/5 right (copy 0), cells 82.7 (copy 73.3) %",
            "1 input 3x3",
            "2 input 3x3",
            "test input 3x3",
            "target 3x3",
            "predicted 3x3",
            "wrong 0",
            "88.1 %: the halting head's own",
            "3 views, confidence 88.1 %, ✓ right",
            "same_size, dihedral",
        ):
            assert words in text, words
        assert one.screen.shell_words() == ("show", "one", "--puzzle", "aaaa0000:0", "--step", "40")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_failures_one_after_the_other_and_back(one, until, shown, size):
    async with one.run_test(size=size, notifications=True) as pilot:
        await opened(one, pilot, until)
        for name in ("bbbb1111:0", "cccc2222:0", "dddd3333:0", "bbbb1111:0"):
            await pilot.press("f")
            await at(one, pilot, until, name)
            assert f"✗ wrong  {name}" in shown(one)
        await pilot.press("F")
        await at(one, pilot, until, "dddd3333:0")
        await pilot.press("j")
        await at(one, pilot, until, "dddd3333:1")
        await pilot.press("j", "k")
        await at(one, pilot, until, "dddd3333:0")


async def test_wrong_cells_are_marked_and_counted(one, until, shown):
    async with one.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(one, pilot, until, None, None, "bbbb1111")
        assert "wrong 1" in shown(one) and shown(one).count("╳") == 1
        await pilot.press("z")
        await until(pilot, lambda: "╳" not in shown(one) and "▀" in shown(one) and " small " in shown(one))
        assert one.screen.board.scale is Scale.HALF
        await pilot.press("z")
        await until(pilot, lambda: one.screen.board.scale is Scale.BIG)
        await pilot.press("z")
        await until(pilot, lambda: one.screen.state.size == "auto")


async def test_families_filter_and_order(one, until, shown):
    async with one.run_test(size=(120, 40), notifications=True) as pilot:
        state = await opened(one, pilot, until)
        await pilot.press("n")
        await at(one, pilot, until, "cccc2222:0")
        assert "all, move: 1/2 right (copy 0)" in shown(one) and len(state.lines) == 2
        await pilot.press("n")
        await at(one, pilot, until, "bbbb1111:0")
        assert "all, recolor: 0/2 right" in shown(one)
        await pilot.press("N", "N")
        await until(pilot, lambda: len(state.lines) == 5)
        await pilot.press("x")
        await until(pilot, lambda: "failures: 0/3 right" in shown(one))
        await pilot.press("s")
        await until(pilot, lambda: [line.name[0] for line in state.lines] == ["b", "d", "c"])
        await pilot.press("x")
        await until(pilot, lambda: "right: 2/2 right" in shown(one))
        await pilot.press("f")
        await until(pilot, lambda: "no failure in this list" in shown(one))


async def test_segments_are_scrubbed_with_the_halting_probability(one, until, shown):
    async with one.run_test(size=(120, 40), notifications=True) as pilot:
        state = await opened(one, pilot, until, "one", None, "dddd3333:0")
        seen = []
        for _ in range(4):
            await pilot.press("right")
            await pilot.pause()
            seen.append((state.view.segment, one.screen.board.rows))
        assert [segment for segment, _ in seen] == [0, 1, 2, 3] and seen[0][1] != seen[1][1] != seen[2][1]
        assert "segment 4 of 4: 88.1 %" in shown(one) and "segment 4/4 3x3" in shown(one)
        await pilot.press("left")
        await until(pilot, lambda: "segment 3 of 4: 62.2 %" in shown(one))
        assert "[▅]" in shown(one) and "changed 3" in shown(one) and "•" in shown(one)
        await pilot.press("left", "left", "left")
        await until(pilot, lambda: "predicted 3x3" in shown(one) and "changed" not in shown(one))


async def test_segments_play_stop_at_the_end_and_are_held(one, until, shown, monkeypatch):
    monkeypatch.setattr("hrm_console.screens.puzzles.PLAY_S", 0.25)
    async with one.run_test(size=(120, 40), notifications=True) as pilot:
        state = await opened(one, pilot, until, "one", None, "dddd3333:0")
        await pilot.press("space")
        await until(pilot, lambda: state.view.segment == 3 and not one.screen.playing)
        await pilot.press("space")
        await until(pilot, lambda: state.view.segment == 0 and one.screen.playing)
        await pilot.press("space", "right")
        assert not one.screen.playing


async def test_a_test_without_segments_leads_to_the_next_that_has(one, until, shown):
    async with one.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(one, pilot, until, "one", None, "bbbb1111:0")
        assert "no grids of segments" in shown(one)
        await pilot.press("right")
        await at(one, pilot, until, "dddd3333:0")
        await until(pilot, lambda: "only the tests chosen for it keep the grid of every" in shown(one))
        await pilot.press("k")
        await at(one, pilot, until, "cccc2222:0")
        await pilot.press("space")
        await at(one, pilot, until, "dddd3333:0")


async def test_votes_take_the_place_of_the_prediction(one, until, shown):
    async with one.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(one, pilot, until, "one", None, "bbbb1111:0")
        await pilot.press("v")
        await until(pilot, lambda: "answer 1/2 3x3" in shown(one) and "wrong 1" in shown(one))
        await pilot.press("v")
        await until(pilot, lambda: "answer 2/2 3x3" in shown(one) and "wrong 0" in shown(one))
        await pilot.press("v")
        await until(pilot, lambda: "predicted 3x3" in shown(one))


async def test_overlays_canonical_colours_objects_graph_descriptors(one, until, shown):
    async with one.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(one, pilot, until)
        plain = one.screen.board.rows
        await pilot.press("c")
        await until(pilot, lambda: "blue (1) → red (2), red (2) → blue (1)" in " ".join(shown(one).split()))
        assert one.screen.board.rows != plain and " canonical" in shown(one)
        await pilot.press("c", "o")
        await until(pilot, lambda: "a blue 2x2 at 0,0, 2 cells" in shown(one))
        letters = shown(one)
        await pilot.press("e")
        await until(pilot, lambda: "a blue 2x2 at 0,0, 2 cells, touches b" in " ".join(shown(one).split()))
        assert shown(one) != letters
        await pilot.press("e", "d")
        await until(pilot, lambda: "one shift: row +2" in shown(one) and "touches" not in shown(one))
        await pilot.press("d")
        await until(pilot, lambda: "symmetry of all outputs" not in shown(one))
        assert one.screen.board.rows == plain


async def test_steps_kept_are_gone_through(runs, until, shown):
    folder = runs.make("one")
    keep(folder, 20, records()[:3])
    keep(folder, 40)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        state = await opened(app, pilot, until, "one", None, "cccc2222:0")
        for count, step in ((3, 20), (5, 40), (3, 20)):
            await pilot.press("comma" if step == 20 else "full_stop")
            await until(pilot, lambda step=step: state.found.step == step and f"step {step}" in shown(app))
            assert len(state.lines) == count and state.name == "cccc2222:0"


async def test_demonstrations_that_do_not_fit_are_on_further_pages(runs, until, shown):
    folder, large = runs.make("one"), ["12345" * 5] * 25
    keep(folder, 40, [record("aaaa0000", input=large, target=large, predicted=large)])
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        state = await opened(app, pilot, until, "one", None, "aaaa0000:0")
        assert "test input 25x25" in shown(app) and "demonstrations none of 2" in shown(app)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "1 input 3x3" in shown(app) and "test input" not in shown(app))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "test input 25x25" in shown(app) and state.board_page == 0)


@pytest.mark.parametrize("size", [(80, 24), (100, 60)])
async def test_narrow_terminals_show_a_page_at_a_time(one, until, shown, size):
    async with one.run_test(size=size, notifications=True) as pilot:
        await opened(one, pilot, until)
        marks = {"1": "bbbb1111:0", "2": "test input 3x3", "3": "the halting head's own"}
        for key in "123":
            await pilot.press(key)
            await until(pilot, lambda key=key: marks[key] in shown(one))
            assert not any(mark in shown(one) for other, mark in marks.items() if other != key)
            assert "aaaa0000:0" in shown(one) and "test 1 of 5" in shown(one)
        await pilot.press("1", "down", "enter")
        await until(pilot, lambda: "test input 3x3" in shown(one) and "✗ wrong  bbbb1111:0" in shown(one))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(one.screen, PuzzlesScreen))


def test_every_key_is_pressed_by_a_test():
    source = Path(__file__).read_text(encoding="utf-8")
    for action in table.ACTIONS:
        assert f'"{action.keys}"' in source or action.keys in "123", action.id


async def test_keys_that_come_faster_than_messages_go_where_they_say(one, until):
    """Two steps of the cursor before the first one's message: it must not take the cursor back and forth for ever."""
    async with one.run_test(size=(200, 60), notifications=True) as pilot:
        state = await opened(one, pilot, until)
        gone, go = [], state.go
        state.go = lambda place: (gone.append(place), go(place))
        one.screen.tests.move_to(1)
        one.screen.tests.move_to(2)
        await until(pilot, lambda: gone)
        await pilot.pause(0.1)
        assert gone == [2] and one.screen.tests.cursor == state.at == 2

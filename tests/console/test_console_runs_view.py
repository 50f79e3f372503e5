"""The runs screen's filter, sort, marks and baseline: what keys do, what is kept, and how little is painted."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from machine_speed import slowness

from hrm_console.app import ConsoleApp
from hrm_console.once import print_once
from hrm_console.rows.watching import Lines
from hrm_console.session import MAX_MARKED, Session, read_session, write_session
from hrm_console.theme import FULL
from hrm_console.views.runs.columns import RowCache, columns_for, header_row, run_row, sort_keys
from hrm_console.views.runs.view import Chooser, begun_term, next_sort, reversed_sort
from hrm_console.widgets.lines import LinePane


def names(app):
    return [line.run_id for line in app.screen.listed]


@pytest.fixture
def three(runs):
    runs.make("night-a", "finished", experiment="EXP-00")
    runs.make("night-b", "lost", experiment="EXP-07")
    runs.make("day-c", experiment="EXP-07")
    return runs


@pytest.fixture
def open_app(until):
    async def wait(app, pilot, count=3):
        await until(pilot, lambda: len(app.runs) == count and app.screen.digest.news is not None)

    return wait


async def test_every_letter_filters_and_enter_keeps(three, until, shown, open_app):
    app = ConsoleApp(three.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_app(app, pilot)
        await pilot.press("slash")
        await until(pilot, lambda: "such as" in shown(app))
        await pilot.press(*"night")
        await until(pilot, lambda: sorted(names(app)) == ["night-a", "night-b"] and "runs 2 of 3" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.table.has_focus and "2 of 3 night" in shown(app))
        assert app.screen.shell_words() == ("list", "--filter", "night")
        await pilot.press("escape")
        await until(pilot, lambda: len(names(app)) == 3 and "of 3" not in shown(app))


async def test_what_is_not_understood_is_said_and_the_filter_before_holds(three, until, shown, open_app):
    app = ConsoleApp(three.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_app(app, pilot)
        await pilot.press("slash", *"exp:EXP-07", "enter", "slash")
        await pilot.press("space", *"stat")
        # "stat" alone would choose nothing, and is the beginning of a field.
        await until(pilot, lambda: len(names(app)) == 2 and "state:running" in shown(app))
        await pilot.press(*"e:runing")
        await until(pilot, lambda: "there is no state 'runing'; did you mean running?" in shown(app))
        assert len(names(app)) == 2
        await pilot.press("enter")
        await pilot.pause()
        assert app.screen.field.has_focus and app.session.filter == "exp:EXP-07"
        await pilot.press(*(["backspace"] * 3), *"ning", "enter")
        await until(pilot, lambda: names(app) == ["day-c"])
        await pilot.press("slash", "escape")
        await until(pilot, lambda: len(names(app)) == 3 and not app.session.filter)


async def test_a_filter_that_chooses_nothing_says_how_to_get_out(three, until, shown, open_app):
    app = ConsoleApp(three.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_app(app, pilot)
        await pilot.press("slash", *"zzz", "enter")
        await until(pilot, lambda: "0 of 3 zzz" in shown(app) and "esc takes the filter away" in shown(app))
        await pilot.press("enter", "space", "b", "s", "R", "D", "escape")
        await until(pilot, lambda: len(names(app)) == 3)
        assert app.is_running


async def test_sorting_goes_through_the_columns_and_turns_round(three, until, shown, open_app):
    three.writers["day-c"].status({**three.status("running", 990), "eta_s": 1.0})
    app = ConsoleApp(three.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_app(app, pilot)
        keys = sort_keys(columns_for(80))
        await pilot.press(*(["o"] * (1 + keys.index("name"))))
        await until(pilot, lambda: names(app) == ["day-c", "night-a", "night-b"] and "run↑" in shown(app))
        await pilot.press("O")
        await until(pilot, lambda: names(app) == ["night-b", "night-a", "day-c"] and "run↓" in shown(app))
        await pilot.press("o")
        await until(pilot, lambda: names(app)[0] == "day-c" and "step↓" in shown(app))
        assert app.screen.shell_words() == ("list", "--sort", "step")


async def test_marks_and_baseline_are_shown_kept_and_cleared(three, until, shown, open_app):
    app = ConsoleApp(three.folder, tick_s=0.05)
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        await open_app(app, pilot)
        first, second, third = names(app)
        await pilot.press("space", "space", "b")
        await until(pilot, lambda: app.session.marked == (first, second) and app.session.baseline == third)
        await until(pilot, lambda: "◆ 2 marked" in shown(app) and f"B {third}" in shown(app))
        assert [row.plain[:2] for row in app.screen.table.rows] == ["◆ ", "◆ ", " B"]
        await pilot.press("slash", *"marked", "enter")
        await until(pilot, lambda: names(app) == [first, second])
        await pilot.press("escape", "M")
        await until(pilot, lambda: app.session.marked == () and app.session.baseline == third)
        await pilot.press("A")
        await until(pilot, lambda: len(app.session.marked) == 3)
    kept = read_session(three.folder)
    assert set(kept.marked) == {first, second, third} and kept.baseline == third
    assert app.return_code in (0, None)


async def test_more_than_can_be_marked_is_said(runs, until, shown, open_app):
    count = MAX_MARKED + 2
    for at in range(count):
        runs.make(f"r{at:02d}", "finished", steps=0)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_app(app, pilot, count)
        await pilot.press("A")
        await until(pilot, lambda: len(app.session.marked) == MAX_MARKED and "more cannot be marked" in shown(app))


async def test_a_tick_without_news_paints_nothing_and_one_run_paints_one_row(three, until, open_app, monkeypatch):
    app = ConsoleApp(three.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_app(app, pilot)
        await pilot.press("end")
        await pilot.pause()
        painted = []
        repaint = LinePane.repaint_row
        monkeypatch.setattr(
            LinePane, "repaint_row", lambda self, y: (painted.append((self.id, y)), repaint(self, y))[1]
        )
        app.screen.runs_changed()
        assert painted == []
        three.writers["day-c"].status(three.status("running", 777))
        await until(pilot, lambda: any("777" in row.plain for row in app.screen.table.rows))
        app.screen.runs_changed()
        assert len([row for row in painted if row[0] == "table"]) == 1


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60)])
async def test_every_line_at_once_fits_every_size(three, until, shown, open_app, size):
    old = Session(
        filter="exp:EXP-*",
        sort="seed",
        marked=("night-a",),
        baseline="day-c",
        seen_s=5.0,
        states={"night-a": "running"},
    )
    write_session(three.folder, old)
    app = ConsoleApp(three.folder, tick_s=0.05)
    async with app.run_test(size=size, notifications=True) as pilot:
        await open_app(app, pilot)
        await until(pilot, lambda: "While" in shown(app) and "3 of 3" in shown(app))
        assert app.screen.max_scroll_y == 0 and app.screen.table.size.height >= 2
        await pilot.press("slash")
        await until(pilot, lambda: "filter" in shown(app))
        assert app.screen.max_scroll_y == 0 and "quit" in shown(app)


async def test_a_filter_of_a_session_that_is_broken_shows_every_run(three, until, shown, open_app):
    write_session(three.folder, Session(filter="vla>\x1b[2J1", sort="nonsense"))
    app = ConsoleApp(three.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await open_app(app, pilot)
        await until(pilot, lambda: len(names(app)) == 3 and "did you mean val?" in shown(app))
        await pilot.press("o")
        await until(pilot, lambda: app.session.sort == "")


def test_two_hundred_runs_are_chosen_and_laid_out_in_a_moment(runs):
    for at in range(4):
        runs.make(f"r{at}", "finished", steps=20)
    lines = [line for line in Lines().read(runs.folder) for _ in range(50)]
    session, chooser, columns = Session(filter="val>=0 | r -alarm", sort="val"), Chooser(), columns_for(200)
    chooser.view(lines, session, time.time())
    seconds = []
    for _ in range(3):  # processor time, the best of three: other work on the machine is not ours to measure
        began = time.process_time()
        view = chooser.view(lines, session, time.time())
        assert len([run_row(line, columns, FULL, True, False) for line in view.lines]) == 200
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.25 * slowness()


def test_rows_are_made_again_only_where_something_changed(three):
    lines, cache, columns = Lines().read(three.folder), RowCache(), columns_for(80)
    first = cache.rows(lines, columns, FULL, (), "")
    other = [replace(lines[0]), *lines[1:]]
    second = cache.rows(other, columns, FULL, {lines[1].run_id}, lines[2].run_id)
    assert [row.plain[:2] for row in second] == ["  ", "◆ ", " B"]
    third = cache.rows(other, columns, FULL, {lines[1].run_id}, lines[2].run_id)
    assert all(one is two for one, two in zip(second, third, strict=True)) and first[0] is not second[0]
    assert cache.rows(other, columns_for(200), FULL, (), "")[0].cell_len > third[0].cell_len
    assert cache.rows([], columns, FULL, (), "") == []


def test_once_prints_the_same_table(three, capsys):
    write_session(three.folder, Session(filter="exp:EXP-07", sort="name", marked=("night-b",), baseline="day-c"))
    assert print_once(three.folder) == 0
    out = capsys.readouterr().out
    assert "2 of 3 exp:EXP-07" in out and "night-a" not in out
    assert out.index(" B● running") < out.index("◆ ! lost")
    write_session(three.folder, Session(filter="zzz"))
    assert print_once(three.folder) == 0 and "0 of 3 zzz" in capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_arrow_of_the_sorted_column_moves_nothing(width):
    columns = columns_for(width)
    plain = header_row(columns, FULL)
    for key in sort_keys(columns):
        for word in (key, f"-{key}"):
            row = header_row(columns, FULL, word)
            assert row.cell_len == plain.cell_len and ("↓" in row.plain) != ("↑" in row.plain)


def test_keys_of_sorting_go_round():
    assert [next_sort(sort, ("a", "b")) for sort in ("", "a", "-a", "b", "zz")] == ["a", "b", "b", "", ""]
    assert [reversed_sort(sort) for sort in ("", "a", "-a")] == ["", "-a", "a"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [("va", "val>0.2 or 20%"), ("exp:x sta", "state:running"), ("a|-al", "alarm:input_blind"),
     ("cf", "cfg.optimizer=lion"), ("", ""), ("val>0.2 ", ""), ("zz", "")],
)  # fmt: skip
def test_the_beginning_of_a_field_is_completed_in_words(text, hint):
    assert begun_term(text) == hint


async def test_keys_that_come_faster_than_messages_mean_the_run_under_the_cursor(three, until, open_app):
    """The cursor moves at once, and says so in a message: what a key means must not wait for that."""
    app = ConsoleApp(three.folder, tick_s=0.05)
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        await open_app(app, pilot)
        first, second, third = names(app)
        screen = app.screen
        screen.action_mark()
        screen.table.move_to(1)
        screen.action_mark()
        screen.table.move_to(2)
        screen.show_runs()
        screen.action_baseline()
        assert app.session.marked == (first, second) and app.session.baseline == third
        await until(pilot, lambda: screen.chosen == third)
        await pilot.pause(0.1)
        assert screen.chosen == third and screen.table.cursor == 2

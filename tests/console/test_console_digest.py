"""What happened while nobody looked: sessions and runs made up on the spot, and the panel on a real opening."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from hrm_console.app import ConsoleApp
from hrm_console.rows.listing import Alarm, RunLine
from hrm_console.session import Session, read_session, write_session
from hrm_console.theme import FULL, SIXTEEN
from hrm_console.views.runs.digest import digest_rows, headline, is_away, looked, news_of
from hrm_core.runs.text import clean

NOW_S = 1_000_000.0
AGO_S = 3 * 3600.0


def line(name, state="running", **values):
    given = {"step": 500.0, "max_steps": 1000.0, "exact": 0.12, "trivial": 0.009, **values}
    return RunLine(name, Path("/runs") / name, "EXP-00", state, **given)


def best(value, trivial=0.009):
    return {"metric": "exact", "value": value, "step": 400, "trivial": trivial}


def seen(*lines):
    return looked(Session(), lines, NOW_S - AGO_S)


def news(before, *lines):
    return [(one.kind, one.run_id, one.words) for one in news_of(before, lines, NOW_S)]


def test_nothing_is_new_where_nothing_changed_or_nobody_ever_looked():
    runs = (line("a", eta_s=60.0), line("b", "finished", best=best(0.2)))
    assert news(looked(Session(), runs, NOW_S), *runs) == []
    assert news(Session(), *runs) == []


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("finished", "exact 12.0 % (trivial 0.9 %)"),
        ("stopped", "exact 12.0 % (trivial 0.9 %)"),
        ("failed", "at step 500, r resumes it"),
        ("lost", "at step 500, r resumes it"),
        ("stalled", "exact 12.0 % (trivial 0.9 %)"),
    ],
)
def test_a_run_that_ended_or_died(state, words):
    assert news(seen(line("a")), line("a", state)) == [(state, "a", words)]
    assert news(seen(line("a", state)), line("a", state)) == []


def test_no_score_without_its_trivial_value():
    assert news(seen(line("a")), line("a", "finished", trivial=None)) == [("finished", "a", "at step 500")]
    assert news(seen(line("a")), line("a", trivial=None, best=best(0.2, None))) == [
        ("best", "a", "best exact at step 400")
    ]


def test_a_new_best_stands_beside_the_old_one_and_the_trivial_one():
    before = seen(line("a", best=best(0.1)))
    assert news(before, line("a", best=best(0.1))) == []
    assert news(before, line("a", best=best(0.134))) == [
        ("best", "a", "best exact 10.0 → 13.4 % (trivial 0.9 %) at step 400")
    ]
    ended = news(before, line("a", "finished", best=best(0.134)))
    assert len(ended) == 1 and "10.0 → 13.4 %" in ended[0][2]


def test_new_alarms_are_told_once_a_run_and_those_that_say_the_state_not_twice():
    blind, flat = Alarm("input_blind", "2 % change.", ""), Alarm("plateau", "No gain.", "")
    before = seen(line("a", alarms=(flat,)))
    assert news(before, line("a", alarms=(flat,))) == []
    assert news(before, line("a", alarms=(flat, blind))) == [("alarm", "a", "input_blind: 2 % change.")]
    assert news(seen(line("a")), line("a", alarms=(flat, blind))) == [("alarm", "a", "plateau, input_blind")]
    lost = news(before, line("a", "lost", alarms=(flat, Alarm("lost", "gone", ""))))
    assert [kind for kind, *_ in lost] == ["lost"]


def test_runs_that_were_begun_and_runs_that_are_gone():
    assert news(seen(line("a")), line("b", best=best(0.2))) == [
        ("begun", "b", "EXP-00; best exact 20.0 % (trivial 0.9 %) at step 400"),
        ("gone", "a", "removed, renamed or moved away"),
    ]
    kind, _, words = news(seen(line("a")), line("a"), line("b", "failed"))[0]
    assert kind == "failed" and words.startswith("begun meanwhile; ")


@pytest.mark.parametrize(("eta_s", "words"), [(7200.0, "later"), (60.0, "sooner")])
def test_an_end_that_moved_is_told_by_how_much(eta_s, words):
    before = seen(line("a", eta_s=AGO_S + 3600.0))
    assert news(before, line("a", eta_s=3600.0)) == []
    assert news(before, line("a", eta_s=3600.0 + 0.05 * AGO_S)) == []
    (told,) = news(before, line("a", eta_s=eta_s))
    assert told[0] == "ETA" and words in told[2]


def test_what_needs_somebody_stands_first_and_the_headline_counts():
    before = seen(*(line(name) for name in "abcd"))
    alarm = (Alarm("x", "y", ""), Alarm("z", "y", ""))
    found = news_of(
        before, [line("a", "finished"), line("b", "lost"), line("c", "failed"), line("d", alarms=alarm)], NOW_S
    )
    assert [one.kind for one in found] == ["failed", "lost", "finished", "alarm"]
    assert headline(found, AGO_S) == "While you were away (3h00): 1 failed, 1 lost, 1 finished, 2 new alarms"


@pytest.mark.parametrize(("ago_s", "away"), [(121.0, True), (119.0, False), (-50.0, False)])
def test_a_moment_is_no_absence(ago_s, away):
    assert is_away(Session(seen_s=NOW_S - ago_s), NOW_S) is away
    assert not is_away(Session(), NOW_S)


@pytest.mark.parametrize("palette", [FULL, SIXTEEN])
@pytest.mark.parametrize("width", [10, 40, 80, 200])
def test_rows_fit_and_hold_nothing_raw(width, palette):
    evil = "\x1b]0;pwned\x07[bold]\u202e"
    runs = [line(f"run-{at}{evil}", "finished") for at in range(100)] + [
        line("a", alarms=(Alarm(evil, evil * 50, ""),))
    ]
    rows = digest_rows(news_of(seen(line("a")), runs, NOW_S), palette, width)
    assert len(rows) == 61 and "and 41 more" in rows[-1].plain
    assert all(row.cell_len <= max(width, 20) and clean(row.plain) == row.plain for row in rows)


async def opened(app, pilot, until):
    await until(pilot, lambda: app.screen.digest.news is not None)


async def test_the_panel_opens_on_opening_and_escape_and_w_close_and_open_it(runs, until, shown):
    runs.make("one", "finished")
    write_session(runs.folder, Session(seen_s=time.time() - AGO_S, states={"one": "running", "gone": "running"}))
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await until(pilot, lambda: "While you were away (3h00): 1 finished" in shown(app))
        assert "exact 10.0 % (trivial 0.9 %)" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: "While you were away" not in shown(app))
        await pilot.press("w")
        await until(pilot, lambda: "While you were away" in shown(app))
        await pilot.press("w")
        await until(pilot, lambda: "While you were away" not in shown(app))


@pytest.mark.parametrize("ago_s", [10.0, None])
async def test_it_stays_closed_after_a_moment_and_on_the_first_look(runs, until, shown, ago_s):
    runs.make("one", "finished")
    if ago_s is not None:
        write_session(runs.folder, Session(seen_s=time.time() - ago_s, states={"one": "running"}))
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await opened(app, pilot, until)
        assert "While you were away" not in shown(app)
        await pilot.press("w")
        if ago_s is None:
            await until(pilot, lambda: "nothing has happened" in shown(app))
        else:
            await until(pilot, lambda: "s): 1 finished" in shown(app))


async def test_leaving_keeps_the_look(runs, until):
    runs.make("one")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        await opened(app, pilot, until)
    kept = read_session(runs.folder)
    assert kept.states == {"one": "running"} and kept.bests == {"one": 0.1}
    assert kept.seen_s is not None and abs(kept.seen_s - time.time()) < 60 and list(kept.ends_s) == ["one"]


async def test_leaving_before_anything_was_read_keeps_the_old_look(runs, monkeypatch):
    old = Session(seen_s=5.0, states={"one": "running"})
    write_session(runs.folder, old)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    monkeypatch.setattr(app.watching, "start", lambda: None)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause(0.1)
    assert read_session(runs.folder).states == {"one": "running"}


def test_a_session_comes_back_as_it_was(runs):
    session = Session(
        marked=("a", "b"), baseline="a", filter="val>20%", sort="-val", seen_s=5.0, states={"a": "lost"},
        bests={"a": 0.5}, alarms={"a": ["x"]}, ends_s={"a": 7.0}, views={"run": {"page": 1}},
    )  # fmt: skip
    assert write_session(runs.folder, session)
    assert read_session(runs.folder) == replace(session, is_read=True)
    assert session.renamed("a", "c") == replace(session, marked=("c", "b"), baseline="c")
    assert session.renamed("a", "") == replace(session, marked=("b",), baseline="")

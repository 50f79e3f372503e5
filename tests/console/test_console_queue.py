"""The queue's screen: every key against the queue's file, empty, busy, in trouble, and with hostile text in it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hostile_text import dangerous
from queue_stand_in import CODE, PINS

from hrm_console.app import ConsoleApp
from hrm_console.launching import Outcome
from hrm_console.screens.queue import QueueScreen
from hrm_console.screens.queue_ask import AfterScreen, CloneScreen, QueueRemoveScreen
from hrm_console.screens.run import RunScreen
from hrm_core.runs.launch import HRM_COMMAND
from hrm_core.runs.locks import FileLock
from hrm_core.runs.queue_records import Entry
from hrm_core.runs.queue_status import write_status
from hrm_core.runs.queue_store import change, queue_path, read_queue, worker_lock_path

# Clipboard, title, clear, reset, C1, right to left, markup, controls, and very long.
ALL = (
    "\x1b]52;c;cHduZWQ=\x07 \x1b]0;p\x07 \x1b[2J \x1bc \x9b31m \u202egnp [bold]m[/] [@click=app.quit]x[/] a\rb\x08\x7f "
    + ("x" * 3000)
)


def put(runs, **values):
    """An entry in the queue's file."""

    def alter(queue):
        made = Entry(id=str(queue.next_id), experiment="EXP-00", overrides=("preset=cpu",), pins=PINS)
        entries = (*queue.entries, replace(made, **values))
        return replace(queue, entries=entries, next_id=queue.next_id + 1)

    return change(runs.folder, alter).entries[-1]


def entry(runs, number):
    """The entry of this number."""
    return read_queue(runs.folder).find(number)


def order(runs):
    """The numbers in the order of the file."""
    return [one.id for one in read_queue(runs.folder).entries]


@pytest.fixture
def opened(runs, until):
    """`async with opened() as (app, pilot)`: the app on its queue, read."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def open_queue(size=(120, 40), **options):
        app = ConsoleApp(runs.folder, tick_s=0.05, **options)
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda: app.runs_known)
            await pilot.press("g", "q")
            await until(pilot, lambda: isinstance(app.screen, QueueScreen) and app.screen.seen is not None)
            yield app, pilot

    return open_queue


async def test_an_empty_queue_says_what_to_do(runs, opened, shown):
    async with opened((80, 24)) as (app, pilot):
        text = shown(app)
        assert "Nothing is in the queue." in text and "Press n" in text and "hrm queue start" in text
        assert "no worker is at work, and nothing waits" in text
        assert app.screen.shell_words() == ("queue", "list")
        await pilot.press("K", "h", "t", "D", "c", "a", "s", "enter")
        await pilot.pause()
        assert app.is_running and isinstance(app.screen, QueueScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, QueueScreen)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 10)])
async def test_a_busy_queue_at_every_size(runs, opened, shown, until, size):
    runs.make("live")
    put(runs, state="running", run_id="live", started_s=1.0)
    put(runs, overrides=("preset=cpu", "training.seed=2"), after="1", predicted_s=3600.0)
    put(runs, state="held", held_for="user", reason="lunch")
    put(runs, state="failed", reason="out of memory", run_id="gone", started_s=1.0, ended_s=66.0)
    async with opened(size) as (app, pilot):
        await until(pilot, lambda: len(app.screen.listed) == 4)
        await until(pilot, lambda: app.screen.seen.differs)
        text = shown(app)
        assert "● running" in text and "○ 1." in text
        if size[0] >= 80:
            assert "ETA 2m40" in text and "~1h00" in text and "1m05" in text and "≠" in text
            assert "‖ 2. held" in text and "✗ failed" in text
            await pilot.press("end")
            await pilot.pause()
            assert "failed: out of memory" in shown(app) and "R begins another run" in shown(app)
        else:
            await pilot.press("down", "down", "end", "home")
            await pilot.pause()


async def test_moving_holding_and_releasing_follow_the_entry(runs, opened, until):
    for _ in range(3):
        put(runs)
    async with opened() as (app, pilot):
        await until(pilot, lambda: len(app.screen.listed) == 3)
        await pilot.press("end", "K")
        await until(pilot, lambda: order(runs) == ["1", "3", "2"])
        await until(pilot, lambda: [one.id for one in app.screen.listed] == ["1", "3", "2"])
        assert app.screen.chosen == "3" and app.screen.table.cursor == 1
        await pilot.press("K", "K")
        await until(pilot, lambda: order(runs) == ["3", "1", "2"])
        await pilot.press("J")
        await until(pilot, lambda: order(runs) == ["1", "3", "2"])
        await pilot.press("h")
        await until(pilot, lambda: entry(runs, "3").state == "held")
        await until(pilot, lambda: app.screen.entry().state == "held")
        await pilot.press("h")
        await until(pilot, lambda: entry(runs, "3").state == "waiting")


async def test_after_offers_entries_and_runs_by_hand(runs, opened, until, shown):
    runs.make("by-hand")
    runs.make("over", "finished")
    put(runs, state="done", run_id="over")
    put(runs)
    put(runs)
    async with opened() as (app, pilot):
        await until(pilot, lambda: len(app.screen.listed) == 3 and app.screen.chosen == "2")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AfterScreen))
        assert [answer for answer, _ in app.screen.others] == ["", "3", "by-hand"]
        await pilot.press("down", "enter")
        await until(pilot, lambda: entry(runs, "2").after == "3")
        await until(pilot, lambda: isinstance(app.screen, QueueScreen) and app.screen.entry().after == "3")
        await pilot.press("a", "end", "enter")
        await until(pilot, lambda: entry(runs, "2").after_is_run and entry(runs, "2").after == "by-hand")
        await until(pilot, lambda: isinstance(app.screen, QueueScreen) and app.screen.entry().after_is_run)
        await pilot.press("a", "escape", "a", "home", "enter")
        await until(pilot, lambda: entry(runs, "2").after is None)


async def test_a_clone_keeps_its_box_while_the_change_is_refused(runs, opened, until, shown):
    put(runs)
    async with opened() as (app, pilot):
        await until(pilot, lambda: app.screen.chosen == "1")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CloneScreen))
        await pilot.press(*"training.sed=3", "enter")
        await until(pilot, lambda: "no setting" in shown(app))
        await pilot.press("home", *["delete"] * 14, *"training.seed='3", "enter")
        await until(pilot, lambda: "close the quote" in shown(app))
        await pilot.press("'", "enter")
        await until(pilot, lambda: len(order(runs)) == 2)
        assert entry(runs, "2").overrides == ("preset=cpu", "training.seed=3")
        await until(pilot, lambda: isinstance(app.screen, QueueScreen) and app.screen.chosen == "2")
        await pilot.press("c", "escape")
        assert isinstance(app.screen, QueueScreen) and len(order(runs)) == 2


async def test_removing_asks_once_and_a_running_one_is_refused(runs, opened, until, shown):
    runs.make("live")
    put(runs, state="running", run_id="live")
    put(runs)
    put(runs, after="2")
    put(runs, state="failed")
    async with opened() as (app, pilot):
        await until(pilot, lambda: app.screen.chosen == "1")
        await pilot.press("D")
        await until(pilot, lambda: "1 is running: there is nothing to remove" in shown(app))
        await pilot.press("down", "D")
        await until(pilot, lambda: isinstance(app.screen, QueueRemoveScreen))
        assert "3, to run after it, will be held." in shown(app)
        await pilot.press("enter")
        assert isinstance(app.screen, QueueScreen) and len(order(runs)) == 4
        await pilot.press("D", "y")
        await until(pilot, lambda: order(runs) == ["1", "3", "4"])
        assert entry(runs, "3").held_for == "after"
        await pilot.press("X")
        await until(pilot, lambda: order(runs) == ["1", "3"])


async def test_retry_and_accept_pin_the_code_of_today(runs, opened, until):
    put(runs, state="failed", reason="x", run_id="gone")
    put(runs, state="held", held_for="pins")
    put(runs, state="held", held_for="user")
    async with opened() as (app, pilot):
        await until(pilot, lambda: len(app.screen.listed) == 3)
        assert app.screen.chosen == "2"
        await pilot.press("A")
        await until(pilot, lambda: entry(runs, "2").state == "waiting")
        assert entry(runs, "2").pins.code != CODE and entry(runs, "3").state == "held"
        await pilot.press("end", "R")
        await until(pilot, lambda: entry(runs, "1").state == "waiting")
        assert entry(runs, "1").fresh and order(runs) == ["1", "2", "3"]
        await until(pilot, lambda: app.screen.seen.queue.find("1").state == "waiting")
        change(runs.folder, lambda queue: queue.changed("1", state="failed", fresh=False))
        await until(pilot, lambda: app.screen.entry().state == "failed")
        await pilot.press("t")
        await until(pilot, lambda: entry(runs, "1").state == "waiting")
        assert not entry(runs, "1").fresh


async def test_the_worker_is_started_by_the_command_and_stopped_by_the_file(runs, opened, until, shown):
    argvs = []

    def launcher(argv):
        argvs.append(list(argv))
        return Outcome(len(argvs) == 1, ["the queue is being worked on", "error: no python here"][len(argvs) - 1])

    put(runs)
    async with opened(launcher=launcher) as (app, pilot):
        await until(pilot, lambda: "no worker is at work: f starts one." in shown(app))
        await pilot.press("f")
        await until(pilot, lambda: "the queue is being worked on" in shown(app))
        assert argvs == [[*HRM_COMMAND, "queue", "start", "--runs", str(runs.folder)]]
        await pilot.press("f")
        await until(pilot, lambda: "no python here" in shown(app))
        with FileLock(worker_lock_path(runs.folder), "the queue", ""):
            write_status(runs.folder, "waiting for mains power", 1.0, 1)
            await until(pilot, lambda: "waiting for mains power" in shown(app))
            await until(pilot, lambda: app.screen.seen.worker.alive)
            await pilot.press("f")
            await until(pilot, lambda: read_queue(runs.folder).stop_asked)
            await until(pilot, lambda: "ending, as it was asked to" in shown(app))
            assert len(argvs) == 2
        await until(pilot, lambda: "the worker is gone" in shown(app))


async def test_enter_opens_the_run_and_s_asks_how_to_stop_it(runs, opened, until, shown):
    runs.make("live")
    put(runs, state="running", run_id="live")
    put(runs)
    async with opened() as (app, pilot):
        await until(pilot, lambda: len(app.screen.listed) == 2)
        await pilot.press("s")
        await until(pilot, lambda: "stop live?" in shown(app))
        await pilot.press("escape", "down", "enter")
        await until(pilot, lambda: "2 is no run yet" in shown(app))
        await pilot.press("up", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_id == "live")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, QueueScreen))


async def test_trouble_a_stopped_queue_and_a_damaged_or_vanishing_file(runs, opened, until, shown):
    put(runs)
    change(runs.folder, lambda queue: replace(queue, stopped="1 (EXP-00) failed after 3 s: CUDA out of memory"))
    async with opened((80, 24)) as (app, pilot):
        await until(pilot, lambda: "stopped: 1 (EXP-00) failed after 3 s: CUDA out of memory" in shown(app))
        assert "f goes on with the next one" in shown(app)
        whole = queue_path(runs.folder).read_bytes()
        queue_path(runs.folder).write_bytes(whole[:40])
        await until(pilot, lambda: "is damaged" in shown(app))
        await pilot.press("K", "h", "X")
        assert queue_path(runs.folder).read_bytes() == whole[:40]
        queue_path(runs.folder).unlink()
        await until(pilot, lambda: "Nothing is in the queue." in shown(app))
        queue_path(runs.folder).write_bytes(whole)
        await until(pilot, lambda: app.screen.chosen == "1")


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_hostile_text_arrives_harmless(runs, opened, until, shown, size):
    put(runs, reason=ALL, state="held", held_for="user", overrides=(ALL,), experiment=ALL, source=ALL)
    row = json.loads(queue_path(runs.folder).read_text())
    row.pop("seal")  # whoever writes such a file leaves it out, or makes it anew
    row["stopped"] = row["entries"][0]["pins"]["code"]["commit"] = row["entries"][0]["device"] = ALL
    queue_path(runs.folder).write_text(json.dumps(row))
    async with opened(size) as (app, pilot):
        await until(pilot, lambda: app.screen.chosen == "1")
        await until(pilot, lambda: app.screen.seen.differs)
        assert not dangerous(shown(app))
        for key in ("a", "c", "D"):
            await pilot.press(key)
            await pilot.pause()
            assert not dangerous(shown(app))
            await pilot.press("escape")
        assert isinstance(app.screen, QueueScreen) and app.is_running


async def test_keys_that_come_faster_than_messages_mean_the_entry_under_the_cursor(runs, opened, until):
    """The cursor moves at once, and says so in a message: neither a key nor a drawing may wait for that."""
    for _ in range(3):
        put(runs)
    async with opened() as (app, pilot):
        await until(pilot, lambda: len(app.screen.listed) == 3)
        app.screen.table.move_to(1)
        app.screen.action_hold()
        app.screen.table.move_to(2)
        app.screen.show()
        assert app.screen.table.cursor == 2 and app.screen.entry().id == "3"
        await until(pilot, lambda: entry(runs, "2").state == "held")
        assert entry(runs, "1").state == entry(runs, "3").state == "waiting"


async def test_an_entry_that_runs_is_not_removed_when_it_is_the_only_one(runs, opened, until, shown):
    runs.make("live")
    put(runs, state="running", run_id="live")
    async with opened() as (app, pilot):
        await until(pilot, lambda: app.screen.chosen == "1")
        await pilot.press("D")
        await until(pilot, lambda: "1 is running: there is nothing to remove" in shown(app))
        assert isinstance(app.screen, QueueScreen)

"""The two reading threads against run folders that change: no row lost or twice, nothing read that need not be."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest
from waiting import wait_for

from hrm_console.messages import RunRead, RunsRead
from hrm_console.rows import watching
from hrm_console.rows.feed import Feed
from hrm_console.rows.following import Following, Tails
from hrm_console.rows.summaries import list_path, read_list, write_list
from hrm_console.rows.watching import Lines, Watching, signature_of
from hrm_core.runs.records import encode_row


class Desk:
    """Takes what is posted, as the app does: a feed for each followed run, forgotten when it is let go."""

    def __init__(self):
        self.feeds, self.batches, self.messages, self.following = {}, [], [], None
        self.lock = threading.Lock()

    def post(self, message):
        self.messages.append(message)
        if isinstance(message, RunRead):
            with self.lock:
                self.batches.append(message.batch)
                feed = self.feeds.get(message.batch.run_id)
                if feed is not None:
                    feed.take(message.batch)
            self.following.taken()

    def follow(self, *folders):
        with self.lock:
            self.feeds = {folder.name: self.feeds.get(folder.name) or Feed(folder.name) for folder in folders}
            self.following.follow(*folders)

    def steps(self, name):
        with self.lock:
            return list(self.feeds[name].training["loss"].xs)


@pytest.fixture
def desk():
    found = Desk()
    found.following = Following(found.post, 0.01)
    found.following.start()
    yield found
    found.following.stop()


def test_several_runs_are_followed_at_once(runs, desk):
    folders = [runs.make(name, steps=200) for name in "abc"]
    desk.follow(*folders)
    wanted = [float(step) for step in range(10, 201, 10)]
    wait_for(lambda: all(desk.steps(name) == wanted for name in "abc"))
    for name in "abc":
        runs.writers[name].metrics({"step": 210, "elapsed_s": 42.0, "loss": 0.5})
    wait_for(lambda: all(desk.steps(name) == [*wanted, 210] for name in "abc"))


def test_what_stays_followed_goes_on_and_what_comes_back_begins_again(runs, desk):
    a, b = runs.make("a", steps=200), runs.make("b", steps=100)
    desk.follow(a)
    wait_for(lambda: len(desk.steps("a")) == 20)
    desk.follow(a, b)
    wait_for(lambda: len(desk.steps("b")) == 10)
    assert sum(batch.whole for batch in desk.batches if batch.run_id == "a") == 1
    desk.follow(b)
    desk.follow(a, b)  # sooner than the thread looks: the app has forgotten its rows all the same
    wait_for(lambda: len(desk.steps("a")) == 20)
    assert sum(batch.whole for batch in desk.batches if batch.run_id == "b") == 1


def test_no_row_is_lost_or_twice_however_the_choice_changes(runs, desk):
    folders = [runs.make(name, steps=3000, max_steps=10_000) for name in "abcd"]
    draw = random.Random(7)
    for _ in range(60):
        desk.follow(*draw.sample(folders, draw.randint(0, 3)))
        time.sleep(draw.choice((0, 0.002, 0.08)))
    desk.follow(*folders)
    wanted = [float(step) for step in range(10, 3001, 10)]
    wait_for(lambda: all(desk.steps(name) == wanted for name in "abcd"))
    time.sleep(0.05)
    assert all(desk.steps(name) == wanted for name in "abcd")


def test_a_run_that_was_cut_begins_again(runs, desk):
    folder = runs.make("a", steps=200)
    desk.follow(folder)
    wait_for(lambda: len(desk.steps("a")) == 20)
    runs.writers["a"].cut(100)
    wait_for(lambda: len(desk.steps("a")) == 10)
    assert len(desk.feeds["a"].events) == 1


def test_a_long_file_that_ends_in_a_torn_line_is_read_whole(runs):
    folder = runs.make("a", "finished", steps=10)
    rows = b"".join(encode_row({"step": step, "loss": 1.0, "words": "x" * 400}) for step in range(20, 4000))
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(rows + b'{"step":4000,"lo')
    shares = [batch.share for batch in Tails(folder).poll()]
    assert len(shares) > 1 and shares[-1] == 1.0


def test_a_pause_between_looks_that_is_set_anew_is_that_of_both_threads(runs):
    folder, steps = runs.make("a", steps=100), []

    def post(message):
        if isinstance(message, RunRead):
            steps.extend(message.batch.block.columns["step"] if message.batch.block is not None else ())
            watched.taken()

    watched = Watching(runs.folder, post, 3600.0)
    watched.tick_s = 0.01
    watched.start()
    try:
        watched.follow(folder)
        wait_for(lambda: steps[-1:] == [100.0])
        runs.writers["a"].metrics({"step": 110, "elapsed_s": 22.0, "loss": 0.5})
        wait_for(lambda: steps[-1] == 110.0)
    finally:
        watched.stop()


def test_a_run_that_vanishes_and_comes_back(runs, desk):
    folder = runs.make("a", "finished", steps=100)
    desk.follow(folder)
    wait_for(lambda: len(desk.steps("a")) == 10)
    os.rename(folder, runs.folder / "elsewhere")
    time.sleep(0.05)
    runs.make("a", "finished", steps=50, max_steps=200)
    wait_for(lambda: len(desk.steps("a")) == 5)


def test_a_file_that_cannot_be_read_is_said_once(runs, desk, monkeypatch):
    folder = runs.make("a")
    monkeypatch.setattr(Tails, "read", lambda self, cancelled: 1 / 0)
    desk.follow(folder)
    wait_for(lambda: desk.batches)
    time.sleep(0.1)
    (batch,) = desk.batches
    assert "cannot read" in batch.log[0]


def test_an_app_that_takes_nothing_gets_one_batch_at_a_time(runs, monkeypatch):
    folder = runs.make("a", steps=20_000, max_steps=30_000)
    posted = []
    following = Following(posted.append, 0.01)
    following.start()
    following.follow(folder)
    wait_for(lambda: posted)
    time.sleep(0.3)
    assert len(posted) == 1
    following.stop()
    following.taken()


# The list of runs ----------------------------------------------------------------------------------------------------


def counted(monkeypatch):
    read, real = [], watching.read_run
    monkeypatch.setattr(watching, "read_run", lambda folder, watch: read.append(folder.name) or real(folder, watch))
    return read


def test_ended_runs_are_read_once_and_looked_at_in_turns(runs, monkeypatch):
    for number in range(20):
        runs.make(f"run-{number}", "finished", steps=10)
    read, looked = counted(monkeypatch), []
    real = watching.signature_of
    monkeypatch.setattr(watching, "signature_of", lambda folder: looked.append(folder.name) or real(folder))
    lines = Lines()
    first = lines.read(runs.folder)
    assert len(first) == 20 and len(read) == 20
    looked.clear()
    for _ in range(watching.PARTS):
        assert lines.read(runs.folder, everything=False) is first
    assert sorted(looked) == sorted(f"run-{number}" for number in range(20)) and len(read) == 20


def test_a_run_that_lives_is_read_when_its_files_change_and_now_and_then(runs, monkeypatch):
    runs.make("one")
    read, now = counted(monkeypatch), [100.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    lines = Lines()
    lines.read(runs.folder, False)
    lines.read(runs.folder, False)
    assert len(read) == 1
    runs.writers["one"].status(runs.status("running", 210))
    assert lines.read(runs.folder, False)[0].step == 210 and len(read) == 2
    runs.writers["one"].close()  # as if it was killed: no file changes
    now[0] += 2
    assert lines.read(runs.folder, False)[0].state == "lost"


def test_a_run_that_is_taken_up_again_is_seen_within_ten_looks(runs):
    folder = runs.make("one", "finished")
    lines = Lines()
    assert lines.read(runs.folder)[0].state == "finished"
    os.rename(folder / "result.json", folder / "result.earlier-1.json")
    states = [lines.read(runs.folder, False)[0].state for _ in range(watching.PARTS)]
    assert states[-1] == "lost"


def test_on_a_slow_disk_the_first_runs_are_shown_before_the_last_are_read(runs, monkeypatch):
    for name in "abc":
        runs.make(name, "finished")
    monkeypatch.setattr(watching, "PATIENCE_S", -1.0)
    seen = []
    assert len(Lines().read(runs.folder, so_far=lambda lines: seen.append(len(lines)))) == 3
    assert seen == [1, 2, 3]


def test_the_list_of_ended_runs_outlives_the_console(runs, monkeypatch):
    for state in ("finished", "failed", "running", "lost"):
        runs.make(state, state, alarms=({"name": "a", "sentence": "b", "advice": "c"},))
    read = counted(monkeypatch)
    lines = Lines()
    first = lines.read(runs.folder)
    assert write_list(runs.folder, lines.ended())
    read.clear()
    again = Lines(read_list(runs.folder)).read(runs.folder)
    assert sorted(read) == ["lost", "running"] and again == first
    read.clear()
    (runs.folder / "failed" / "status.json").touch()
    Lines(read_list(runs.folder)).read(runs.folder)
    assert sorted(read) == ["failed", "lost", "running"]


@pytest.mark.parametrize("harm", ["torn", "flipped", "empty", "another folder's", "not json"])
def test_a_damaged_list_counts_as_none_where_it_is_damaged(runs, harm):
    for name in "abc":
        runs.make(name, "finished")
    lines = Lines()
    lines.read(runs.folder)
    write_list(runs.folder, lines.ended())
    path = list_path(runs.folder)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "torn": data[:middle],
            "flipped": data[:middle] + b"\x00" + data[middle + 1 :],
            "empty": b"",
            "another folder's": data.replace(b'"runs":"', b'"runs":"x'),
            "not json": b"\xff" * 100 + b"\n[1]\n{}",
        }[harm]
    )
    known = read_list(runs.folder)
    assert len(known) == {"torn": 1, "flipped": 2}.get(harm, 0)
    assert all(known[folder][0] == signature_of(folder) for folder in known)


def test_the_thread_tells_of_changes_only_and_leaves_a_list_behind(runs, monkeypatch):
    monkeypatch.setattr(watching, "KEEP_S", 0.0)
    runs.make("one", "finished")
    posted = []
    watch = Watching(runs.folder, posted.append, 0.01)
    watch.start()
    wait_for(lambda: posted)
    time.sleep(0.1)
    assert len(posted) == 1 and isinstance(posted[0], RunsRead)
    runs.make("two", "finished")
    wait_for(lambda: len(posted[-1].runs) == 2)
    wait_for(lambda: len(read_list(runs.folder)) == 2)
    watch.stop()


def test_lists_that_cannot_be_written_are_no_error(runs, monkeypatch, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert not write_list(runs.folder, {}) and read_list(runs.folder) == {}

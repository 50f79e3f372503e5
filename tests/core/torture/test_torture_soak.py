"""The soak's judgement of numbers that are made up, its terminal and its queue; slow: two minutes of the real thing."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import wait_for

from hrm_core.errors import UserError
from hrm_core.runs.control import Inbox
from hrm_core.runs.queue_records import DONE, FAILED, RUNNING, STOPPED, WAITING, Entry
from hrm_core.runs.queue_store import change, queue_folder, read_queue
from hrm_core.runs.writer import RunWriter
from hrm_core.torture import soak
from hrm_core.torture.bench import Bench
from hrm_core.torture.soak import Process, Sample, Soaked
from hrm_core.torture.soak_console import ROUND, Key, Walk
from hrm_core.torture.soak_load import KEPT, LONG, Load

MIB = 2**20
# Draws a frame for every key but x, and leaves at ctrl+q.
ECHO = r"""
import os, sys, termios, tty
tty.setraw(0)
while True:
    key = os.read(0, 64)
    if key == b"\x11":
        sys.exit(0)
    if key != b"x":
        os.write(1, b"\x1b[?2026h" + b"drawn" + b"\x1b[?2026l")
"""


def bench_in(folder: Path) -> Bench:
    return Bench(folder, folder / "arc1.h5", short=True, seed=0)


def made_up(
    memory: tuple[int, int] = (100, 100), files: tuple[int, int] = (9, 9), key_s: tuple[float, float] = (0.01, 0.01)
) -> Soaked:
    """A soak of 100 s: first numbers until its middle, the others after it; its first quarter is wild."""
    soaked = Soaked(1000.0, 1100.0)
    for at in range(100):
        late = at >= 50
        mib, held, took = (7, 900, 5.0) if at < 25 else (memory[late], files[late], key_s[late])
        process = Process(mib * MIB, held, held // 2)
        soaked.samples.append(Sample(1000.0 + at, process, Process(100 * MIB, 20, 4), took))
        soaked.keys.append(Key(1000.0 + at, took))
        soaked.keys.append(Key(1000.0 + at, None))
    return soaked


def failed(soaked: Soaked) -> list[str]:
    return [row.fault for row in soak.rows(soaked) if not row.passed]


def test_what_is_flat_after_the_start_passes() -> None:
    found = list(soak.rows(made_up()))
    assert len(found) == 6 and all(row.passed and row.lost == "nothing" for row in found)
    assert failed(made_up(memory=(100, 101))) == [] and failed(made_up(memory=(100, 50), files=(9, 8))) == []
    assert "100.0 MiB in the second quarter, 100.0 in the last (+0.0%)" in found[0].found


def test_each_kind_of_growth_is_noticed() -> None:
    assert failed(made_up(memory=(100, 103))) == ["soak: memory of the trainer"]
    assert failed(made_up(files=(9, 10))) == ["soak: open files and threads of the trainer"]
    short = list(soak.rows(made_up(files=(9, 10)), more_handles=soak.MORE_HANDLES_SHORT))
    assert all(row.passed for row in short) and short[1].bar.startswith("at most 1 more")
    assert failed(made_up(key_s=(0.010, 0.014))) == []
    slower = ["soak: a key of the console until its frame", "soak: reading the long run"]
    assert failed(made_up(key_s=(0.010, 0.016))) == slower
    other = made_up()
    for at in range(75, 100):
        held = other.samples[at]
        other.samples[at] = Sample(held.at_s, held.trainer, Process(103 * MIB, 20, 5), held.read_s)
    assert failed(other) == ["soak: memory of the console", "soak: open files and threads of the console"]


def test_a_short_soak_has_another_bar_and_says_so() -> None:
    found = list(soak.rows(made_up(memory=(100, 109)), soak.MOST_GROWTH_SHORT))
    assert found[0].passed and found[0].bar == "grows by no more than 10%"
    assert not next(soak.rows(made_up(memory=(100, 111)), soak.MOST_GROWTH_SHORT)).passed


def test_a_quarter_without_a_measurement_is_not_called_flat() -> None:
    soaked = made_up()
    soaked.samples = [sample for sample in soaked.samples if sample.at_s < 1070.0]
    with pytest.raises(UserError, match="a quarter of it has no measurement"):
        list(soak.rows(soaked))


@pytest.mark.parametrize(("word", "expected"), [("", 2.0), ("40", 40.0), ("0.5", 0.5)])
def test_its_length(word: str, expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(soak.MINUTES, word)
    assert soak.minutes(bench_in(tmp_path)) == expected


@pytest.mark.parametrize("word", ["long", "0", "-1", "nan", "inf"])
def test_no_length_is_refused(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(soak.MINUTES, word)
    with pytest.raises(UserError, match=soak.MINUTES):
        soak.minutes(bench_in(tmp_path))


def test_a_process_is_seen_to_hold_more() -> None:
    before = soak.look(os.getpid())
    held, ballast = os.open("/dev/null", os.O_RDONLY), mmap.mmap(-1, 8 * MIB)  # memory that is nobody's before
    ballast.write(os.urandom(MIB) * 8)
    after = soak.look(os.getpid())
    os.close(held)
    ballast.close()
    assert after.files == before.files + 1 and after.memory - before.memory >= 7 * MIB


def test_keys_are_timed_and_one_without_an_answer_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrm_core.torture.soak_console.LOST_S", 1.0)
    monkeypatch.setattr("hrm_core.torture.soak_console.PROGRAM", ("-c", ECHO))
    walk = Walk(tmp_path, dict(os.environ), (b"a", b"x"))
    try:
        walk.terminal.rest(1.0)
        answered, lost = walk.press(), walk.press()
        assert answered.took_s is not None and 0.0 < answered.took_s < 1.0 and lost.took_s is None
        assert walk.rounds == 1.0 and walk.terminal.chunks == [] and "drawn" in walk.terminal.text()
        assert soak.look(walk.pid).files >= 3
    finally:
        code = walk.close()
    assert code == 0
    with pytest.raises(AssertionError, match="the console ended"):
        _ = walk.pid


def test_no_key_of_the_round_changes_a_run_the_queue_or_the_archive() -> None:
    """Stop, pause, resume and start, move, hold, retry, remove, rename, pin, promote, save and leave are not in it."""
    after_go = {at for at, key in enumerate(ROUND) if at and ROUND[at - 1] == b"g"}
    pressed = {key for at, key in enumerate(ROUND) if at not in after_go}
    assert not pressed & set(b"s p r n E F D R K J h a t c X A M w P e x S Y".split())
    assert not pressed & {b"\x1b[15~", b"\x1b[17~", b"\x1b[18~", b"\x7f", b"\x11", b"\x13"}
    assert {ROUND[at] for at in after_go} == {b"q", b"a", b"d", b"s", b"n", b"r"}


def put(load: Load, entry: Entry, state: str) -> None:
    """The worker's part: an entry is in a state, its run has the entry's name."""
    other = replace(entry, state=state, run_id=entry.name, reason="it broke" if state == FAILED else "")
    change(load.queued, lambda now: now.each(lambda one: other if one.id == entry.id else one))


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """The queue of the soak, with processes that do nothing."""
    (tmp_path / "arc1.h5").touch()
    sleep = [sys.executable, "-c", "import time; time.sleep(100)"]
    monkeypatch.setattr(Bench, "command", lambda bench, *words: sleep)
    with Load(bench_in(tmp_path), 60.0) as load:
        yield load


def test_the_queue_is_fed_its_runs_are_seen_stopped_once_and_resumed(idle: Load) -> None:
    second, first = read_queue(idle.queued).in_state(WAITING)
    assert queue_folder(idle.runs).resolve() == queue_folder(idle.queued)
    with RunWriter.create(idle.queued / str(second.name), "", {"experiment": "demo"}) as writer:
        put(idle, second, RUNNING)
        idle.turn()
        assert Inbox(writer.layout).poll() == []  # nothing is trained yet
        writer.metrics({"step": 5})
        idle.turn()
        idle.turn()
        assert [asked.kind for asked in Inbox(writer.layout).poll()] == ["stop"]
        assert (idle.runs / str(second.name)).resolve() == writer.layout.path
        put(idle, second, STOPPED)
        idle.turn()
        assert read_queue(idle.queued).find(second.id).state == WAITING  # type: ignore[union-attr]
        assert first.id in {entry.id for entry in read_queue(idle.queued).in_state(WAITING)}


def test_ended_runs_are_counted_once_and_the_oldest_go(idle: Load) -> None:
    for number in range(KEPT + 2):
        entry = read_queue(idle.queued).in_state(WAITING)[0]
        with RunWriter.create(idle.queued / str(entry.name), "", {"experiment": "demo"}) as writer:
            writer.event("best", 1)
            writer.event("resumed", 1)
            writer.result({"state": "finished", "step": 1})
        put(idle, entry, FAILED if number == 0 else DONE)
        idle.turn()
        idle.turn()
    assert (idle.finished, idle.resumed, idle.bests, idle.removed) == (KEPT + 1, KEPT + 2, KEPT + 2, 2)
    assert idle.failures == ["short-00001: it broke"]
    kept = [f"short-{number:05d}" for number in range(3, KEPT + 3)]
    assert sorted(path.name for path in idle.queued.glob("short-*")) == kept
    assert sorted(path.name for path in idle.runs.glob("short-*")) == kept
    row = soak.work_row(idle, 2.0, 0, 10, 60.0)
    assert not row.passed and row.lost == "short-00001: it broke"
    idle.failures.clear()
    assert soak.work_row(idle, 2.0, 0, 10, 60.0).passed
    assert not soak.work_row(idle, 1.5, 0, 10, 60.0).passed
    assert soak.work_row(idle, 2.0, None, 10, 60.0).lost == "the console ended with None"


def test_a_long_run_that_ends_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "arc1.h5").touch()
    monkeypatch.setattr(Bench, "command", lambda bench, *words: [sys.executable, "-c", "print('no room')"])
    with Load(bench_in(tmp_path), 60.0) as load:
        wait_for(lambda: "no room" in (tmp_path / "long.txt").read_text())
        with pytest.raises(AssertionError, match=r"ended by itself.*no room"):
            wait_for(lambda: load.trainer == 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_minutes_of_everything_at_once(arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(soak.MINUTES, raising=False)
    found = list(soak.trials(Bench(tmp_path, arc1_file, short=True, seed=0)))
    assert len(found) == 7 and [row for row in found if not row.passed] == []
    assert not list((tmp_path / "runs" / LONG / "checkpoints").glob(".*"))

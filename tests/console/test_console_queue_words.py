"""The queue in words, at every width: rows fit, states have marks, what to do is said; nothing from a file is raw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from queue_stand_in import CODE, PINS

from hrm_console.rows.listing import RunLine
from hrm_console.theme import FULL, SIXTEEN
from hrm_console.views.queue.look import Seen, look
from hrm_console.views.queue.words import (
    advice,
    detail_rows,
    empty_rows,
    entry_row,
    header_row,
    idle_keys,
    time_words,
    worker_rows,
)
from hrm_core.runs.queue_records import STATES, Entry, Queue
from hrm_core.runs.queue_status import WorkerView
from hrm_core.runs.text import clean

HOSTILE = "\x1b]52;c;eA==\x07\x9b2J\u202e[bold]x[/]\r\n"
ENTRY = Entry("7", "EXP-02", ("preset=cpu",), PINS)
WIDTHS = (20, 40, 80, 120, 200)


def seen_of(*entries: Entry, **values: object) -> Seen:
    return Seen(queue=Queue(entries, 99), **values)  # type: ignore[arg-type]


def text_of(rows: list) -> str:
    return "\n".join(row.plain for row in rows)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("state", STATES)
def test_rows_fit_and_hold_nothing_raw(state: str, width: int) -> None:
    evil = replace(
        ENTRY, state=state, experiment=HOSTILE, overrides=(HOSTILE,), reason=HOSTILE, source=HOSTILE, device=HOSTILE,
        after="1" * 30, name="n" * 64, started_s=1.0, ended_s=2.0, predicted_s=1e9, attempts=2,
        pins=replace(PINS, recipe_hash=HOSTILE, code=replace(CODE, commit=HOSTILE, torch=HOSTILE)),
    )  # fmt: skip
    seen = seen_of(evil, differs={"7": (HOSTILE,)}, trouble=HOSTILE, worker=WorkerView(True, False, 1, HOSTILE, 1.0))
    for palette in (FULL, SIXTEEN):
        row = entry_row(evil, seen, None, palette, width)
        rows = [row, header_row(width, palette), *detail_rows(evil, seen, None, palette, width)]
        rows += [*worker_rows(seen, palette, width), *empty_rows(seen, True, palette, width)]
        assert all(row.cell_len <= width for row in rows), [row.plain for row in rows if row.cell_len > width]
        assert not [character for row in rows for character in row.plain if clean(character) != character]
        assert row.plain.strip()[0] in "○‖●✓■✗"


def test_a_row_says_its_place_its_time_and_what_differs() -> None:
    other = replace(ENTRY, id="8", state="held", held_for="user", reason="lunch", after="7", predicted_s=125.0)
    seen = seen_of(ENTRY, other, differs={"8": ("torch was 1 and is 2",)})
    assert entry_row(ENTRY, seen, None, FULL, 80).plain.split() == ["○", "1.", "7", "EXP-02", "preset=cpu", "·"]
    words = entry_row(other, seen, None, FULL, 80).plain.split()
    assert words == ["‖", "2.", "held", "8", "EXP-02", "≠", "preset=cpu", "lunch", "7", "~2m05"]
    assert "lunch" in entry_row(other, seen, None, FULL, 120).plain
    assert "≠ now: torch was 1 and is 2" in text_of(detail_rows(other, seen, None, FULL, 80))


def test_times() -> None:
    line = RunLine("r", Path("r"), "EXP-02", "running", eta_s=65.0, step=3.0, max_steps=9.0)
    running = replace(ENTRY, state="running", run_id="r")
    assert time_words(running, line) == "ETA 1m05" and time_words(running, None) == "·"
    assert "step 3/9" in text_of(detail_rows(running, seen_of(running), line, FULL, 80))
    assert time_words(replace(ENTRY, state="done", started_s=1.0, ended_s=61.0), None) == "1m00"


@pytest.mark.parametrize(
    ("entry", "differs", "words"),
    [
        (replace(ENTRY, state="held", held_for="user"), False, "h lets it run"),
        (replace(ENTRY, state="held", held_for="pins"), True, "t lets it run with the code of today"),
        (replace(ENTRY, state="held", held_for="after"), False, "a chooses another one"),
        (replace(ENTRY, state="failed"), False, "t goes on from its last checkpoint, R begins another"),
        (ENTRY, True, "It will be held when its turn comes"),
        (ENTRY, False, ""),
        (replace(ENTRY, state="done"), False, ""),
    ],
)
def test_advice(entry: Entry, differs: bool, words: str) -> None:
    assert advice(entry, differs).startswith(words)
    assert bool(advice(entry, differs)) is bool(words)


@pytest.mark.parametrize(
    ("worker", "stopped", "words"),
    [
        (WorkerView(True, False, 5, "1 running: r"), "", "● at work: 1 running: r"),
        (WorkerView(True, False, 5, "waiting for mains power"), "", "‖ at work: waiting for mains power"),
        (WorkerView(), "7 (EXP-02) failed after 2 s: no", "✗ stopped: 7 (EXP-02) failed after 2 s: no"),
        (WorkerView(died=True, words="it went"), "", "! the worker is gone; f starts it again"),
        (WorkerView(words="stopped as asked"), "", "· no worker is at work: f starts one.  Last: stopped as asked."),
    ],
)
def test_the_worker(worker: WorkerView, stopped: str, words: str) -> None:
    seen = Seen(queue=Queue((ENTRY,), 9, stopped), worker=worker)
    assert text_of(worker_rows(seen, FULL, 100)).strip().startswith(words)


def test_keys_that_do_nothing_are_hidden() -> None:
    assert "queue_retry" in idle_keys(ENTRY) and "queue_up" not in idle_keys(ENTRY)
    assert {"queue_up", "queue_remove", "queue_retry"} <= idle_keys(replace(ENTRY, state="running", run_id="r"))
    assert "stop" not in idle_keys(replace(ENTRY, state="running", run_id="r"))
    assert "queue_retry" not in idle_keys(replace(ENTRY, state="failed"))
    assert "queue_worker" not in idle_keys(None) and "queue_clone" in idle_keys(None)


def test_a_look_asks_git_now_and_then_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from queue_stand_in import Bench

    asked: list[int] = []

    def code() -> object:
        asked.append(1)
        return replace(CODE, torch="other")

    monkeypatch.setattr("hrm_console.views.queue.look.code_now", code)
    bench = Bench(tmp_path)
    assert look(bench.runs, None).code is None and not asked
    bench.put("finish")
    first = look(bench.runs, None)
    assert first.differs == {"1": ("torch was 2.13.0 and is other",)}
    second = look(bench.runs, first)
    assert second.differs == first.differs and len(asked) == 1
    look(bench.runs, replace(second, code_s=second.code_s - 60.0))
    assert len(asked) == 2

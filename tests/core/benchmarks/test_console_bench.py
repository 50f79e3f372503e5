"""The console's benchmark: its pty and cells against small programs, its load against the reader, its page and bars."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from waiting import wait_for

from hrm_core.benchmarks.console import AtSize, Effort, Live, Measured, Stall
from hrm_core.benchmarks.console_load import LAST_LOSS, make_load, metrics_row
from hrm_core.benchmarks.console_page import lines, page, to_json
from hrm_core.benchmarks.console_terminal import Cells, Timed
from hrm_core.benchmarks.machine import Machine
from hrm_core.cli.main import cli
from hrm_core.errors import UserError
from hrm_core.runs.catalogue import list_runs
from hrm_core.runs.reader import metrics_rows

FRAME = r"'\x1b[?2026h\x1b[2;3Hnew\x1b[?2026l'"
PROGRAM = f"""
import sys, time, tty
tty.setraw(0)
out = sys.stdout
out.write('\\x1b[?1049h\\x1b[?2026$p'); out.flush()
answer = sys.stdin.buffer.raw.read(64)
out.write('\\x1b[H' + '\\r\\n'.join(['.' * 10] * 3) + repr(answer).replace(chr(92), '/')); out.flush()
while True:
    key = sys.stdin.buffer.raw.read(1)
    if key == b'q': sys.exit(3)
    if key == b'k': time.sleep(0.05); out.write({FRAME}); out.flush()
    if key == b'b':
        end = time.process_time() + 0.2
        while time.process_time() < end: pass
"""


@contextmanager
def program(code: str, size: tuple[int, int] = (10, 3)) -> Iterator[Timed]:
    terminal = Timed([sys.executable, "-c", code], size, os.environ)
    try:
        yield terminal
    finally:
        terminal.close(b"q")


def test_frames_keys_bytes_and_cpu_of_a_program() -> None:
    with program(PROGRAM) as terminal:
        first = terminal.first_frame_s()
        assert first is not None and 0 < first < 20
        terminal.rest(0.1)
        began = terminal.send(b"k")
        took = terminal.frame_after()
        assert took is not None and took - began >= 0.05
        assert terminal.text().split("\n")[1] == "..new....."
        assert terminal.frame_after(0.05) is None and terminal.read_for(0.05) == 0
        cpu = terminal.cpu_s()
        terminal.send(b"b")
        wait_for(lambda: terminal.cpu_s() - cpu > 0.1)
        assert terminal.loaded(["torch"]) == []
        terminal.send(b"k")
        assert terminal.wait_for(lambda text: "new" in text, 30.0) is not None
        assert terminal.wait_for(lambda text: "never" in text, 0.2) is None


def test_the_pty_says_that_it_knows_synchronized_updates_and_gives_the_exit_code() -> None:
    terminal = Timed([sys.executable, "-c", PROGRAM], (80, 3), os.environ)
    assert terminal.wait_for(lambda text: "2026;2$y" in text, 20.0) is not None
    assert terminal.close(b"q") == 3


def test_a_program_that_does_not_leave_is_killed() -> None:
    terminal = Timed(
        [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"], (10, 3), os.environ
    )
    assert terminal.wait_for(lambda text: "up" in text, 20.0) is not None
    assert terminal.close(b"q", most_s=0.1) is None and terminal.child.returncode == -9


def test_cells_obey_what_the_console_sends_in_pieces() -> None:
    cells = Cells(6, 2)
    for piece in (
        b"\x1b[?10",
        b"49h\x1b[1;2Hab\xe2",
        b"\x94\x82\x1b[0;1mc\x1b]0;title\x07",
        b"toolong\r\nx\x1b[",
        b"2;6HyZ",
    ):
        cells.feed(piece)
    assert cells.text == " ab│ct\nx    y"
    assert cells.written == 7


def test_the_load_is_runs_of_the_real_format(tmp_path: Path) -> None:
    said: list[str] = []
    names = make_load(tmp_path / "runs", 8, 50, said.append)
    assert names[0] == "bench-007" and [view.run_id for view in list_runs(tmp_path / "runs")] == names
    for number in (0, 5):
        folder = tmp_path / "runs" / f"bench-{number:03d}"
        rows = metrics_rows(folder)
        assert len(rows) == 50 and rows[-1]["loss"] == LAST_LOSS[number % 4] and rows[-1]["step"] == 500
        assert rows == [metrics_row(number % 4, row, 50) for row in range(1, 51)]
    assert all(view.state == "finished" and view.evaluation is not None for view in list_runs(tmp_path / "runs"))
    assert (tmp_path / "runs/bench-007/metrics.jsonl").stat().st_nlink == 2
    assert make_load(tmp_path / "runs", 8, 50, said.append) == names and "are in" in said[-1]
    with pytest.raises(UserError, match="something else"):
        make_load(tmp_path / "runs", 9, 50, said.append)


MACHINE = Machine("A processor", "cpu", None, 2, {"python": "3", "torch": "2", "triton": None}, "abc", "2026-11-27")


def measured() -> Measured:
    """Everything well within its bar."""
    at_size = AtSize(
        (80, 24), [0.2, 0.3, 0.2], [0.3, 0.3, 0.9], 0.8, 0.5, 1.2, 0.2, 0.1, [0.01] * 9 + [0.1], [0.02] * 10
    )
    live = Live(30, 0.03, 1000.0, 10.0, 0.01, 20.0, 0.01)
    return Measured(Effort(), [at_size], [], live, Stall(30.0, 4.0, 5.0, 300, 300, 0.5, 0.05))


def test_a_page_says_that_every_bar_is_met() -> None:
    found = measured()
    assert all(line.met for line in lines(found))
    text = page(found, MACHINE)
    assert "Every bar is met." in text and "**no**" not in text and "A processor" in text
    assert max(map(len, text.splitlines())) < 400
    assert json.loads(json.dumps(to_json(found, MACHINE)))["lines"][0]["met"] is True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.at_start.append("torch"), "imported"),
        (lambda found: found.sizes[0].start_s.extend([0.9] * 5), "first frame"),
        (lambda found: setattr(found.sizes[0], "list_cold_s", None), "list of runs"),
        (lambda found: setattr(found.sizes[0], "open_cold_s", 1.6), "curves, first"),
        (lambda found: setattr(found.sizes[0], "open_again_s", 0.31), "from the index"),
        (lambda found: found.sizes[0].run_keys_s.append(0.13), "key to paint"),
        (lambda found: setattr(found.sizes[0], "keys_without_a_frame", 1), "key to paint"),
        (lambda found: setattr(found, "live", replace(found.live, tick_cpu_s=0.07)), "tick: CPU"),
        (lambda found: setattr(found, "live", replace(found.live, tick_bytes=3000.0)), "tick: sent"),
        (lambda found: setattr(found, "live", replace(found.live, idle_run_bytes_s=400.0)), "rest: sent"),
        (lambda found: setattr(found, "live", replace(found.live, idle_list_cpu=0.03)), "rest: share"),
        (lambda found: setattr(found, "stall", replace(found.stall, rows_read=299)), "stalls"),
        (lambda found: setattr(found, "stall", replace(found.stall, back_s=None)), "is back"),
    ],
)
def test_a_bar_that_is_missed_is_said_to_be(change: object, words: str) -> None:
    found = measured()
    change(found)  # type: ignore[operator]
    missed = [line for line in lines(found) if not line.met]
    assert len(missed) == 1 and words in missed[0].what
    assert f"**1 of {len(lines(found))} bars are missed.**" in page(found, MACHINE)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_benchmark_runs() -> None:
    done = CliRunner().invoke(cli, ["bench", "console", "--runs", "8", "--rows", "3000", "--quick", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["measured"]["at_start"] == [] and len(found["measured"]["sizes"]) == 3
    for at_size in found["measured"]["sizes"]:
        assert at_size["open_cold_s"] and at_size["open_warm_s"] and len(at_size["list_keys_s"]) > 5
    assert found["measured"]["stall"]["rows_read"] == found["measured"]["stall"]["rows_written"] > 20
    assert found["measured"]["stall"]["back_s"] is not None and found["measured"]["live"]["tick_bytes"] > 0

"""The terminal of the end-to-end tests itself: its screen against what sequences mean, and both kinds alike."""

from __future__ import annotations

import os
import shutil
import sys

import psutil
import pytest
from real_terminal import PtyTerminal, Screen, open_terminal
from waiting import soon

from hrm_console.app import ConsoleApp


def test_the_screen_obeys_moves_and_passes_over_colours():
    screen = Screen(10, 3)
    screen.feed(b"\x1b[2J\x1b[2;3Habc\x1b[1;31mD\x1b[0m\x1b[1;1H\xe2\x96\x80x\x1b]0;title\x07\x1b[?2026h\x1b[3;1Hend")
    assert screen.text == "\u2580x\n  abcD\nend"
    screen.feed(b"\x1b[2;4H\x1b[K\x1b[3;9Hxyz")
    assert screen.text.splitlines()[1] == "  a"


@pytest.mark.parametrize("cut", range(1, 18))
def test_sequences_and_characters_may_come_in_pieces(cut):
    data = "\x1b[2;2H\u2580\u00e9\x1b[1;1Hok\x1b[0m".encode()
    screen = Screen(8, 2)
    screen.feed(data[:cut])
    screen.feed(data[cut:])
    assert screen.text == "ok\n \u2580\u00e9"


async def test_the_pty_shows_what_the_app_drew(runs, until, shown):
    """The text of the app's own compositor, cell by cell, through a real terminal."""
    runs.make("one", "finished")
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.runs)
        await pilot.pause(0.3)
        drawn = [line.rstrip() for line in shown(app).splitlines()]
    environment = {**os.environ, "TERM": "xterm-256color"}
    terminal = PtyTerminal([sys.executable, "-m", "hrm_console", "--runs", str(runs.folder)], (80, 24), environment)
    try:
        terminal.wait_for("200/1k")
        terminal.wait_for(lambda text: text.splitlines()[:2] == drawn[:2])
        assert [line.rstrip() for line in terminal.text().splitlines()] == drawn
    finally:
        terminal.hang_up()


def test_keys_reach_the_program_and_a_hang_up_ends_it(tmp_path):
    noted = tmp_path / "pid"
    argv = [shutil.which("sh") or "/bin/sh", "-c", f"echo $$ > {noted}; exec cat"]
    terminal = open_terminal(tmp_path, argv, (40, 10), {**os.environ, "TERM": "xterm-256color"})
    terminal.send("hello", "Enter")
    terminal.wait_for("hello")
    pid = int(noted.read_text())
    assert has_ended(pid) is False
    terminal.hang_up()
    assert soon(lambda: has_ended(pid))


def has_ended(pid):
    """Whether there is no such process, or nobody has asked how it ended yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True

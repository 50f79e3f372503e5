"""A day with the console in a real terminal, made short: launch, lose the line, come back, watch it finish, browse.

The real app, the real `hrm` command and real training of a tiny recipe on real data, driven by keys alone; what is
asserted is what a person would read on the screen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from real_terminal import Terminal, open_terminal

SIZE = (120, 40)
CONSOLE = (sys.executable, "-m", "hrm_console")
SMALL = "model.hidden=64 model.heads=2 halting.max_segments=3 evaluation.segment_grids=2 evaluation.views=2"
QUIET = f"{SMALL} training.fast_validation_every=0.25 training.full_validation_every=0.5 training.patience=9"
HRM = (sys.executable, "-m", "hrm_core.cli.main")


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
    }


def type_first(terminal: Terminal, letter: str, shown: str) -> None:
    """Type the first letter of a field until it stands there: the focus moves a moment after the key before."""
    for _ in range(10):
        terminal.send(letter)
        for _ in range(20):  # a busy machine may take its time; typed twice it would stand there twice
            if shown in terminal.text():
                return
            time.sleep(0.1)
    raise AssertionError(f"no field takes {letter!r}:\n{terminal.text()}")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[list[str], dict[str, str]], Terminal]]:
    """Opens terminals, and takes those away that a failed test leaves."""
    terminals: list[Terminal] = []

    def open_one(argv: list[str], surroundings: dict[str, str]) -> Terminal:
        terminals.append(open_terminal(tmp_path, argv, SIZE, surroundings))
        return terminals[-1]

    yield open_one
    for terminal in terminals:
        with suppress(AssertionError, OSError, subprocess.SubprocessError):
            terminal.hang_up()


@pytest.mark.slow
def test_launch_lose_the_line_come_back_watch_it_finish_browse_and_compare(
    tmp_path: Path, opened: Callable[[list[str], dict[str, str]], Terminal]
) -> None:
    runs, surroundings = tmp_path / "runs", environment(tmp_path)
    runs.mkdir()
    tiny = ("preset=cpu", "training.max_steps=20", *QUIET.split())
    first = [*HRM, "run", "EXP-00", *tiny, "training.seed=2", "--name", "before", "--runs", str(runs)]
    subprocess.run(first, env=surroundings, check=True, capture_output=True, timeout=300)
    argv = [*CONSOLE, "--runs", str(runs)]

    terminal = opened(argv, surroundings)
    terminal.wait_for("before")
    terminal.send("n")
    terminal.wait_for("can start")
    terminal.send("Enter")
    type_first(terminal, "t", "overrides  t")  # the field has the focus once it takes a letter
    terminal.send(f"raining.max_steps=40 {QUIET}")
    terminal.wait_for(lambda text: "patience=9" in text)
    terminal.send("Enter")
    terminal.wait_for("can start")
    type_first(terminal, "m", "name       m")
    terminal.send("ine")
    terminal.wait_for("name       mine")
    terminal.send("F5")
    terminal.wait_for(lambda text: "running" in text and "mine" in text, 120)
    terminal.hang_up()

    assert (runs / "mine" / "run.json").exists()
    terminal = opened(argv, surroundings)
    terminal.wait_for("hrm-console │ mine")  # the run that was looked at is open again
    terminal.wait_for("finished", 240)
    terminal.send("Escape")
    terminal.wait_for("hrm-console │ runs")
    terminal.wait_for(lambda text: text.count("✓ finished") >= 2)

    terminal.send("g", "a")
    terminal.wait_for("hrm-console │ archive")  # the menu that g opens has the word too
    terminal.wait_for(lambda text: "before" in text and "mine" in text)
    terminal.send("Escape")
    terminal.wait_for("hrm-console │ runs")
    terminal.send("A")  # both, wherever the cursor is
    terminal.wait_for("2 marked")
    terminal.send("g", "c")
    terminal.wait_for("4 verdict", 120)
    terminal.send("4")  # a page where the terminal is small, a pane where it is not
    terminal.wait_for("cannot tell", 120)
    terminal.send("g", "p")
    terminal.wait_for("puzzles of")
    terminal.send("2")
    terminal.wait_for(lambda text: "test input" in text and "predicted" in text, 60)
    terminal.send("C-q")

    listed = subprocess.run(
        [*HRM, "list", "--json", "--runs", str(runs)], env=surroundings, check=True, capture_output=True, timeout=60
    )
    assert {row["run_id"]: row["state"] for row in json.loads(listed.stdout)} == {
        "before": "finished",
        "mine": "finished",
    }

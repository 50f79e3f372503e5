"""A terminal that reads nothing for a while: the run writes on as before, and the console comes back with its end."""

from __future__ import annotations

import os
import sys
import time

import pytest

from hrm_core.benchmarks.console_terminal import Timed
from hrm_core.runs.reader import metrics_rows

STALL_S = 6.0


@pytest.mark.slow
def test_a_line_that_stalls_harms_no_run_and_the_console_comes_back(runs):
    folder = runs.make("one", steps=200, max_steps=100_000)
    writer = runs.writers["one"]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    argv = [sys.executable, "-m", "hrm_console", "--runs", str(runs.folder), "one"]
    terminal = Timed(argv, (160, 45), {**environment, "TERM": "xterm-256color"})
    try:
        assert terminal.wait_for(lambda text: "train 2.2" in text, 40.0) is not None
        terminal.rest(0.5)
        step, worst, end = 200, 0.0, time.monotonic() + STALL_S
        while time.monotonic() < end:
            step += 10
            began = time.monotonic()
            writer.metrics({"step": step, "elapsed_s": step * 0.2, "loss": 1.0 + step % 7, "grad_norm": 1.0, "lr": 0.1})
            writer.status(runs.status("running", step, 100_000))
            worst = max(worst, time.monotonic() - began)
            terminal.send(b"y")  # many repaints, which nobody takes
            time.sleep(0.02)
        writer.metrics({"step": step + 10, "elapsed_s": 1e4, "loss": 0.8642, "grad_norm": 1.0, "lr": 0.1})
        assert worst < STALL_S / 2  # a write that waits for the terminal waits to the end of the stall
        assert terminal.child.poll() is None
        assert terminal.wait_for(lambda text: "train 0.8642" in text, 60.0) is not None
        assert metrics_rows(folder)[-1]["step"] == step + 10
        terminal.rest(0.5)
        terminal.send(b"?")
        assert terminal.wait_for(lambda text: "help" in text.lower(), 60.0) is not None
        terminal.send(b"\x1b")
        terminal.rest(0.5)
    finally:
        code = terminal.close()
    assert code == 0

"""The node's side of a job: it runs what it is told, refuses what cannot be right, and ends what nobody waits for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import wait_for

from hrm_core.runs.backends import job as node
from hrm_core.runs.backends.base import JobState, Order
from hrm_core.runs.backends.job import WITHDRAWN, run_order, watch
from hrm_core.runs.backends.orders import JobFolder, new_job, told, withdraw
from hrm_core.runs.queue_records import Code

CODE = Code("c" * 40, "", "0.1.0", "2.13.0")
# Says where it is, and waits for a signal if it is told to.
RUN = "import os, sys, time; print(os.environ['HRM_WHERE'], flush=True); time.sleep(float(sys.argv[1])); sys.exit(3)"


def ordered(folder: Path, seconds: float, code: Code | None = None) -> tuple[JobFolder, str, Order]:
    order = Order((sys.executable, "-c", RUN, str(seconds)), folder / "r1", folder, None, code)
    return (*new_job(folder, order), order)


def test_a_job_runs_in_its_run_folder_and_says_where(tmp_path: Path) -> None:
    folder, nonce, order = ordered(tmp_path, 0)
    code, words = run_order(str(folder.path), nonce, "ray", "abc")
    where = f"ray:{os.uname().nodename}/abc"
    assert (code, words) == (3, "")
    assert told(folder) == JobState("ended", 3, "", where)
    assert (order.folder / "output.txt").read_text() == where + "\n"
    launch = json.loads((order.folder / "launch.json").read_text())
    assert launch["where"] == where and launch["argv"] == list(order.argv)
    assert not (order.folder / "output.txt").stat().st_mode & 0o077


def test_a_runs_folder_that_is_not_shared_is_said_with_the_remedy(tmp_path: Path) -> None:
    folder, _, order = ordered(tmp_path, 0)
    for place, nonce in ((folder.path, "0" * 32), (tmp_path / "elsewhere", "0" * 32)):
        code, words = run_order(str(place), nonce, "ray")
        assert code is None and "does not see this runs folder" in words and "file system that all nodes share" in words
    assert not order.folder.exists() and told(folder) is None


def test_other_code_on_the_node_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "code_now", lambda: replace(CODE, torch="2.99.0"))
    folder, nonce, order = ordered(tmp_path, 0, CODE)
    code, words = run_order(str(folder.path), nonce, "ray")
    assert code is None and "has other code: torch was 2.13.0 and is 2.99.0. Install the same commit" in words
    assert told(folder) == JobState("ended", None, words) and not order.folder.exists()
    monkeypatch.setattr(node, "code_now", lambda: CODE)
    again, nonce, _ = ordered(tmp_path, 0, CODE)
    assert run_order(str(again.path), nonce, "ray") == (3, "")


def test_a_job_that_was_taken_back_runs_nothing(tmp_path: Path) -> None:
    folder, nonce, order = ordered(tmp_path, 0)
    withdraw(folder)
    assert run_order(str(folder.path), nonce, "slurm") == (None, WITHDRAWN)
    assert not order.folder.exists()


def test_the_run_is_stopped_when_its_engine_is_gone(tmp_path: Path) -> None:
    folder, nonce, _ = ordered(tmp_path, 60)
    engine = subprocess.Popen(
        [sys.executable, "-c", "import sys; from hrm_core.runs.backends.job import run_order; run_order(*sys.argv[1:])",
         str(folder.path), nonce, "ray"],
    )  # fmt: skip
    wait_for(lambda: told(folder) is not None and folder.launched.exists())
    assert told(folder) == JobState("running", where=f"ray:{os.uname().nodename}")
    engine.kill()
    engine.wait()
    wait_for(folder.ended.exists)
    said = told(folder)
    assert said is not None and (said.kind, said.code, said.words) == ("lost", -signal.SIGTERM, "its engine left it")


def test_the_run_is_stopped_when_its_order_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "LOOK_S", 0.1)
    folder, _, _ = ordered(tmp_path, 60)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as engine:
        watcher = threading.Thread(target=watch, args=(folder, "ray:here", engine), daemon=True)
        watcher.start()
        wait_for(folder.launched.exists)
        withdraw(folder)
        wait_for(folder.ended.exists)
        watcher.join(10)
    os.close(writing)
    said = told(folder)
    assert said is not None and (said.kind, said.words) == ("lost", "it was taken back")

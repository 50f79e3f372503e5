"""What `hrm list | show | tail | stop | pause | continue` print against the run folders they look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bad_disk import BadDisk
from click.testing import CliRunner, Result

from hrm_core.cli import runs_commands
from hrm_core.cli.main import cli
from hrm_core.runs import control
from hrm_core.runs.atomic import write_json
from hrm_core.runs.control import Inbox
from hrm_core.runs.writer import RunWriter

ALARM = {
    "name": "input_blind",
    "sentence": "3.3 % of the grids change.\x1b]52;c;eA==\x07",
    "advice": "Inject the input.",
}
EVALUATION: dict[str, Any] = {
    "step": 40, "kind": "full", "split": "val", "weights": "ema", "pairs": 60, "tasks": 55, "oversize": 2, "loss": 0.41,
    "metrics": {"exact": 0.1167, "padded_accuracy": 0.712, "odd\x1b[2J": 0.5},
    "trivial": {"exact": {"pad": 0.0, "copy": 0.0083}, "padded_accuracy": {"pad": 0.712, "copy": 0.874}},
    "lift": {"exact": 0.1084, "padded_accuracy": -0.162},
    "without_duplicates": {"exact": 0.1},
    "input_sensitivity": 0.93, "identity_sensitivity": None, "input_gain": 0.15, "identity_gain": None,
    "calibration": {"ece": 0.05, "brier": 0.1, "auroc": 0.8, "base_rate": 0.1},
    "families": {
        "same size": {"pairs": 40, "exact": 0.15, "low": 0.07, "high": 0.29, "trivial": {"pad": 0.0, "copy": 0.01}}
    },
    "notes": ["no held-out set"], "score": 0.1167, "best": True,
}  # fmt: skip


def run_hrm(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@contextmanager
def living(runs: Path, name: str = "demo-1") -> Iterator[RunWriter]:
    """A run at step 41 of 100 with one alarm, held by this process."""
    recipe = {"preset": "cpu", "training": {"seed": 3}}
    with RunWriter.create(runs / name, "", {"experiment": "demo", "recipe": recipe}) as writer:
        for step in range(10, 50, 10):
            writer.metrics({"step": step, "loss": 10 / step, "lr": 3e-4, "grad_norm": 0.5, "samples_per_sec": 400.0})
        writer.evaluation(EVALUATION)
        writer.status(
            {
                "state": "running", "global_step": 41, "max_steps": 100, "eta_s": 125.0, "samples_per_sec": 402.5,
                "steps_per_sec": 2.5, "last_checkpoint_step": 40, "alarms": [ALARM], "warming_up": True,
                "best": {"metric": "exact", "value": 0.1167, "step": 40},
            }
        )  # fmt: skip
        yield writer


def finished(runs: Path, name: str = "demo-1", state: str = "finished") -> None:
    with living(runs, name) as writer:
        writer.result({"state": state, "step": 41, "reason": "early stop\x1b[2J"})


def assert_clean(text: str) -> None:
    assert not [character for character in text if ord(character) < 32 and character != "\n"]
    assert not [character for character in text if 0x7F <= ord(character) < 0xA0]


def test_an_empty_folder_is_said_kindly_and_where(tmp_path: Path) -> None:
    said = run_hrm("list", "--runs", str(tmp_path / "none"))
    assert said.exit_code == 0
    assert f"No runs in {tmp_path / 'none'} (the folder does not exist)." in said.output
    assert "hrm run demo" in said.output
    assert run_hrm("list", "--runs", str(tmp_path), "--json").output == "[]\n"


def test_list_shows_every_run_with_its_numbers_beside_the_trivial_ones(tmp_path: Path) -> None:
    finished(tmp_path, "old")
    (tmp_path / "evil\x1b[2J").mkdir()
    (tmp_path / "evil\x1b[2J" / "run.json").write_text("{}")
    with living(tmp_path, "demo-1"):
        said = run_hrm("list", "--runs", str(tmp_path))
        listed = json.loads(run_hrm("list", "--runs", str(tmp_path), "--json").output)
    assert said.exit_code == 0
    assert_clean(said.output)
    lines = said.output.splitlines()
    assert lines[0] == f"Runs in {tmp_path}"
    row = next(line for line in lines if line.startswith("demo-1"))
    for part in ("running", "41/100", "0.25", "11.7 (0.8)", "+10.8", "402", "2 min 5 s", "input_blind"):
        assert part in row
    assert "402" not in next(line for line in lines if line.startswith("old"))
    assert [entry["run_id"] for entry in listed] == ["demo-1", "old", "evil\x1b[2J"]
    first = listed[0]
    assert (first["state"], first["step"], first["max_steps"], first["exact"]) == ("running", 41, 100, 0.1167)
    assert first["exact_trivial"] == {"name": "copy", "value": 0.0083}
    assert first["lift"] == 0.1084
    assert [alarm["name"] for alarm in first["alarms"]] == ["input_blind"]


def test_a_terminal_gets_a_table_in_colour_and_still_nothing_raw(tmp_path: Path) -> None:
    with living(tmp_path):
        argv = [sys.executable, "-m", "hrm_core.cli.main", "list", "--runs", str(tmp_path)]
        reader, writer = os.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
        with subprocess.Popen(argv, stdout=writer, env=environment) as process:
            os.close(writer)
            said = b""
            while True:
                try:
                    part = os.read(reader, 65536)
                except OSError:
                    break
                if not part:
                    break
                said += part
        os.close(reader)
    assert process.returncode == 0
    text = said.decode()
    assert "running" in text
    assert "11.7 (0.8)" in text
    assert "\x1b[" in text
    assert "\x1b]" not in text


def test_show_says_it_in_words(tmp_path: Path) -> None:
    with living(tmp_path):
        said = run_hrm("show", "demo", "--runs", str(tmp_path))
    assert said.exit_code == 0
    assert_clean(said.output)
    for part in (
        "experiment  demo (preset cpu, seed 3)",
        "state       running",
        "step        41 of 100, 41.0 %",
        "time left   2 min 5 s, last sign of life 0 s ago",
        "training    loss 0.25, learning rate 0.0003, gradient norm 0.5 at step 40",
        "best        exact grid 11.7 % at step 40",
        "warming up",
        "! input_blind: 3.3 % of the grids change.",
        "  Inject the input.",
        "full validation at step 40: 60 pairs, 55 tasks, split val, ema weights",
        "93.0 % of the grids change when the input is swapped; its own input gives +15.0 points of cells.",
        "2 targets are larger than their canvas and count as wrong.",
        "no held-out set",
    ):
        assert part in said.output
    lines = [" ".join(line.split()) for line in said.output.splitlines()]
    assert "exact grid 11.7 0.8 (copy) +10.8 10.0" in lines
    assert "padded 30x30 71.2 87.4 (copy) -16.2 -" in lines
    assert "same size 40 15.0 7.0 to 29.0 1.0 (copy)" in lines


def test_show_of_an_ended_run_and_of_one_without_anything(tmp_path: Path) -> None:
    finished(tmp_path)
    said = run_hrm("show", "demo-1", "--runs", str(tmp_path)).output
    assert "state       finished: early stop␛[2J" in said
    assert "time left" not in said
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "run.json").write_text("[]")
    said = run_hrm("show", "bare", "--runs", str(tmp_path)).output
    assert "No validation yet." in said
    assert "experiment  unknown" in said


def test_show_as_json_holds_everything(tmp_path: Path) -> None:
    with living(tmp_path):
        told = json.loads(run_hrm("show", "demo-1", "--runs", str(tmp_path), "--json").output)
    assert told["state"] == "running"
    assert told["status"]["global_step"] == 41
    assert told["evaluation"]["metrics"]["exact"] == 0.1167
    assert told["run_json"]["recipe"]["training"]["seed"] == 3
    assert told["metrics"]["step"] == 40
    assert told["pid"] == os.getpid()


def test_show_draws_the_curves_on_request(tmp_path: Path) -> None:
    with living(tmp_path):
        said = run_hrm("show", "demo-1", "--runs", str(tmp_path), "--plot")
    assert said.exit_code == 0
    for title in ("loss", "exact", "learning rate", "gradient norm"):
        assert any(line.lstrip().startswith(title) for line in said.output.splitlines())
    assert "\x1b" not in said.output
    RunWriter.create(tmp_path / "new", "", {}).close()
    assert "No curves yet." in run_hrm("show", "new", "--runs", str(tmp_path), "--plot").output


def test_tail_prints_the_last_rows_with_validations_between(tmp_path: Path) -> None:
    finished(tmp_path)
    said = run_hrm("tail", "demo-1", "--runs", str(tmp_path), "-n", "3")
    assert said.output.splitlines() == [
        "step 30  loss 0.333  lr 0.0003  grad 0.5  segments/s 400",
        "step 40  loss 0.25  lr 0.0003  grad 0.5  segments/s 400",
        "step 40  full validation: loss 0.41, exact 11.7 % (best trivial 0.8 %), a new best",
    ]
    rows = [
        json.loads(line) for line in run_hrm("tail", "demo-1", "--runs", str(tmp_path), "--json").output.splitlines()
    ]
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 40]
    with RunWriter.open(tmp_path / "demo-1") as writer:
        writer.log("evil\x1b]0;title\x07")
    said = run_hrm("tail", "demo-1", "--runs", str(tmp_path), "--log")
    assert said.output.rstrip().endswith("evil␛]0;title␇")


def test_tail_follows_until_the_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes on whenever the command sleeps."""
    with living(tmp_path) as writer:

        def go_on() -> Iterator[None]:
            yield
            writer.metrics({"step": 50, "loss": 0.2})
            yield
            writer.metrics({"step": 60, "loss": 0.1})
            writer.result({"state": "stopped"})
            yield

        turns = go_on()
        monkeypatch.setattr(runs_commands, "time", SimpleNamespace(sleep=lambda seconds: next(turns)))
        said = run_hrm("tail", "demo-1", "--runs", str(tmp_path), "--follow", "-n", "0")
    assert [line.split("  ")[0] for line in said.output.splitlines()] == ["step 50", "step 60", "the run is stopped."]


def obey(writer: RunWriter, answer: Callable[[str], str]) -> threading.Thread:
    """A trainer that takes the next request and answers it with a state."""

    def wait() -> None:
        inbox = Inbox(writer.layout)
        while not (found := inbox.poll()):
            time.sleep(0.01)
        state = answer(found[0].kind)
        if state in ("finished", "stopped"):
            writer.result({"state": state})
        else:
            writer.status({"state": state, "global_step": 42})

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_requests_reach_the_run_and_its_answer_is_said(tmp_path: Path) -> None:
    with living(tmp_path) as writer:
        asked: list[str] = []
        for command, state in (("pause", "paused"), ("continue", "running"), ("stop", "stopped")):
            thread = obey(writer, lambda kind, state=state: asked.append(kind) or state)  # type: ignore[func-returns-value]
            said = run_hrm(command, "demo-1", "--runs", str(tmp_path))
            thread.join()
            assert said.exit_code == 0
            assert said.output == f"run demo-1 is {state}, at step 42.\n"
    assert asked == ["pause", "continue", "stop"]


def test_a_run_that_does_not_answer_in_time_is_said_so(tmp_path: Path) -> None:
    with living(tmp_path):
        said = run_hrm("pause", "demo-1", "--runs", str(tmp_path), "--wait", "0.2")
        assert said.exit_code == 0
        assert "has not taken the request yet; it looks between steps. It is running, at step 41" in said.output
        assert len(os.listdir(tmp_path / "demo-1" / "control")) == 1
        said = run_hrm("continue", "demo-1", "--runs", str(tmp_path))
        assert said.output == "run demo-1 is running already.\n"


@pytest.mark.parametrize("command", ["stop", "pause", "continue"])
def test_a_run_that_is_not_running_cannot_be_steered(tmp_path: Path, command: str) -> None:
    finished(tmp_path)
    said = run_hrm(command, "demo-1", "--runs", str(tmp_path))
    assert said.exit_code == 1
    assert said.output == f"error: run demo-1 cannot {command}: it is finished; `hrm show demo-1` has its result.\n"
    with living(tmp_path, "gone"):
        pass
    said = run_hrm(command, "gone", "--runs", str(tmp_path))
    assert said.exit_code == 1
    assert "it is lost; `hrm resume gone` goes on with it." in said.output
    assert os.listdir(tmp_path / "gone" / "control") == []


DEAF = """
import signal, sys
from pathlib import Path
from hrm_core.runs.writer import RunWriter
with RunWriter.create(Path(sys.argv[1]), "", {}) as writer:
    def asked(number, frame):
        writer.result({"state": "stopped"})
        sys.exit()
    signal.signal(signal.SIGTERM, asked if sys.argv[2] == "polite" else signal.SIG_IGN)
    writer.status({"state": "running", "global_step": 1})
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("manner", "full"), [("polite", False), ("polite", True), ("rude", False)])
def test_stop_now_interrupts_a_process_that_reads_no_requests(
    tmp_path: Path, manner: str, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_commands, "_INTERRUPT_S", 5.0 if manner == "polite" else 0.3)
    if full:  # the disk has no room for a request either
        BadDisk(monkeypatch).break_at(control, "write_json", times=-1)
    argv = [sys.executable, "-c", DEAF, str(tmp_path / "a"), manner]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        said = run_hrm("stop", "a", "--now", "--wait", "0.2", "--runs", str(tmp_path))
        process.kill()
    if manner == "polite":
        assert said.exit_code == 0
        assert said.output.endswith("run a is stopped.\n")
    else:
        assert said.exit_code == 1
        assert f"`kill -9 {process.pid}` ends it" in said.output


@pytest.mark.parametrize("command", ["show", "tail", "stop", "pause", "continue"])
@pytest.mark.parametrize("word", ["demo-2", "../demo", "a\0b", "\x1b[2J", "", "/etc/passwd", "x" * 5000])
def test_an_unknown_run_is_one_clean_line_and_exit_2(tmp_path: Path, command: str, word: str) -> None:
    finished(tmp_path)
    said = run_hrm(command, "--runs", str(tmp_path), "--", word)
    assert said.exit_code == 2
    assert said.output.startswith("error: ")
    assert said.output.count("\n") <= 2
    assert_clean(said.output)
    if word == "demo-2":
        assert "did you mean demo-1?" in said.output


def test_a_launch_that_failed_tells_why_in_list_and_show(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_json(tmp_path / "a" / "launch.json", {"process": {"pid": 2**22 + 1}})
    (tmp_path / "a" / "output.txt").write_text("error: no data\x1b[2J\n")
    assert "failed" in run_hrm("list", "--runs", str(tmp_path)).output
    assert "error: no data␛[2J" in run_hrm("show", "a", "--runs", str(tmp_path)).output


def test_these_commands_load_no_torch_and_show_no_terminal_app(tmp_path: Path) -> None:
    finished(tmp_path)
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom hrm_core.cli.main import cli\n"
        f"for words in (['list'], ['show', 'demo-1'], ['tail', 'demo-1']):\n"
        f"    assert CliRunner().invoke(cli, [*words, '--runs', {str(tmp_path)!r}]).exit_code == 0\n"
        "assert not {'torch', 'numpy', 'h5py', 'scipy', 'textual', 'plotext', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

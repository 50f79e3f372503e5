"""Hostile text in run folders against what reaches the terminal: no payload arrives raw, on screens or in a pty."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hostile_text import MARKUP, PAYLOADS, dangerous, write_hostile_queue
from real_terminal import PtyTerminal

from hrm_console.app import ConsoleApp
from hrm_console.once import print_once
from hrm_console.rooms import ROOMS
from hrm_console.screens.run import RunScreen
from hrm_core.runs.predictions import write_predictions, write_tasks
from hrm_core.runs.snapshots import write_meta

LINES = (*PAYLOADS, *MARKUP, "x" * 5_000)
ALL = " ".join(LINES)
RAW = (b"\x1b]52", b"\x1b]0;pwned", b"\x1bc", b"\x9d0;pwned", b"\xe2\x80\xae", b"\x1b[6n", b"\x05")


def hostile_run(runs):
    """A run whose every text is hostile."""
    alarm = {"name": f"a{ALL}", "sentence": ALL, "advice": ALL}
    folder = runs.make("one", alarms=(alarm,), log=LINES, experiment=ALL)
    writer = runs.writers["one"]
    writer.status(
        {**runs.status("running", 200, alarms=(alarm,)), "stage": ALL, "best": {"metric": ALL, "value": 0.1, "step": 1}}
    )
    with (folder / "log.txt").open("ab") as file:
        file.write(b"\xff\xfe\x1b]52;c;AA\x07 not text\n")
    writer.evaluation(
        {"step": 210, "kind": "full", "split": ALL, "weights": ALL, "metrics": {"exact": 0.5}, "notes": [ALL]}
    )
    (runs.folder / "evil\x1b]0;pwned\x07").mkdir()
    (runs.folder / "evil\x1b]0;pwned\x07" / "run.json").write_text(json.dumps({"experiment": ALL}))


def hostile_surroundings(runs):
    """A finished run with hostile predictions and an archived best, a hostile queue and a hostile experiment of one's
    own: what every screen shows comes from somebody else."""
    folder = runs.make("two", "finished", experiment=ALL)
    task = {"task": f"t{ALL[:200]}", "source": ALL, "families": [ALL], "descriptors": {ALL[:50]: ALL}}
    grid = ["12", "3\x1b"]
    record = {"task": f"t{ALL[:200]}", "test": 0, "families": [ALL], "input": grid, "target": grid, "predicted": ["1"]}
    write_tasks(folder, [{**task, "demonstrations": [{"input": grid, "target": [ALL]}]}])
    write_predictions(folder, 100, [{**record, "confidence": ALL, "halt_logit": [ALL]}, {"task": ALL}])
    best = folder / "archive" / "best-00000100"
    best.mkdir(parents=True)
    for name in ("recipe.toml", "log.txt", "evaluation.json", "status.json"):
        (best / name).write_text(json.dumps({"metrics": {ALL: 1.0}, "note": ALL}))
    write_meta(best, {"step": 100, "metric": ALL, "value": 0.5, "note": ALL})
    write_hostile_queue(runs.folder, ALL)
    mine = Path(os.environ["XDG_CONFIG_HOME"]) / "hrm-console" / "experiments"
    mine.mkdir(parents=True)
    (mine / "evil.toml").write_text(f"title = {json.dumps(ALL)}\nbase = {json.dumps(ALL)}\n")
    (mine.parent / "settings.toml").write_text(f"[console]\ntheme = {json.dumps(ALL)}\n")


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_no_widget_title_or_toast_shows_a_payload_raw(runs, until, shown, size):
    hostile_run(runs)
    app = ConsoleApp(runs.folder, tick_s=0.05)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: len(app.runs) == 2)
        assert not dangerous(shown(app))
        app.say(ALL, bad=True)
        await pilot.pause()
        await until(pilot, lambda: "[bold red]" in shown(app))
        assert not dangerous(shown(app))
        app.show_run("one")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.feed and app.screen.feed.read)
        for page in "1234":
            await pilot.press(page)
            await pilot.pause()
            assert not dangerous(shown(app))
        await pilot.press("s")
        await pilot.pause()
        assert not dangerous(shown(app))
        assert app.is_running


def test_once_prints_no_payload_raw(runs, capsys):
    hostile_run(runs)
    assert print_once(runs.folder) == 0
    assert not dangerous(capsys.readouterr().out)


def test_through_a_real_terminal_nothing_of_a_payload_arrives_and_ctrl_q_leaves_with_0(runs):
    hostile_run(runs)
    environment = {**os.environ, "TERM": "xterm-256color"}
    argv = [sys.executable, "-m", "hrm_console", "--runs", str(runs.folder), "one"]
    terminal = PtyTerminal(argv, (100, 30), environment)
    terminal.wait_for("segments/s")
    terminal.send("4")
    terminal.wait_for("\u241b")
    terminal.send("C-q")
    assert terminal.exit_code() == 0
    for raw in RAW:
        assert raw not in terminal.raw, raw


def test_no_screen_sends_a_payload_to_a_real_terminal(runs):
    """Every screen, its help and its line, with hostile files of every kind: nothing arrives raw."""
    hostile_run(runs)
    hostile_surroundings(runs)
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    argv = [sys.executable, "-m", "hrm_console", "--runs", str(runs.folder)]
    terminal = PtyTerminal(argv, (120, 40), environment)
    terminal.wait_for("two")
    for room in sorted(ROOMS.values(), key=lambda room: room.letter == "r"):  # the runs screen, where we are, last
        if not room.letter:
            continue
        terminal.send("g")
        terminal.wait_for("go to")
        terminal.send(room.letter)
        terminal.wait_for(lambda text, room=room: "─ go to" not in text)
        for key in ("?", "Escape", "Down", "Enter", "Escape"):
            terminal.send(key)
            terminal.read(0.2)
    terminal.send("C-q")
    assert terminal.exit_code() == 0
    for raw in RAW:
        assert raw not in terminal.raw, raw

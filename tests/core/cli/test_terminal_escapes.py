"""`hrm` in a real terminal against files whose every text means harm: no byte of a payload arrives raw.

What may arrive: text, line ends, our own colours (SGR) and the moves of a progress bar. The console has its own test.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hostile_text import ALL, PAYLOADS, write_hostile_queue
from made_archive import make_archived
from real_terminal import PtyTerminal
from safetensors.numpy import save_file

from hrm_core.cli.log_command import log
from hrm_core.cli.report_command import report
from hrm_core.data.build import build
from hrm_core.data.file import digest_path, to_bytes
from hrm_core.data.sources.folders import read_path
from hrm_core.runs.predictions import write_predictions, write_tasks
from hrm_core.runs.records import encode_row, encode_status
from hrm_core.runs.snapshots import write_meta

NAMED = ALL.replace("\x00", "").replace("/", "|")[:90]  # as a file's name
# Colours; and what rich's progress bar sends: cursor off and on, line erased, a line up.
OURS = re.compile(rb"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A")
FOREIGN = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9]"
)


def foreign(raw: bytes) -> list[bytes]:
    """What reached a terminal and is neither text nor ours."""
    found = [match.group() for match in FOREIGN.finditer(OURS.sub(b"", raw))]
    return found + [part for part in (b"\x1b[31mRED", b"\rb\x08") if part in raw]


def hostile_run(runs: Path, name: str) -> None:
    """A finished run with an archive, of whose every file the texts are payloads."""
    folder = make_archived(runs, name, {10: 0.1, 20: 0.2}, metrics={ALL: 0.5}).path
    head = json.loads((folder / "run.json").read_text())
    versions = {ALL: ALL}
    texts = {"device": ALL, "commit": ALL, "command": [ALL], "versions": versions, "data": ALL, "sources": {ALL: ALL}}
    (folder / "run.json").write_text(json.dumps({**head, "experiment": ALL, "created_utc": ALL, **texts}))
    alarm = {"name": ALL, "sentence": ALL, "advice": ALL}
    best = {"metric": ALL, "value": 0.2, "step": 20}
    status = {"state": "finished", "global_step": 20, "max_steps": 20, "stage": ALL, "best": best, "alarms": [alarm]}
    (folder / "status.json").write_bytes(encode_status(status))
    (folder / "result.json").write_text(json.dumps({"state": "finished", "step": 20, "reason": ALL, "best": best}))
    row = {"step": 20, "loss": 1.0, "stage": ALL, ALL: 1.0, "time_utc": ALL, "optimizer": ALL}
    families = {ALL: {"pairs": 3, "exact": 0.1, "low": 0.0, "high": 0.5, "trivial": {ALL: 0.1}}}
    full = {
        "step": 21,
        "kind": "full",
        "split": ALL,
        "weights": ALL,
        "pairs": 3,
        "tasks": 3,
        "loss": 1.0,
        "time_utc": ALL,
    }
    full |= {
        "metrics": {"exact": 0.1, ALL: 0.2},
        "trivial": {"exact": {ALL: 0.1}},
        "notes": [ALL],
        "families": families,
    }
    full |= {"plan_families": families, "alarms": [alarm], "changes": {"gained": [ALL], "lost": [ALL]}}
    for file, rows in (
        ("metrics.jsonl", [row]),
        ("evaluations.jsonl", [full]),
        ("events.jsonl", [{"step": 20, "kind": ALL, "reason": ALL, "name": ALL, "time_utc": ALL}]),
    ):
        with (folder / file).open("ab") as out:
            out.writelines(encode_row(one) for one in rows)
    (folder / "log.txt").write_text(f"{ALL}\n{ALL}\n", errors="surrogateescape")
    (folder / "output.txt").write_text(ALL)
    grid = ["12", "3\x1b"]
    record = {
        "task": ALL,
        "test": 0,
        "families": [ALL],
        "input": grid,
        "target": grid,
        "predicted": [ALL],
        "exact": False,
    }
    write_tasks(folder, [{"task": ALL, "source": ALL, "families": [ALL], "demonstrations": [{"input": [ALL]}]}])
    write_predictions(folder, 21, [{**record, "confidence": ALL}, {"task": "b", "test": 1, "exact": True}])
    for snapshot in sorted((folder / "archive").iterdir()):
        for file in ("log.txt", "evaluation.json", "status.json"):
            (snapshot / file).write_text(json.dumps({**full, "note": ALL}) if file.endswith("json") else ALL)
        meta = json.loads((snapshot / "meta.json").read_text())
        kept = {key: value for key, value in meta.items() if key not in ("files", "crc")}
        write_meta(snapshot, {**kept, "run_id": ALL, "promoted": {"name": ALL, "from": ALL}, "evaluation_weights": ALL})


def hostile_data(folder: Path) -> Path:
    """A data file whose tasks are named by payloads; two are the same, so that their names are listed."""
    pair = {"input": [[1, 2], [3, 4]], "output": [[4, 3], [2, 1]]}
    task = {"train": [pair, {"input": [[5]], "output": [[5]]}], "test": [pair]}
    source = folder / "source" / "training"
    source.mkdir(parents=True)
    (source / "many.json").write_text(json.dumps({ALL[:100]: task, f"b{ALL[:100]}": task}))
    raw = to_bytes(build([read_path(folder / "source", ALL)]))
    path = folder / "evil.h5"
    path.write_bytes(raw)
    digest_path(path).write_text(f"{hashlib.sha256(raw).hexdigest()}  {path.name}\n", encoding="ascii")
    return path


def hostile_checkpoint(folder: Path) -> None:
    """A published checkpoint of whose names and settings every one is a payload."""
    folder.mkdir()
    save_file(
        {f"inner.{ALL}": np.zeros(1, np.float32), "L_level.layers.0.mlp_t": np.zeros(1, np.float32)},
        folder / "model.safetensors",
    )
    (folder / "all_config.yaml").write_text(f"arch:\n  pos_encodings: {json.dumps(ALL)}\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs, a queue, a sweep, data, settings: everything that `hrm` reads, by somebody who means harm."""
    folder = tmp_path_factory.mktemp("escapes")
    runs = folder / "runs"
    hostile_run(runs, "one")
    hostile_run(runs, "two")
    (runs / f"evil{NAMED}").mkdir()
    (runs / f"evil{NAMED}" / "run.json").write_text(json.dumps({"experiment": ALL}))
    (runs / "torn").mkdir()
    (runs / "torn" / "launch.json").write_text(json.dumps({"process": {"host": ALL}}))
    (runs / "torn" / "output.txt").write_text(ALL)
    queue = write_hostile_queue(runs, ALL)
    (queue / "log.txt").write_text(ALL)
    mine = folder / "config" / "hrm-console" / "experiments"
    mine.mkdir(parents=True)
    (mine / "evil.toml").write_text(f"title = {json.dumps(ALL)}\nbase = {json.dumps(ALL)}\n")
    (mine / "good.toml").write_text(
        f'title = {json.dumps(ALL)}\nhypothesis = {json.dumps(ALL)}\nbase = "EXP-00"\npreset = "cpu"\n'
    )
    (mine.parent / "settings.toml").write_text(f"[console]\ntheme = {json.dumps(ALL)}\n{json.dumps(ALL)} = 1\n")
    hostile_data(folder)
    (folder / "evil.json").write_text(json.dumps({ALL[:100]: {"train": ALL, "test": ALL}}))
    hostile_checkpoint(folder / "published")
    return folder


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("list",), ("list", "--json"), ("show", "one"), ("show", "one", "--json"), ("show", "torn"), ("show", "evil"),
    ("tail", "one"), ("tail", "one", "--json"), ("tail", "one", "--log"),
    ("archive", "list"), ("archive", "list", "--json"), ("archive", "show", "one@best"),
    ("archive", "show", "one@best", "--json"), ("archive", "export", "one@best", "EXPORT"),
    ("compare", "one", "two"), ("compare", "one", "two", "--json"), ("diagnose", "one"), ("diagnose", "one", "--json"),
    ("queue", "list"), ("queue", "list", "--json"), ("queue", "show", "1"), ("queue", "start", "--foreground"),
    ("remove", "one"), ("resume", "one"), ("eval", "one@best"), ("stop", "torn"),
    ("verify", "one"), ("verify", "torn"), ("verify", "evil"), ("verify", "one", "--json"),
    ("report", "one", "two", "--out", "REPORT"), ("log", "one", "--to", "csv", "--out", "LOG"),
    ("export", "one@best", "--to", "safetensors", "--out", "MODEL"),
    ("export", "one@best", "--to", "onnx", "--out", NAMED),
    ("predict", "one@best", "PUZZLES"), ("submit", "one@best", "--challenges", "PUZZLES"),
)  # fmt: skip
ALONE: tuple[tuple[str, ...], ...] = (
    ("data", "info", "--data", "DATA"), ("data", "info", "--json", "--data", "DATA"),
    ("data", "check", "--data", "DATA"), ("data", "show", ALL[:100].replace("\x00", ""), "--data", "DATA"),
    ("data", "build", "--source", "SOURCE", "--out", "OUT"), ("data", "info", "--data", NAMED),
    ("experiments",), ("experiments", "good"), ("experiments", "evil"), ("settings",), ("settings", "--json"),
    ("show", NAMED), ("list", "--runs", f"{NAMED}x"), ("run", NAMED), ("run", "demo", f"{NAMED}=1"),
    ("run", "demo", "--name", NAMED), ("eval", NAMED), (NAMED,), ("list", f"--{NAMED}"),
    ("compare", "--sweep", NAMED), ("queue", "show", NAMED), ("archive", "list", "--by", NAMED),
    ("import", "CHECKPOINT", "--from", "hrm", "--out", "OUT"),
    ("submit", "--check", "PUZZLES", "--challenges", "PUZZLES"),
)  # fmt: skip


# The others are as many processes with a terminal each: marked slow.
FAST = {("list",), ("show", "one"), ("archive", "list"), ("queue", "list"), ("settings",), (NAMED,)}


def marked(commands: tuple[tuple[str, ...], ...]) -> list[object]:
    return [pytest.param(words, marks=() if words in FAST else pytest.mark.slow) for words in commands]


def words_of(words: tuple[str, ...], place: Path) -> list[str]:
    new = {word: f"{word.lower()}-{os.getpid()}" for word in ("EXPORT", "REPORT", "LOG", "MODEL")}
    named = {"DATA": "evil.h5", "SOURCE": "source", "OUT": "out.h5", "PUZZLES": "evil.json", "CHECKPOINT": "published"}
    named |= new
    return [str(place / named[word]) if word in named else word for word in words]


def heard(place: Path, words: list[str]) -> bytes:
    """Every byte that a command sent to its terminal."""
    environment = {
        **os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "HOME": str(place),
        "XDG_CONFIG_HOME": str(place / "config"), "XDG_RUNTIME_DIR": "",
    }  # fmt: skip
    argv = [sys.executable, "-m", "hrm_core.cli.main", *words]
    terminal = PtyTerminal(argv, (160, 50), environment)
    if words[0] == "remove":
        terminal.read(3.0)
        terminal.send("n", "Enter")
    code = terminal.exit_code(60.0)
    assert code in (0, 1, 2), terminal.screen.text
    assert b"Traceback" not in terminal.raw, bytes(terminal.raw)
    assert terminal.raw
    return bytes(terminal.raw)


@pytest.mark.parametrize("words", marked(COMMANDS), ids=" ".join)
def test_no_command_on_hostile_runs_sends_a_payload(place: Path, words: tuple[str, ...]) -> None:
    assert foreign(heard(place, [*words_of(words, place), "--runs", str(place / "runs")])) == []


@pytest.mark.parametrize("words", marked(ALONE), ids=lambda words: ascii(" ".join(words))[:40])
def test_no_command_on_hostile_files_and_words_sends_a_payload(place: Path, words: tuple[str, ...]) -> None:
    assert foreign(heard(place, words_of(words, place))) == []


def test_no_payload_is_written_for_others_to_read(place: Path, tmp_path: Path) -> None:
    for command, words in ((report, ["one", "two"]), (log, ["one", "--to", "csv"])):
        out = tmp_path / str(command.name)
        done = CliRunner().invoke(command, [*words, "--out", str(out), "--runs", str(place / "runs")])
        assert done.exit_code == 0, done.output
        for path in out.iterdir():
            assert foreign(path.read_bytes().replace(b"\r\n", b"\n")) == [], path.name


def test_what_is_looked_for_is_found() -> None:
    for payload in PAYLOADS:
        assert foreign(f"text {payload} more\r\n".encode()) != [], payload
    assert foreign(b"\x1b[1mname\x1b[0m\r\n\x1b[?25l\x1b[2K\xe2\x90\x9b[2J [bold red]\r\n") == []


def test_the_payloads_are_shown_as_glyphs(place: Path) -> None:
    assert "\u241b]52;c".encode() in heard(place, ["tail", "one", "--log", "--runs", str(place / "runs")])

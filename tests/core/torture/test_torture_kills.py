"""Kills of a stand-in for the trainer, whole and broken, of each kind the part must notice; slow: of the real one."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import pytest

from hrm_core.runs.layout import RunFolder
from hrm_core.runs.snapshots import write_meta
from hrm_core.runs.writer import RunWriter
from hrm_core.runs.written import EVENTS, METRICS
from hrm_core.torture import kills
from hrm_core.torture.bench import Bench, Row
from hrm_core.torture.kills_compare import differences

# Writes what the trainer writes, with the real writer, and trains nothing. argv: how it is broken, then hrm's words.
STAND_IN = """
import sys, time
from pathlib import Path
from hrm_core.runs.atomic import atomic_folder
from hrm_core.runs.snapshots import latest_good, step_of, write_meta
from hrm_core.runs.writer import RunWriter

broken, word, *words = sys.argv[1:]
runs = Path(words[words.index("--runs") + 1])
name = words[words.index("--name") + 1] if word == "run" else words[0]
if broken == "fails" and word == "resume":
    sys.exit("Error: it does not want to")
writer = RunWriter.create(runs / name, "", {}) if word == "run" else RunWriter.open(runs / name)
good = latest_good(writer.layout.checkpoints)
first = at = 0 if good is None else step_of(good)
if word == "resume":
    writer.event("resumed", at, rows_cut=0 if broken == "rows" else writer.cut(at))
for kind in ("stage", "swa_first_capture", "optimizer_swapped", "best"):
    writer.event(kind, 0)
writer.status({"state": "running", "global_step": at})
while at < 40 or (broken == "end" and at == first):
    at += 1
    time.sleep(0.005)
    writer.metrics({"step": at, "loss": 1 / at, "replay_share": 0.25})
    for kind, every in (("fast", 10), ("full", 20)):
        if at % every == 0:
            writer.evaluation({"step": at, "kind": kind, "split": "val", "weights": "raw"})
    if at % 5 == 0:
        writer.sync()
        with atomic_folder(writer.layout.checkpoint(at), replace=True) as folder:
            (folder / "weights.safetensors").write_text(str(at + (first if broken == "weights" else 0)))
            write_meta(folder, {"step": at})
writer.result({"state": "finished", "step": at})
"""


def rows_of(folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> list[Row]:
    """What the short part finds of the stand-in."""
    script = folder / "stand_in.py"
    script.write_text(STAND_IN, encoding="utf-8")
    monkeypatch.setattr(Bench, "command", lambda self, *words: [sys.executable, str(script), broken, *words])
    return list(kills.trials(Bench(folder, folder / "data.h5", True, 1)))


def test_a_trainer_that_resumes_well_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(tmp_path, monkeypatch, "whole")
    assert [(row.times, row.passed, row.lost) for row in rows] == [(4, True, "nothing"), (1, True, "nothing")]
    assert "4 kills (" in rows[0].found and "0 differences" in rows[0].found


@pytest.mark.parametrize(
    ("broken", "which", "said"),
    [
        ("rows", 0, "steps twice"),
        ("weights", 0, "weights.safetensors differs"),
        ("end", 1, "41 rows"),
        ("fails", 0, "it does not want to"),
    ],
)
def test_a_trainer_that_resumes_badly_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, which: int, said: str
) -> None:
    row = rows_of(tmp_path, monkeypatch, broken)[which]
    assert not row.passed and said in row.lost, row


def test_techniques_that_do_nothing_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "STRUCK", (*kills.STRUCK, "never"))
    (row,) = rows_of(tmp_path, monkeypatch, "whole")[:1]
    assert not row.passed and row.times == 0 and "never happened: never" in row.lost


def replay(loss: float, time: float) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group: Any = file.create_group("lane_7")
        group.create_dataset("loss", data=[loss])
        group.create_dataset("time", data=[time])
    return buffer.getvalue()


def made_run(folder: Path, *, time: float = 1.0, loss: float = 2.0) -> RunFolder:
    """Two steps, a checkpoint with counters and a replay buffer, and an archived best."""
    with RunWriter.create(folder, "a = 1\n", {}) as writer:
        for step in (1, 2):
            writer.metrics({"step": step, "loss": loss, "elapsed_s": time})
        layout = writer.layout
    for place, files in (
        (
            layout.checkpoint(2),
            {"progress.json": b'{"step": 2, "elapsed_s": %f}' % time, "replay.h5": replay(loss, time)},
        ),
        (layout.best(2), {"evaluation.json": b'{"step": 2, "elapsed_s": %f}' % time, "log.txt": b"%f" % time}),
    ):
        place.mkdir()
        for name, data in files.items():
            (place / name).write_bytes(data)
        write_meta(place, {"step": 2, "run_id": folder.name})
    return layout


def test_clocks_are_no_difference(tmp_path: Path) -> None:
    assert differences(made_run(tmp_path / "a"), made_run(tmp_path / "b", time=9.0), [1, 2]) == []


def test_an_alarm_of_missing_rows_is_a_difference(tmp_path: Path) -> None:
    one, other = made_run(tmp_path / "a"), made_run(tmp_path / "b")
    for run, events in ((one, 1), (other, 7)):  # a resumed run has more of them
        write_meta(
            run.checkpoint(2),
            {"step": 2, "run_id": run.run_id, "rows": {METRICS: {"rows": 2, "step": 2}, EVENTS: {"rows": events}}},
        )
    assert differences(one, other, [1, 2]) == ["said to be missing: events.jsonl: 7 of 7 rows are missing"]
    with RunWriter.open(other) as writer:
        for _ in range(7):
            writer.event("rows_missing", 2)
    assert differences(one, other, [1, 2]) == ["rows_missing, an event"] * 7


def test_every_other_difference_is_named(tmp_path: Path) -> None:
    one, other = made_run(tmp_path / "a"), made_run(tmp_path / "b", loss=3.0)
    assert differences(one, other, [1, 2]) == [
        "metrics at step 1: loss",
        "metrics at step 2: loss",
        "checkpoints/step-00000002/replay.h5 differs",
    ]
    shutil.rmtree(other.best(2))
    (other.checkpoint(2) / "progress.json").write_text('{"step": 3}')
    (other.path / ".status.json.tmp-1-0123abcd").touch()
    other.best(4).mkdir()
    with other.metrics.open("ab") as file:
        file.write(b"torn\n")
    found = differences(one, other, [1, 2, 3])
    for said in (
        "1 damaged lines in metrics",
        "metrics: 0 steps twice, 1 missing, 2 rows for 3 steps",
        "checkpoints/step-00000002/progress.json differs",
        "checkpoints/step-00000002/ progress.json has 11 bytes instead of 34",
        "archive/best-00000002/ is missing",
        "archive/best-00000004/ is too many",
        ".status.json.tmp-1-0123abcd was left behind",
    ):
        assert said in found, found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_trainer_itself(tmp_path: Path, arc1_file: Path) -> None:
    rows = list(kills.trials(Bench(tmp_path, arc1_file, True, 0)))
    assert len(rows) == 2
    assert all(row.passed for row in rows), rows

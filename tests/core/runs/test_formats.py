"""What a newer version wrote is refused in one line that says so; what cannot be refused is shown with a word on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.runs import predictions
from hrm_core.runs.formats import REMEDY, is_newer, refuse_newer
from hrm_core.runs.queue_store import change, queue_path, read_queue
from hrm_core.runs.reader import read_run
from hrm_core.runs.snapshot_names import find_snapshot
from hrm_core.runs.snapshots import latest_good, refuse_newer_snapshot, write_meta
from hrm_core.runs.sweeps import Sweep, extend_sweep, read_sweep, sweep_path
from hrm_core.runs.writer import RunWriter

LINE = rf"has format 2, this version reads up to 1: {REMEDY}\.$"


def write_format(path: Path, number: int) -> None:
    row = json.loads(path.read_text())
    row.pop("seal", None)
    path.write_text(json.dumps({**row, "format": number}))


def make_run(folder: Path) -> Path:
    with RunWriter.create(folder, "", {"experiment": "EXP-00"}) as writer:
        writer.status({"state": "stopped"})
    return folder


def make_snapshot(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"w")
    write_meta(folder, {"format": number})
    return folder


def a_run(place: Path) -> Callable[[], object]:
    folder = make_run(place / "one")
    write_format(folder / "run.json", 2)
    return lambda: RunWriter.open(folder)


def a_snapshot(place: Path) -> Callable[[], object]:
    folder = make_snapshot(make_run(place / "one") / "checkpoints/step-00000010", 2)
    return lambda: refuse_newer_snapshot(folder)


def a_named_snapshot(place: Path) -> Callable[[], object]:
    make_snapshot(make_run(place / "one") / "checkpoints/step-00000010", 2)
    return lambda: find_snapshot(place, "one@last")


def a_snapshot_by_its_path(place: Path) -> Callable[[], object]:
    folder = make_snapshot(place / "alone", 2)
    return lambda: find_snapshot(place, str(folder))


def a_queue(place: Path) -> Callable[[], object]:
    change(place, lambda queue: queue)
    queue_path(place).write_text('{"format": 2, "entries": 5}')
    return lambda: read_queue(place)


def a_sweep(place: Path) -> Callable[[], object]:
    extend_sweep(place, Sweep("s", ("EXP-00",), 1, 1, ()))
    assert read_sweep(place, "s").seeds == 1
    write_format(sweep_path(place, "s"), 2)
    return lambda: read_sweep(place, "s")


@pytest.mark.parametrize("make", [a_run, a_snapshot, a_named_snapshot, a_snapshot_by_its_path, a_queue, a_sweep])
def test_what_a_newer_version_made_is_refused_in_one_line(
    make: Callable[[Path], Callable[[], object]], tmp_path: Path
) -> None:
    read = make(tmp_path)
    with pytest.raises(UserError, match=LINE) as caught:
        read()
    assert "\n" not in caught.value.message and caught.value.exit_code == 1


def test_a_refused_run_stays_as_it_is(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "one")
    write_format(folder / "run.json", 2)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=LINE):
        RunWriter.open(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_newer_checkpoint_is_not_passed_over_for_an_older_one(tmp_path: Path) -> None:
    """It is whole: going on from the one before it would lose what was trained since."""
    folder = make_run(tmp_path / "one")
    make_snapshot(folder / "checkpoints/step-00000010", 1)
    newer = make_snapshot(folder / "checkpoints/step-00000020", 2)
    assert latest_good(folder / "checkpoints") == newer


def test_the_reader_says_that_a_run_is_newer(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "one")
    assert "newer_format" not in [alarm["name"] for alarm in read_run(folder).alarms]
    write_format(folder / "run.json", 2)
    alarm = next(alarm for alarm in read_run(folder).alarms if alarm["name"] == "newer_format")
    assert "format is 2" in alarm["sentence"] and "Update hrm-console" in alarm["advice"]


def test_a_newer_index_of_predictions_is_not_used(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "one")
    predictions.write_predictions(folder, 5, [{"id": "a", "value": 1}, {"id": "b", "value": 2}])
    index = folder / "predictions/5.index.json"
    assert predictions.prediction_names(folder, 5) == ["a", "b"]
    row = json.loads(index.read_text())
    index.write_text(json.dumps({**row, "format": 2, "tests": {"b": row["tests"]["a"], "c": [0, 0, 1]}}))
    assert predictions.prediction_names(folder, 5) == []
    assert predictions.read_prediction(folder, 5, "b") == {"id": "b", "value": 2}


@pytest.mark.parametrize("row", [None, {}, {"format": 0}, {"format": 1}, {"format": "2"}, {"format": True}, []])
def test_ours_older_and_none_are_read(row: object) -> None:
    assert not is_newer(row, 1)
    refuse_newer(row, 1, "a thing")

"""Rows for other tools: every number at its step, alike live and after, with what a cut replaces."""

from __future__ import annotations

import csv
import struct
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tensorboardX.proto.event_pb2 import Event

from hrm_core.cli.log_command import log
from hrm_core.errors import UserError
from hrm_core.interchange.log_files import CsvLog, Follower, cell, flat, open_log
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.writer import RunWriter

TIME = "2026-11-27T15:01:15.586Z"


def row(step: int, **more: Any) -> dict[str, Any]:
    return {"step": step, "loss": 1.0 / step, "clipped": step, "note": "a", "time_utc": TIME, **more}


def validation(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "kind": "full",
        "time_utc": TIME,
        "metrics": {"exact": 0.25, "pass_at_1": None},
        "trivial": {"exact": {"copy": 0.125}},
        "halting": {"histogram": [1, 2]},
    }


def made(folder: Path) -> RunWriter:
    return RunWriter.create(RunFolder(folder / "runs/one"), "", {"experiment": "demo"})


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_names_are_dotted_and_lists_are_numbered() -> None:
    found = dict(flat({**validation(4), "alarms": [{"name": "x"}], "deep": {"a": {"b": {}}}}))
    assert found["metrics.exact"] == 0.25 and found["trivial.exact.copy"] == 0.125
    assert found["metrics.pass_at_1"] is None and found["halting.histogram.1"] == 2
    assert not any(name.startswith(("alarms", "deep")) for name in found)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (True, "1"), (0.1, "0.1"), (-3, "-3"), ("=1+1", "'=1+1"), ("-x", "'-x"), ("a\x1b[2Jb", "a[2Jb")],
)
def test_a_cell_is_no_formula_and_no_escape(value: Any, shown: str) -> None:
    assert cell(value) == shown or (isinstance(value, str) and "\x1b" not in cell(value) and shown[0] == cell(value)[0])


def test_a_column_is_no_formula(tmp_path: Path) -> None:
    log = CsvLog(tmp_path)
    log.write("metrics", [row(1, **{"=1+1": 3})], False)
    (found,) = table(tmp_path / "metrics.csv")
    assert found["'=1+1"] == "3" and found["loss"] == "1.0"


def test_csv_is_the_same_live_and_after(tmp_path: Path) -> None:
    writer = made(tmp_path)
    live = Follower(writer.layout, open_log("csv", tmp_path / "live"))
    for step in range(1, 6):
        writer.metrics(row(step, late=7) if step == 4 else row(step))
        if step in (2, 3):
            live.poll()
    writer.evaluation(validation(5))
    live.poll()
    writer.close()
    after = Follower(writer.layout, open_log("csv", tmp_path / "after"))
    assert after.poll() == live.rows == 6
    for name in ("metrics.csv", "evaluations.csv"):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "after" / name).read_bytes()
    rows = table(tmp_path / "after/metrics.csv")
    assert [float(one["loss"]) for one in rows] == [1.0 / step for step in range(1, 6)]
    assert [one["late"] for one in rows] == ["", "", "", "7", ""]
    assert table(tmp_path / "after/evaluations.csv")[0]["trivial.exact.copy"] == "0.125"


def test_what_a_run_does_again_replaces_what_was_written(tmp_path: Path) -> None:
    writer = made(tmp_path)
    follower = Follower(writer.layout, open_log("csv", tmp_path / "out"))
    for step in range(1, 6):
        writer.metrics(row(step))
    follower.poll()
    writer.cut(2)
    writer.metrics(row(3, loss=9.0))
    follower.poll()
    writer.close()
    rows = table(tmp_path / "out/metrics.csv")
    assert [(one["step"], float(one["loss"])) for one in rows] == [("1", 1.0), ("2", 0.5), ("3", 9.0)]


def events(folder: Path) -> list[Event]:
    """Every event of a folder's files, in order: length, its checksum, the message, its checksum."""
    found = []
    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (size,) = struct.unpack_from("<Q", data, place)
            found.append(Event.FromString(data[place + 12 : place + 12 + size]))
            place += 12 + size + 4
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_has_every_number_at_its_step_and_time(tmp_path: Path) -> None:
    writer = made(tmp_path)
    for step in range(1, 4):
        writer.metrics(row(step))
    writer.evaluation(validation(3))
    writer.close()
    follower = Follower(writer.layout, open_log("tensorboard", tmp_path / "out"))
    follower.poll()
    follower.log.close()
    found = scalars(tmp_path / "out")
    assert found["metrics/loss"] == [(step, pytest.approx(1.0 / step)) for step in range(1, 4)]
    assert found["full/metrics.exact"] == [(3, 0.25)] and found["full/trivial.exact.copy"] == [(3, 0.125)]
    assert not any("note" in tag or "pass_at_1" in tag for tag in found)
    times = {event.wall_time for event in events(tmp_path / "out") if event.summary.value}
    assert times == {1795791675.586}


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    writer = made(tmp_path)
    writer.metrics(row(1))
    writer.close()
    with writer.layout.metrics.open("ab") as file:
        file.write(b'{"step":2,"crc":1}\n')
    words = ["one", "--to", "csv", "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(log, words, catch_exceptions=False)
    assert done.stdout.strip().endswith("1 rows of one, 1 damaged lines passed over")
    with pytest.raises(UserError, match="is not empty"):
        CliRunner().invoke(log, words, catch_exceptions=False)


def test_following_ends_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = made(tmp_path)
    writer.metrics(row(1))
    writer.close()
    monkeypatch.setattr("hrm_core.cli.log_command.FOLLOW_S", 0.0)
    looks = iter([type("View", (), {"state": "running"}), type("View", (), {"state": "finished"})])
    monkeypatch.setattr("hrm_core.runs.reader.read_run", lambda _: next(looks))
    polls: list[int] = []
    monkeypatch.setattr(Follower, "poll", lambda self: polls.append(1))
    words = ["one", "--to", "csv", "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"), "--follow"]
    CliRunner().invoke(log, words, catch_exceptions=False)
    assert len(polls) == 3  # running, then ended, then once more for what came before the result


def test_csv_alone_asks_for_no_package() -> None:
    assert CsvLog(Path()).tables.keys() == {"metrics", "evaluations"}

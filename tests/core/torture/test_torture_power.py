"""Lost power: writers that forget to sync are found out, each in its way; the product's are not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hrm_core.runs.atomic import make_folder, write_bytes
from hrm_core.torture.bench import Bench
from hrm_core.torture.disk import Recorder, Recording
from hrm_core.torture.disk_states import LOSSES, lay_out, states
from hrm_core.torture.power import Outcome, cut_points, order_row, state_rows, trials, try_states
from hrm_core.torture.power_checks import KINDS, broken_orders, kind_of

Writer = Callable[[Path, bytes], None]


def hasty(path: Path, data: bytes) -> None:
    """Renames what was not synced."""
    temporary = path.with_name(".x.tmp-1-00000000")
    temporary.write_bytes(data)
    os.replace(temporary, path)
    _sync(path.parent)


def forgetful(path: Path, data: bytes) -> None:
    """Does not sync the folder."""
    temporary = path.with_name(".x.tmp-1-00000000")
    temporary.write_bytes(data)
    _sync(temporary)
    os.replace(temporary, path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def recorded(root: Path, write: Writer, make: Callable[[Path], None] = make_folder) -> Recording:
    """Two statuses and a policy of a new run, written so; after them something else is done."""
    root.mkdir()
    with Recorder(root).installed() as recording:
        make(root / "one")
        write(root / "one" / "status.json", b"first " * 50)
        write(root / "one" / "status.json", b"second " * 50)
        write(root / "one" / "policy.json", b"{}")
        (root / "other").mkdir()
    return recording


def outcome_of(recording: Recording, folder: Path) -> Outcome:
    outcome = Outcome()
    try_states(recording, folder, list(range(1, len(recording.calls) + 1)), 1000, outcome)
    return outcome


def test_writes_that_are_synced_are_there_after_every_cut(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "root", write_bytes)
    assert [call.name for call in recording.calls[:5]] == ["mkdir", "fsync", "fsync", "replace", "fsync"]
    row = order_row([recording])
    assert row.passed and row.times == 3
    outcome = outcome_of(recording, tmp_path / "states")
    assert outcome.wrong == {} and sum(outcome.states.values()) > len(recording.calls)
    rows = {row.fault: row for row in state_rows(outcome)}
    assert rows["lost power: status"].passed
    assert not rows["lost power: checkpoint"].passed, "a kind that was not tried is not passed"


@pytest.mark.parametrize(("write", "problem"), [(hasty, "content not synced"), (forgetful, "folder was not synced")])
def test_a_writer_that_forgets_is_found_by_its_order_and_by_what_is_lost(
    tmp_path: Path, write: Writer, problem: str
) -> None:
    recording = recorded(tmp_path / "root", write)
    row = order_row([recording])
    assert not row.passed and problem in row.found
    outcome = outcome_of(recording, tmp_path / "states")
    assert outcome.wrong["status"]
    assert not next(row for row in state_rows(outcome) if row.fault == "lost power: status").passed


def test_a_new_folder_whose_name_is_not_synced_takes_all_with_it(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "root", write_bytes, make=os.mkdir)
    assert order_row([recording]).passed, "the order of each write is right"
    outcome = outcome_of(recording, tmp_path / "states")
    assert any("one/status.json is gone" in phrase for phrase in outcome.wrong["status"])


def test_rows_that_were_synced_stay_and_the_tail_may_be_torn(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make_folder(root / "one")
    with Recorder(root).installed() as recording, (root / "one" / "metrics.jsonl").open("ab", buffering=0) as file:
        file.write(b"a\n")
        os.fsync(file.fileno())
        _sync(root / "one")
        file.write(b"b" * 9 + b"\n")
        (root / "two").mkdir()
    found = {state.files.get("one/metrics.jsonl", b"-") for state in states(recording, len(recording.calls))}
    assert found == {b"a\n", b"a\nbbbbb", b"a\n" + bytes(10), b"a\n" + b"b" * 9 + b"\n"}
    assert len(found) == len(LOSSES)
    early = {state.files.get("one/metrics.jsonl") for state in states(recording, 0)}
    assert early == {None, b"", b"a", bytes(2), b"a\n"}, "before the sync the name itself may be missing"


def test_a_recording_goes_through_files_and_lays_out_what_it_says(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "root", write_bytes)
    recording.save(tmp_path / "kept")
    again = Recording.load(tmp_path / "kept")
    assert again.calls == recording.calls and again.blobs == recording.blobs
    assert json.dumps([again.folders, again.files]) == json.dumps([recording.folders, recording.files])
    *_, last = states(again, len(again.calls))
    lay_out(last, tmp_path / "state", {})
    assert (tmp_path / "state" / "one" / "status.json").read_bytes() == b"second " * 50
    assert cut_points(again, 1.0, 0) == list(range(1, len(again.calls) + 1))
    assert 0 < len(cut_points(again, 0.3, 0)) < len(again.calls)


def test_kinds_of_paths() -> None:
    paths = ("r/status.json", "r/run.json", "r/metrics.jsonl", "r/checkpoints/step-00000010", "r/archive/x/y")
    paths += ("r/predictions/20.index.json", "runs/queue/queue.json", "config/settings.toml", "out/one.tar")
    assert [kind_of(path) for path in paths] == list(KINDS)
    assert broken_orders(Recording()) == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_was_synced_survives_lost_power(arc1_file: Path, tmp_path: Path) -> None:
    rows = list(trials(Bench(tmp_path, arc1_file, short=True, seed=0)))
    assert len(rows) == 1 + len(KINDS)
    assert [(row.fault, row.found) for row in rows if not row.passed] == []

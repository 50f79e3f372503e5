"""Rows that were on the disk and are gone: counted by the writer, named by whoever reads; a lost tail is no alarm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hrm_core.runs.atomic import atomic_folder
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import read_run
from hrm_core.runs.snapshots import read_meta, write_meta
from hrm_core.runs.writer import RunWriter
from hrm_core.runs.written import EVALUATIONS, EVENTS, METRICS, ROWS, Counted, count_lines, lacking, look_through


def checkpoint(run: RunWriter, step: int) -> None:
    """As the trainer saves one: rows first."""
    rows = run.sync()
    with atomic_folder(run.layout.checkpoint(step), replace=True) as folder:
        write_meta(folder, {"step": step, ROWS: rows})


def log(run: RunWriter, steps: Sequence[int]) -> None:
    for step in steps:
        run.metrics({"step": step, "loss": 1 / step})
        if step % 4 == 0:
            run.evaluation({"step": step, "kind": "fast", "split": "val", "weights": "raw"})
            run.evaluation({"step": step, "kind": "fast", "split": "val", "weights": "ema"})
        run.event("tick", step)


@pytest.fixture
def layout(tmp_path: Path) -> RunFolder:
    """A run that was killed at step 12, with checkpoints at 4 and 8."""
    with RunWriter.create(tmp_path / "a", "x = 1\n", {}) as run:
        log(run, range(1, 5))
        checkpoint(run, 4)
        log(run, range(5, 9))
        checkpoint(run, 8)
        log(run, range(9, 13))
    return RunFolder(tmp_path / "a")


def keep_lines(path: Path, count: int) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:count]))


def sentences(layout: RunFolder) -> list[str]:
    return [lack.sentence for lack in look_through(layout).missing]


def test_a_checkpoint_holds_how_many_rows_there_were(layout: RunFolder) -> None:
    assert (read_meta(layout.checkpoint(8)) or {})[ROWS] == {
        METRICS: {"rows": 8, "step": 8},
        EVALUATIONS: {"rows": 4, "step": 8},
        EVENTS: {"rows": 8},
    }
    lines = look_through(layout)
    assert (lines.damaged, lines.missing, lines.known) == ({}, [], True)


@pytest.mark.parametrize("name", [METRICS, EVALUATIONS, EVENTS])
def test_every_cut_between_two_rows_of_the_synced_part_is_noticed_and_no_other(layout: RunFolder, name: str) -> None:
    path = layout.path / name
    whole = path.read_bytes()
    count, synced = whole.count(b"\n"), {METRICS: 8, EVALUATIONS: 4, EVENTS: 8}[name]
    for kept in range(count + 1):
        path.write_bytes(whole)
        keep_lines(path, kept)
        said = sentences(layout)
        assert bool(said) == (kept < synced), (kept, said)
        if said:
            assert said[0].startswith(f"{name}: {synced - kept} of {synced} rows are missing")


def test_where_the_missing_rows_were_is_said(layout: RunFolder) -> None:
    keep_lines(layout.metrics, 5)
    keep_lines(layout.evaluations, 0)
    assert sentences(layout) == [
        "metrics.jsonl: 3 of 8 rows are missing, after step 5, up to step 8",
        "evaluations.jsonl: 4 of 4 rows are missing, up to step 8",
    ]


def test_a_row_gone_from_the_middle_and_a_damaged_one_are_missed_too(layout: RunFolder) -> None:
    lines = layout.metrics.read_bytes().splitlines(keepends=True)
    layout.metrics.write_bytes(b"".join([*lines[:2], lines[3].replace(b"loss", b"lass"), *lines[4:]]))
    assert sentences(layout) == ["metrics.jsonl: 2 of 8 rows are missing, from before step 8"]
    assert look_through(layout).damaged == {METRICS: 1}


def test_an_older_run_whose_checkpoints_count_nothing_has_nothing_missing(layout: RunFolder) -> None:
    for step in (4, 8):
        write_meta(layout.checkpoint(step), {"step": step})
    keep_lines(layout.metrics, 1)
    lines = look_through(layout)
    assert (lines.missing, lines.known) == ([], False)


def test_after_a_resume_the_rows_are_those_that_are_there(layout: RunFolder) -> None:
    keep_lines(layout.metrics, 5)
    with RunWriter.open(layout) as run:
        run.cut(8)
        wanted = (read_meta(layout.checkpoint(8)) or {})[ROWS]
        run.event("resumed", 8)
        assert [vars(lack) for lack in lacking(wanted, run.written.found())] == [
            {"file": METRICS, "missing": 3, "of": 8, "until": 8, "at_end": True, "after": 5}
        ]
        log(run, range(9, 13))
        checkpoint(run, 12)
    assert sentences(layout) == []
    keep_lines(layout.metrics, 8)
    assert sentences(layout) == ["metrics.jsonl: 1 of 9 rows are missing, after step 11, up to step 12"]


def test_a_row_written_twice_counts_once_before_and_after_the_cut_that_drops_it(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "a", "x = 1\n", {}) as run:
        log(run, range(1, 5))
        run.metrics({"step": 4, "loss": 0.5})
        run.evaluation({"step": 4, "kind": "fast", "split": "val", "weights": "ema", "again": True})
        checkpoint(run, 4)
    layout = RunFolder(tmp_path / "a")
    for _ in range(2):
        assert sentences(layout) == []
        with RunWriter.open(layout) as run:
            run.cut(4)
            assert lacking((read_meta(layout.checkpoint(4)) or {})[ROWS], run.written.found()) == []


def test_a_result_counts_too_and_a_run_opened_without_a_cut_says_only_what_it_knows(layout: RunFolder) -> None:
    with RunWriter.open(layout) as run:
        assert run.written.rows() == {EVENTS: {"rows": 12}}
        run.cut(12)
        run.result({"state": "stopped", "step": 12})
    keep_lines(layout.metrics, 11)
    assert sentences(layout) == ["metrics.jsonl: 1 of 12 rows are missing, after step 11, up to step 12"]
    (alarm,) = [alarm for alarm in read_run(layout).alarms if alarm["name"] == "rows_missing"]
    assert alarm["sentence"] == "metrics.jsonl ends at step 11 and went up to step 12."


def test_the_list_of_runs_says_so_of_a_lost_run_and_not_of_one_that_lost_only_its_tail(layout: RunFolder) -> None:
    def alarms() -> list[str]:
        return [alarm["sentence"] for alarm in read_run(layout).alarms if alarm["name"] == "rows_missing"]

    keep_lines(layout.metrics, 8)
    keep_lines(layout.evaluations, 4)
    assert read_run(layout).state == "lost" and alarms() == []
    keep_lines(layout.metrics, 7)
    layout.evaluations.unlink()
    assert alarms() == [
        "metrics.jsonl ends at step 7 and went up to step 8; evaluations.jsonl is empty and went up to step 8."
    ]
    with RunWriter.open(layout):
        assert alarms() == []


@pytest.mark.parametrize("rows", [None, 3, [], {METRICS: 4}, {METRICS: {"rows": "8", "step": []}}, {METRICS: {}}])
def test_rows_that_no_writer_wrote_are_no_rows(layout: RunFolder, rows: Any) -> None:
    write_meta(layout.checkpoint(8), {"step": 8, ROWS: rows})
    keep_lines(layout.metrics, 1)
    assert look_through(layout).missing == []
    assert [alarm["name"] for alarm in read_run(layout).alarms] == ["lost"]


def test_torn_and_blank_lines_of_events_are_counted_alike(layout: RunFolder) -> None:
    with layout.events.open("ab") as file:
        file.write(b"\n\n  \n{torn")
    assert count_lines(layout) == 12
    with RunWriter.open(layout) as run:
        assert run.written.events_found == count_lines(layout) == 13


def test_damaged_events_are_damaged_and_not_missing(layout: RunFolder) -> None:
    layout.events.write_bytes(layout.events.read_bytes().replace(b"{", b"[", 5))  # of 12, where 8 have to be there
    found = look_through(layout)
    assert found.damaged == {EVENTS: 5} and found.missing == []


def test_counting_needs_the_keys_of_one_step_only() -> None:
    counted = Counted((step, kind) for step in range(1000) for kind in ("fast", "full", "fast"))
    assert counted.to_json() == {"rows": 2000, "step": 999}
    assert len(counted._at_step) == 2


def test_a_file_that_nobody_here_wrote_does_not_fill_the_memory() -> None:
    counted = Counted((1, "x" * 50 + str(number)) for number in range(5000))
    assert counted.rows == 5000 and len(counted._at_step) == 1000

"""The column `where` of the runs and the queue: not there while all is on this machine, then where there is room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from queue_stand_in import PINS

from hrm_console.rows.listing import RunLine
from hrm_console.theme import FULL
from hrm_console.views.queue.look import Seen
from hrm_console.views.queue.words import detail_rows, entry_row, header_row
from hrm_console.views.runs import columns
from hrm_core.runs.queue_records import Entry, Queue

HERE = RunLine("here", Path("here"), "EXP-00", "running")
THERE = replace(HERE, run_id="there", where="ray:node7/4e76e8")
HOSTILE = "ray:\x1b]52;c;eA==\x07\r\n"
ENTRY = Entry("7", "EXP-02", ("preset=cpu",), PINS)


def test_runs_say_where_as_soon_as_one_is_elsewhere() -> None:
    for width in (20, 80, 120, 200):
        assert columns.columns_for(width) == columns.columns_for(width, [HERE])
    chosen = columns.columns_for(200, [HERE, THERE])
    assert "where" in columns.header_row(chosen, FULL).plain
    assert "ray:no" in columns.run_row(THERE, chosen, FULL).plain
    assert " local " in columns.run_row(HERE, chosen, FULL).plain
    for width in (40, 80, 120, 200):
        wide = columns.columns_for(width, [THERE])
        row = columns.run_row(replace(THERE, where=HOSTILE), wide, FULL)
        assert row.cell_len <= width and "\x1b" not in row.plain and "\n" not in row.plain


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
def test_the_queue_says_where_as_soon_as_an_entry_is_elsewhere(width: int) -> None:
    there = replace(ENTRY, id="8", on="ray", state="running", job="ray:job1", where=HOSTILE, losses=2)
    local, mixed = Seen(queue=Queue((ENTRY,), 99)), Seen(queue=Queue((ENTRY, there), 99))
    assert "where" not in header_row(width, FULL).plain
    assert entry_row(ENTRY, local, None, FULL, width).plain.count("local") == 0
    rows = [
        header_row(width, FULL, True),
        entry_row(ENTRY, mixed, None, FULL, width),
        entry_row(there, mixed, None, FULL, width),
    ]
    assert all(row.cell_len <= width and "\x1b" not in row.plain for row in rows)
    if width >= 80:
        assert "where" in rows[0].plain and "local" in rows[1].plain
        at = rows[0].plain.index("where")
        assert rows[1].plain[at:].startswith("local") and rows[2].plain[at:].startswith("ray:")
    words = "\n".join(row.plain for row in detail_rows(there, mixed, None, FULL, 200))
    assert "where: ray:" in words and "2 lost" in words


def test_what_waits_in_an_engine_says_so() -> None:
    waits = replace(ENTRY, on="slurm", state="running", job="slurm:job1")
    words = "\n".join(row.plain for row in detail_rows(waits, Seen(queue=Queue((waits,), 99)), None, FULL, 120))
    assert "where: waits in slurm" in words

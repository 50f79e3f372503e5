"""Rows of the archive in words: hostile text is harmless, rows fit their width, marks do not hang on colour."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_archive import evaluation_of, make_archived

from hrm_console.screens.archive_prune import plan_rows
from hrm_console.theme import FULL, SIXTEEN
from hrm_console.views.archive.page import again_rows, details_rows, log_rows
from hrm_console.views.archive.reading import view_of
from hrm_console.views.archive.words import (
    age_of,
    byte_size,
    entry_row,
    header_row,
    matches,
    overrides_line,
    summary_text,
)
from hrm_core.runs.archive import Archive, Entry, Listing, Origin, Parent
from hrm_core.runs.archive_changes import plan_prune
from hrm_core.runs.archive_details import Details, read_details
from hrm_core.runs.archive_lineage import Branch, Lineage
from hrm_core.runs.text import clean

HOSTILE = "\x1b]52;c;cHduZWQ=\x07\x1b[2J\u202egnp[bold red]m[/]\r\x08\x7f" + "x" * 300


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    make_archived(tmp_path, "one", {10: 0.1, 20: 0.3})
    return Archive(tmp_path).read()


def hostile(folder: Path) -> Details:
    """Every text from outside is hostile, every number no number."""
    row = evaluation_of(3, 0.1, 0) | {
        "kind": HOSTILE, "split": HOSTILE, "weights": HOSTILE, "notes": [HOSTILE, 3], "pairs": "x", "loss": HOSTILE,
        "time_utc": HOSTILE, "input_sensitivity": "x",
    }  # fmt: skip
    row["metrics"] = {HOSTILE: 0.5, "exact": "x"}
    origin = Origin(HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE, Parent(HOSTILE, 3, HOSTILE))
    entry = Entry(
        HOSTILE, HOSTILE, 3, folder, origin, row, {"weights.safetensors": {"sha256": HOSTILE, "bytes": 3}},
        promoted=(HOSTILE,), damaged=True,
    )  # fmt: skip
    return Details(
        entry, row, {"alarms": [{"name": HOSTILE, "sentence": HOSTILE}, 3], "loss": "x", "global_step": HOSTILE}, {},
        (HOSTILE, "a\tb"), HOSTILE, ((HOSTILE, HOSTILE, HOSTILE),), HOSTILE,
        Lineage((Parent(HOSTILE, None, ""),), (Branch(HOSTILE, HOSTILE, None, (Branch(HOSTILE, "", 1),)),)),
        (HOSTILE,),
    )  # fmt: skip


@pytest.mark.parametrize("width", [38, 58, 80, 110, 200])
@pytest.mark.parametrize("palette", [FULL, SIXTEEN])
def test_hostile_text_is_harmless_and_no_row_is_too_wide(tmp_path: Path, width: int, palette: object) -> None:
    details = hostile(tmp_path)
    for one in (details, replace(details, recipe_problem="")):
        rows = details_rows(one, (HOSTILE,), False, palette, width)
        rows += log_rows(one, palette, width) + again_rows(HOSTILE, one, palette, width)
        rows += again_rows(one.evaluation, one, palette, width)
        rows += [entry_row(one.entry, "exact", palette, width), header_row("exact", palette, width)]
        listing = Listing((one.entry,))
        rows.append(summary_text(listing, view_of(listing, {"filter": HOSTILE, "by": HOSTILE}), 1.0, palette, width))
        rows += plan_rows(plan_prune(listing, 0, {HOSTILE}), palette, width)
        for row in rows:
            assert row.plain == clean(row.plain)
            assert row.cell_len <= width


def test_marks_are_words(listing: Listing) -> None:
    entry = replace(listing.entries[1], pinned=True, promoted=("x",))
    assert entry_row(entry, "exact", FULL, 120).plain.split()[-3:] == ["best", "pinned", "promoted"]
    assert entry_row(entry, "exact", FULL, 80).plain.split()[-3:] == ["best", "pin", "prom"]
    damaged = replace(entry, damaged=True, pinned=False, promoted=())
    assert entry_row(damaged, "exact", FULL, 80).plain.split()[-2:] == ["damaged", "best"]


@pytest.mark.parametrize("by", ["exact", "cell_accuracy", "loss", "newest", "size"])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_header_and_rows_line_up(listing: Listing, by: str, width: int) -> None:
    header, row = header_row(by, FULL, width).plain, entry_row(listing.entries[0], by, FULL, width, now_s=1.8e9).plain
    assert "▾" in header
    end = header.index("size") + len("size")
    assert row[:end].split()[-2:] == [byte_size(listing.entries[0].size_bytes).split()[0], "KiB"]


def test_filters(listing: Listing) -> None:
    first, second = listing.entries
    assert matches(first, "")
    assert matches(first, "ONE exp-00")
    assert not matches(first, "best")
    assert matches(second, "best -pinned")
    assert not matches(second, "-best")


def test_views(listing: Listing) -> None:
    assert [entry.name for entry in view_of(listing, {}).entries] == ["one@20", "one@10"]
    assert [entry.name for entry in view_of(listing, {"only_best": True}).entries] == ["one@20"]
    assert view_of(listing, {"by": "gone", "filter": 7, "only_best": "x"}).by == "exact"
    assert view_of(None, {}).entries == ()


def test_the_page_says_whether_every_byte_was_looked_at(listing: Listing) -> None:
    details = read_details(listing.entries[0], listing)

    def said(problems: tuple[str, ...] | None, checking: bool) -> str:
        return "\n".join(row.plain for row in details_rows(details, problems, checking, FULL, 100))

    assert "not checked yet" in said(None, False)
    assert "reading every byte" in said(None, True)
    assert "✓ every byte" in said((), False)
    assert "✗ gone" in said(("gone",), False)


def test_small_words(listing: Listing) -> None:
    assert [byte_size(size) for size in (None, 0, 812, 8.2 * 2**20, 148 * 2**20, 3.24 * 2**30)] == [
        "·", "0 B", "812 B", "8.2 MiB", "148 MiB", "3.2 GiB",
    ]  # fmt: skip
    assert age_of(replace(listing.entries[0], evaluation={"time_utc": "no time"})) == "·"
    assert age_of(replace(listing.entries[0], evaluation={"time_utc": "1970-01-01T00:00:00.000Z"}), 90.0) == "1m30"


def test_the_overrides_of_a_run_as_they_are_typed() -> None:
    run_json = {
        "sources": {"a.b": "override", "c": "EXP-00", "d.e": "override", "f": "override", "preset": "override"},
        "recipe": {"preset": "cpu", "a": {"b": True}, "d": {"e": [7, 10]}, "f": "x y\x1b"},
    }
    assert overrides_line(run_json) == "preset=cpu a.b=true d.e=7,10 'f=x y␛'"
    assert overrides_line({}) == ""
    assert overrides_line({"sources": [], "recipe": 3}) == ""

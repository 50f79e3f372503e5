"""Damage: a reader that sees through it, one that misses it, one that fails; and the part itself, small, for real."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.files import sealed
from hrm_core.torture.bench import Bench
from hrm_core.torture.damage import (
    FEWER,
    HARMLESS,
    NOTICED,
    WRONG,
    Target,
    judge,
    mutants,
    row_of,
    started_targets,
    trial,
    trials,
)


def test_mutants_are_cuts_and_single_bits() -> None:
    data = bytes(range(100))
    found = list(mutants(data, 10, 20, Random(1)))
    assert found == list(mutants(data, 10, 20, Random(1)))
    cuts, flips = found[:10], found[10:]
    assert all(data.startswith(cut) and len(cut) < 100 for cut in cuts) and len(set(cuts)) == 10
    distances = [sum((one ^ other).bit_count() for one, other in zip(data, flip, strict=True)) for flip in flips]
    assert distances == [1] * 20 and len(set(flips)) == 20
    assert len(list(mutants(b"abc", 300, 600, Random(1)))) == 3 + 24


def test_files_of_rows_are_cut_between_their_rows_too() -> None:
    data = b"aa\nbb\n\ncc\n"
    assert sorted(mutants(data, 0, 0, Random(1), 300)) == [b"", b"aa\n", b"aa\nbb\n", b"aa\nbb\n\n"]
    assert len(list(mutants(data, 0, 0, Random(1), 2))) == 2


def test_rows_that_are_gone_and_nobody_says_so_fail_the_row(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"1\n2\n3\n")

    def read() -> object:
        return path.read_bytes().split()

    counts, first = trial(Target("rows", path, read, lambda: True), 0, 0, Random(0))
    assert counts == Counter() and not first
    counts, first = trial(Target("rows", path, read, lambda: True), 3, 0, Random(0))
    assert counts[FEWER] >= 3 and counts[WRONG] == 0
    counts, first = trial(Target("rows", path, read, lambda: path.stat().st_size < 4), 3, 0, Random(0))
    assert counts[WRONG] >= 1 and "nobody says so" in first
    assert path.read_bytes() == b"1\n2\n3\n"


def test_verdicts() -> None:
    rows: list[object] = [{"step": 1}, {"step": 2}, {"step": 3}]
    assert judge({"a": 1}, {"a": 1}) == HARMLESS
    assert judge(None, {"a": 1}) == NOTICED
    assert judge({"a": 2}, {"a": 1}) == WRONG
    assert judge([rows[0], rows[2]], rows) == FEWER
    assert judge([rows[2], rows[0]], rows) == WRONG
    assert judge([{"step": 9}], rows) == WRONG
    assert judge([], rows) == FEWER


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_bytes(sealed(json.dumps({"rate": 0.5, "steps": 1000}).encode()))
    return path


def test_a_reader_without_a_checksum_fails_the_row(path: Path) -> None:
    def careless() -> object:
        try:
            return json.loads(path.read_bytes())
        except ValueError:
            return None

    before = path.read_bytes()
    target = Target("a.json", path, careless)
    counts, first = trial(target, 30, 300, Random(0))
    row = row_of(target, counts, first)
    assert counts[WRONG] > 10 and not row.passed and f"{counts[WRONG]} mutants" in row.lost
    assert f"{counts[WRONG]} silently wrong; mutant " in row.found
    assert path.read_bytes() == before


def test_a_reader_that_fails_otherwise_fails_the_row_and_one_that_says_so_passes(path: Path) -> None:
    whole = path.read_bytes()

    def reader(error: Exception) -> object:
        if path.read_bytes() != whole:
            raise error
        return 1

    counts, first = trial(Target("a", path, lambda: reader(KeyError("x"))), 3, 3, Random(0))
    assert counts == Counter({WRONG: 6}) and "KeyError" in first
    counts, first = trial(Target("a", path, lambda: reader(UserError("it is damaged"))), 3, 3, Random(0))
    assert counts == Counter({NOTICED: 6}) and not first
    assert row_of(Target("a", path, lambda: 1), counts, first).passed
    assert not row_of(Target("a", path, lambda: 1), Counter(), "").passed


def test_what_runs_are_started_from_is_noticed_at_every_bit(tmp_path: Path) -> None:
    for target in started_targets(tmp_path / "started"):
        counts, first = trial(target, 200, 400, Random(0))
        assert row_of(target, counts, first).passed, (target.what, counts, first)
        assert counts[NOTICED] > 400


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thirty_mutants_of_each_file_and_a_real_resume(tmp_path: Path, arc1_file: Path) -> None:
    rows = list(trials(Bench(tmp_path, arc1_file, True, 5)))
    assert [row.found for row in rows if not row.passed] == []
    assert len(rows) == 26
    logs = [row for row in rows if "cut between two rows" in row.how]
    assert len(logs) == 3 and all(30 < row.times <= 40 for row in logs)
    assert all(row.times in (1, 30) for row in rows if row not in logs)

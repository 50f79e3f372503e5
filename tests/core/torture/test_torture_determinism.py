"""The check of determinism: it sees a sample that differs and a byte that does; in short form it finds neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hrm_core.cli.doctor_command import doctor
from hrm_core.torture import determinism
from hrm_core.torture.bench import Bench
from hrm_core.torture.determinism import Check, compare_admissions, read_admissions, same_bytes, trials


def test_samples_are_compared_by_slot_and_count_not_by_step(tmp_path: Path) -> None:
    path = tmp_path / "admissions.jsonl"
    lines = [[7, 0, 1, 1, [5, 2]], [7, 1, 1, 1, [6, 0]], [7, 0, 2, 4, [8, 1]]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")
    first = read_admissions(path)
    assert set(first) == {(7, 0, 1), (7, 1, 1), (7, 0, 2)}
    later = {**first, (7, 0, 2): (9, first[7, 0, 2][1]), (7, 0, 3): (12, "x")}
    same = compare_admissions("samples", "", first, [later])
    assert same.same and same.times == 3 and "1 were admitted at another step" in same.text
    odd = compare_admissions("samples", "", first, [{**first, (7, 1, 1): (1, "another")}])
    assert not odd.same and "1 differ" in odd.text and "canvas 7, slot 1, sample 1" in odd.text
    assert not compare_admissions("samples", "", first, [{}]).same, "nothing compared is nothing shown"


def test_a_run_that_does_not_end_or_differs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, tmp_path / "arc1.h5", short=True, seed=0)
    monkeypatch.setattr(determinism, "train", lambda bench, several: "first ended with 1: no data")
    check = same_bytes(bench, "same bytes", "two", ("demo",), range(5))
    assert not check.same and "first ended with 1" in check.text
    monkeypatch.setattr(determinism, "train", lambda bench, several: "")
    monkeypatch.setattr(determinism, "differences", lambda one, other, steps: ["metrics at step 5: loss"])
    check = same_bytes(bench, "same bytes", "two", ("demo",), range(5))
    assert not check.same and check.text == "1 differences, first: metrics at step 5: loss"


def test_the_doctor_says_what_differs_and_ends_with_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("hrm_core.cli.doctor_command.examine", list)
    monkeypatch.setattr("hrm_core.torture.bench.built_data", lambda folder: folder / "arc1.h5")
    found = [Check("same bytes", "two processes", 1, True, "equal"), Check("samples", "1 and 2", 9, True, "9 compared")]
    monkeypatch.setattr(determinism, "checks", lambda bench: iter(found))
    good = CliRunner().invoke(doctor, ["--determinism"], standalone_mode=False)
    assert good.return_value == 0 and "same bytes  ok" in good.output and "samples     ok" in good.output
    found[1] = Check("samples", "1 and 2", 9, False, "2 differ")
    bad = CliRunner().invoke(doctor, ["--determinism"], standalone_mode=False)
    assert bad.return_value == 1 and "differs  1 and 2: 2 differ" in bad.output
    told = CliRunner().invoke(doctor, ["--determinism", "--json"], standalone_mode=False)
    assert told.return_value == 1
    assert [finding["state"] for finding in json.loads(told.output)["findings"]] == ["ok", "differs"]
    found.clear()
    assert CliRunner().invoke(doctor, [], standalone_mode=False).return_value == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_same_run_comes_out_again(arc1_file: Path, tmp_path: Path) -> None:
    rows = list(trials(Bench(tmp_path, arc1_file, short=True, seed=0)))
    assert [row.passed for row in rows] == [True, True], rows
    assert rows[1].times > 100
    moved = int(rows[1].found.split("; ")[1].split(" ")[0])
    assert moved > 0, "no sample was admitted at another step, so nothing was shown about when"

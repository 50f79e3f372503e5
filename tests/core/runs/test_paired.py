"""Tests that two runs solved, against predictions written by the real writer, counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.paired import NO_FAMILY, FamilyCount, PairedTest, count_families, pair_runs
from hrm_core.runs.writer import RunWriter

FAMILIES = {"a:0": ["crop"], "b:0": ["crop", "recolor", "recolor"], "c:0": [], "d:0": ["recolor"], "e:0": ["crop"]}


def run(folder: Path, steps: dict[int, dict[str, Any]]) -> Path:
    """A run with predictions: step -> test -> exact."""
    with RunWriter.create(folder, "", {}) as writer:
        for step, solved in steps.items():
            writer.predictions(
                step,
                [
                    {
                        "task": name.partition(":")[0],
                        "test": 0,
                        "exact": exact,
                        "families": FAMILIES[name],
                        "target": ["1"],
                    }
                    for name, exact in solved.items()
                ],
            )
    return folder


def test_gained_lost_both_neither(tmp_path: Path) -> None:
    first = run(tmp_path / "one", {10: {"a:0": True}, 20: {"a:0": True, "b:0": True, "c:0": False, "d:0": False}})
    second = run(tmp_path / "two", {30: {"a:0": True, "b:0": False, "c:0": True, "d:0": False, "e:0": True}})
    paired = pair_runs(first, second)
    assert paired.runs == ("one", "two") and paired.steps == (20, 30) and paired.apart == 1
    assert {test.name: test.outcome for test in paired.tests} == {
        "a:0": "both", "b:0": "lost", "c:0": "gained", "d:0": "neither",
    }  # fmt: skip
    assert [test.name for test in paired.of("lost")] == ["b:0"]
    assert count_families(paired.tests) == (
        FamilyCount("crop", 0, 1, 1, 0),
        FamilyCount("recolor", 0, 1, 0, 1),
        FamilyCount(NO_FAMILY, 1, 0, 0, 0),
    )


def test_an_earlier_step_can_be_asked_for(tmp_path: Path) -> None:
    first = run(tmp_path / "one", {10: {"a:0": False}, 20: {"a:0": True}})
    second = run(tmp_path / "two", {20: {"a:0": True}})
    assert [test.outcome for test in pair_runs(first, second, (10, 20)).tests] == ["gained"]


def test_the_largest_change_comes_first() -> None:
    tests = [PairedTest(f"t{n}", ("small",), False, True) for n in range(2)]
    tests += [PairedTest(f"u{n}", ("large",), True, False) for n in range(3)]
    tests += [PairedTest(f"v{n}", ("still",), True, True) for n in range(9)]
    assert [(row.family, row.change) for row in count_families(tests)] == [("large", -3), ("small", 2), ("still", 0)]


def test_nothing_to_pair_is_said_in_a_line(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one", {10: {"a:0": True}}), run(tmp_path / "two", {})
    with pytest.raises(UserError, match="run two has no predictions kept"):
        pair_runs(one, two)
    with pytest.raises(UserError, match="one and other have no test in common"):
        pair_runs(one, run(tmp_path / "other", {10: {"b:0": True}}))


def test_damaged_and_strange_records_are_passed_over(tmp_path: Path) -> None:
    one = run(tmp_path / "one", {10: {"a:0": True, "b:0": "yes", "c:0": None, "d:0": 1}})
    two = run(tmp_path / "two", {10: {"a:0": False, "b:0": True}})
    assert [(test.name, test.outcome) for test in pair_runs(one, two).tests] == [("a:0", "lost")]
    (one / "predictions" / "10.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match="no test in common"):
        pair_runs(one, two)

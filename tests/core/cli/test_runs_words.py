"""What `hrm show` says of the analyses in a row, from rows as they are written; nothing for rows that have none."""

from __future__ import annotations

from typing import Any

from hrm_core.cli.runs_words import analysis_lines, evaluation_lines, family_table, thinking_lines

SAVED = {"threshold": 0.0, "segments": 2.4, "share": 0.2, "exact": 0.5, "exact_without": 0.6}


def test_rows_without_analyses_say_nothing() -> None:
    for row in ({}, {"halting_analysis": None, "color_copies": 3, "sharpness": [], "latency": "x"}):
        assert thinking_lines(row) == analysis_lines(row) == []


def test_halting_is_told_or_why_it_cannot_be() -> None:
    found: dict[str, Any] = {"entropy": [0.1, 0.25], "not_measurable": "97.0 % of the samples never halt"}
    assert thinking_lines({"halting_analysis": found}) == [
        "entropy of halting by segment, in nats: 0.10 0.25.",
        "halting: not measurable, 97.0 % of the samples never halt.",
    ]
    found = {
        "entropy": [0.1, 0.25], "not_measurable": None, "depth_error": {"correlation": 0.5, "by_depth": []},
        "families": {"move": 3.0, "crop": 1.5}, "saved": SAVED, "equal_accuracy": None,
    }  # fmt: skip
    assert thinking_lines({"halting_analysis": found})[1:] == [
        "depth of halting against error: correlation +0.50.",
        "halting at 0 (threshold 0) saves 20.0 % of the segments; exact 50.0 % against 60.0 % without.",
        "no threshold saves segments at equal accuracy.",
        "mean segment of halting by family: crop 1.5, move 3.",
    ]


def test_gained_and_lost_and_the_plans_families() -> None:
    said = "since the validation before: 2 tests gained, 1 lost."
    assert said in evaluation_lines({"gained": ["a:0", "b:0"], "lost": ["c:1"]})
    assert evaluation_lines({"gained": None, "lost": None}) == []
    row = {"plan_families": {"counting": {"pairs": 4, "exact": 0.25, "low": 0.05, "high": 0.7}}}
    assert family_table(row, "plan_families") == [["counting", "4", "25.0", "5.0 to 70.0", "-"]]
    row["plan_families"]["counting"]["trivial"] = {"pad": 0.0, "copy": 0.125}
    assert family_table(row, "plan_families") == [["counting", "4", "25.0", "5.0 to 70.0", "12.5 (copy)"]]
    assert family_table(row) == []


def test_a_hostile_row_is_no_harm() -> None:
    row = {"halting_analysis": {"entropy": ["x", None], "families": {"a": []}, "saved": {"share": "1"}}, "lost": 3}
    assert all(isinstance(line, str) for line in evaluation_lines(row))

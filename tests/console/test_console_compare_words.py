"""What the compare screen says, as pure functions: names told apart, settings, verdicts, and hostile text."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrm_console.asking import Answer
from hrm_console.rows.feed import Feed
from hrm_console.rows.listing import RunLine
from hrm_console.session import Session
from hrm_console.theme import FULL, SIXTEEN
from hrm_console.views.compare import words as compare_words
from hrm_console.views.compare.charts import compare_charts, look_after, next_choice, shown_runs
from hrm_console.views.compare.state import FILTERS, Chosen, chosen_runs, differing, listed_tests
from hrm_console.views.compare.words import (
    config_rows,
    family_counts,
    family_row,
    idle_keys,
    legend,
    nothing_rows,
    paired_line,
    paired_row,
    told_apart,
    verdict_rows,
)
from hrm_console.views.run.charts import Look
from hrm_core.runs.paired import PairedRuns, PairedTest
from hrm_core.runs.text import clean

HOSTILE = "\x1b]52;c;AA\x07[bold]\u202e\x9b31m" + "x" * 300


def line(name, **recipe):
    return RunLine(name, Path(name), "EXP-00", "finished", run_json={"recipe": recipe}, trivial=0.1)


def test_which_runs_are_compared():
    there = ("a", "b", "c")
    assert chosen_runs((), Session(marked=("b", "gone", "c"), baseline="a"), None, there).runs == ("a", "b", "c")
    assert chosen_runs((), Session(marked=("b", "c"), baseline="c"), None, there).runs == ("c", "b")
    assert chosen_runs((), Session(baseline="a"), "c", there).runs == ("a", "c")
    assert chosen_runs((), Session(marked=("a",)), "a", there).runs == ("a",)
    assert chosen_runs(("c", "a", "c"), Session(marked=("b",), baseline="b"), "b", there).runs == ("c", "a")
    assert not chosen_runs((), Session(), None, ()).is_pair


def test_turning_and_swapping():
    chosen = Chosen(("a", "b", "c"))
    assert (chosen.baseline, chosen.other) == ("a", "b")
    assert chosen.turned(1).other == "c" and chosen.turned(2).other == "b" and chosen.turned(-1).other == "c"
    assert chosen.turned(1).swapped() == Chosen(("c", "b", "a"), 2)
    assert Chosen(("a",)).turned(1) == Chosen(("a",)) and Chosen().swapped() == Chosen()
    assert Chosen().other == "" and Chosen(("a",)).other == ""


def test_settings_that_differ_with_what_only_one_has():
    lines = [
        line("a", experiment="EXP-00", model={"hidden": 64, "list": [1, 2]}, swa=None),
        line("b", experiment="EXP-01", model={"hidden": 64, "list": [1, 3]}, swa={"share": 0.5}),
    ]
    assert differing(lines) == [
        ("model.list", ("[1, 2]", "[1, 3]")),
        ("swa", ("none", "–")),
        ("swa.share", ("–", "0.5")),
    ]
    assert differing([line("a"), line("b")]) == [] and differing([]) == []


def text_of(rows):
    return "\n".join(row.plain for row in rows)


def test_the_table_keeps_the_baseline_and_the_run_against_it_where_room_is_short():
    lines = [line(name, model={"hidden": value}) for name, value in (("aa", 1), ("bb", 2), ("cc", 3), ("dd", 1))]
    narrow = text_of(config_rows(differing(lines), lines, 2, FULL, 44))
    assert "1 aa" in narrow and "3 cc" in narrow and "4 dd" not in narrow and "2 more runs do not fit" in narrow
    wide = text_of(config_rows(differing(lines), lines, 1, FULL, 120))
    assert [name in wide for name in ("1 aa", "2 bb", "3 cc", "4 dd")] == [True] * 4 and "fit here" not in wide
    assert "differ in nothing" in text_of(config_rows([], lines, 1, FULL, 80))


def test_names_are_told_apart_by_what_they_do_not_share():
    names = ["cpu-arms-EXP-00-s1", "cpu-arms-EXP-01-s1"]
    assert told_apart(names, 30) == names
    assert told_apart(names, 8) == ["…00-s1", "…01-s1"]
    assert told_apart(["a" * 40], 9) == ["aaaa…aaaa"] and told_apart([], 9) == []


@pytest.mark.parametrize("palette", [FULL, SIXTEEN])
@pytest.mark.parametrize("width", [1, 9, 40, 80, 200])
def test_nothing_is_wider_than_its_room_or_arrives_raw(width, palette):
    tests = (PairedTest(HOSTILE, (HOSTILE,), True, False), PairedTest("b:0", (), False, True))
    paired = PairedRuns((HOSTILE, "b"), (10, 20), tests, 3)
    lines = [line(HOSTILE, **{"key" + HOSTILE: HOSTILE}), line("b", other=1)]
    chosen = Chosen((HOSTILE, "b"))
    rows = [
        legend(chosen, {HOSTILE: 75}, palette, width),
        *config_rows(differing(lines), lines, 1, palette, width),
        paired_line(paired, lines[0], "", palette, width),
        paired_line(None, None, HOSTILE, palette, width),
        *(family_row(row, palette, width) for row in family_counts(paired)),
        *(paired_row(test, palette, width) for test in tests),
    ]
    prose = [
        *nothing_rows(True, palette, max(12, width)),
        *verdict_rows(Answer(False, None, HOSTILE), palette, max(12, width)),
        *verdict_rows(
            Answer(True, {"control": {"name": HOSTILE}, "arms": [{"name": HOSTILE, "verdict": {"text": HOSTILE}}],
                          "notes": [HOSTILE, 5], "tests": {"split": HOSTILE}}, ""), palette, max(12, width),
        ),
    ]  # fmt: skip
    for row in (*rows, *prose):
        assert clean(row.plain) == row.plain
    assert [row.plain for row in rows if row.cell_len > width] == []


def test_verdicts_are_said_word_for_word_and_every_score_beside_its_trivial_one():
    score = {"mean": 0.116, "trivial": {"name": "copy", "value": 0.009}}
    arm = {
        "name": "EXP-05", "seeds": [1, 2, 3], "score": score, "cannot_act": "it could not act", "plan_rule": None,
        "verdict": {"call": "better", "text": "better: +2.1 points"},
        "equal": [{"by": "steps", "at": 1000, "control": 0.1, "arm": 0.116}, {"by": "seconds", "at": None}],
    }  # fmt: skip
    document = {"control": {"name": "EXP-00", "seeds": [1], "score": score}, "arms": [arm], "notes": [], "tests": {}}
    said = text_of(verdict_rows(Answer(True, document, ""), FULL, 100)).replace("\xa0", " ")
    assert "→ better: +2.1 points" in said and "it could not act" in said
    assert "control EXP-00  exact 11.6 %  best trivial 0.9 %  1 seed" in said
    assert "arm EXP-05  exact 11.6 %  best trivial 0.9 %  3 seeds" in said
    assert "at equal steps (1k): exact 11.6 % against 10.0 % (trivial 0.9 %)" in said and "training time" not in said
    assert "asking hrm compare" in text_of(verdict_rows(None, FULL, 80))
    for strange in (None, 5, [], {"arms": "x"}, {"arms": [None, {"equal": [None]}], "control": []}):
        verdict_rows(Answer(True, strange, ""), FULL, 80)


def test_lists_by_outcome_and_family():
    tests = (
        PairedTest("a:0", ("crop",), True, False),
        PairedTest("b:0", ("crop", "fill"), False, True),
        PairedTest("c:0", (), True, True),
        PairedTest("d:0", ("fill",), False, False),
    )
    paired = PairedRuns(("x", "y"), (1, 2), tests)
    found = {kind: [test.name for test in listed_tests(paired, kind, "")] for kind in FILTERS}
    assert found == {
        "changed": ["b:0", "a:0"], "all": ["b:0", "a:0", "c:0", "d:0"], "gained": ["b:0"], "lost": ["a:0"],
        "both": ["c:0"], "neither": ["d:0"],
    }  # fmt: skip
    assert [test.name for test in listed_tests(paired, "all", "fill")] == ["b:0", "d:0"]
    assert [test.name for test in listed_tests(paired, "all", "no family")] == ["c:0"]
    assert listed_tests(None, "all", "") == []
    assert [row.family for row in family_counts(paired)] == ["", "fill", "crop", "no family"]


def test_keys_that_do_nothing_are_not_offered():
    two, three = Chosen(("a", "b")), Chosen(("a", "b", "c"))
    assert "compare_other" in idle_keys(two, "") and "compare_other" not in idle_keys(three, "")
    assert "compare_filter" in idle_keys(three, "curves") and "compare_axis" not in idle_keys(three, "curves")
    assert "compare_axis" in idle_keys(three, "tests") and "compare_filter" not in idle_keys(three, "tests")


def test_curves_without_rows_and_looks_without_curves():
    assert compare_charts([], Look(), "cells") == []
    runs = shown_runs(Chosen(("a", "b")), {"a": Feed("a")}, {"a": 75, "b": 214})
    assert [(run.run_id, run.label, run.color) for run in runs] == [("a", "1", 75)]
    assert len(compare_charts(runs, Look(), "cells")) == 4 and len(compare_charts(runs, Look(), "none")) == 3
    for what in ("axis", "in", "out", "whole", "left", "far right"):
        assert look_after(what, Look(), [Feed("a")], 40) == Look() and look_after(what, Look(), [], 40) == Look()
    assert next_choice([], "cells", 1) == "cells"


def test_a_score_that_is_not_there_yet_is_said_in_words():
    arm = {
        "verdict": {"call": "cannot tell", "text": "cannot tell"},
        "score": {"mean": 0.1, "trivial": {"value": 0.0}},
        "equal": [{"by": "segments", "at": 480, "arm": None, "control": 0.05}],
    }
    text = " ".join(row.plain.strip() for row in compare_words._arm_rows(arm, FULL, 120)).replace("\xa0", " ")
    assert "exact no validation yet against 5.0 % (trivial 0.0 %)" in text and "·" not in text.partition("at equal")[2]

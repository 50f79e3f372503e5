"""Halting, families, values and settings in words, against rows as the trainer writes them and against broken ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hostile_text import ALL, dangerous

from hrm_console.charts.chart import Chart, Guide, Line
from hrm_console.charts.series import Series
from hrm_console.rows.listing import Alarm, RunLine
from hrm_console.screens.run_bars import PAGES, banner_text, tabs_text
from hrm_console.theme import FULL
from hrm_console.views.run.config import Differences, by_source, config_rows, flat
from hrm_console.views.run.describe import hint
from hrm_console.views.run.differences import differences_of
from hrm_console.views.run.words import bar, families_rows, halting_rows, values_rows
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from tests.console.conftest import evaluation_row

HALTING = {
    "halting": {"histogram": [10, 1, 0, 1], "never": 0.8260869565217391},
    "pairs": 69,
    "halting_analysis": {
        "entropy": [0.28, 0.31],
        "not_measurable": None,
        "depth_error": {"correlation": 0.48, "by_depth": [[1, 10, 0.4], [5, 57, 0.02], ["x"], None]},
        "families": {"fill": 4.5},
        "saved": {"threshold": 0.0, "segments": 3.5, "share": 0.125, "exact": 0.07, "exact_without": 0.08},
        "equal_accuracy": None,
    },
    "calibration": {"ece": 0.15, "brier": 0.09, "auroc": 0.89, "base_rate": 0.07},
    "families": {
        "fill": {"pairs": 6, "exact": 0.0, "low": 0.0, "high": 0.39},
        "recolor": {"pairs": 12, "exact": 0.25, "low": 0.09, "high": 0.53, "trivial": {"pad": 0.0, "copy": 0.125}},
        "broken": 5,
    },
    "plan_families": {"color-swap": {"pairs": 5, "exact": 0.4, "low": 0.12, "high": 0.77}},
}
ROW = evaluation_row(1000) | HALTING
BROKEN = [
    None,
    {},
    {"halting": 5, "halting_analysis": [], "families": "x", "pairs": "y"},
    {"halting": {"histogram": [None, "a", {}], "never": "b"}},
    {"halting": {"histogram": [0, 0], "never": 1.0}, "pairs": 0, "halting_analysis": {"entropy": [None]}},
    {"halting": {"histogram": [1e300, -5]}, "families": {ALL: {"exact": ALL, "pairs": ALL, "low": {}}}},
    {"halting": {"histogram": [1]}, "halting_analysis": {"not_measurable": ALL}, "kind": ALL},
]


def text_of(rows):
    return " ".join(" ".join(row.plain for row in rows).split())


def test_halting_says_where_how_many_and_what_it_would_save():
    text = text_of(halting_rows(ROW, FULL, 100))
    assert "10 14.5 %" in text and "never" in text and "57 82.6 %" in text
    assert "0.280 nats in segment 1, 0.310 in segment 2" in text
    assert "correlation +0.48, later halting goes with errors" in text
    assert "segment 1 40.0 % of 10, never 2.0 % of 57 (best trivial 0.9 %)" in text
    assert "3.50 of 4 segments, 12.5 % saved, exact 7.0 % against 8.0 % with all (best trivial 0.9 %)" in text
    assert "AUROC 0.890" in text


def test_families_are_sorted_with_intervals_and_trivial_values_and_none_is_made_up():
    rows = [row.plain for row in families_rows(ROW, FULL, 100)]
    text = " ".join(" ".join(rows).split())
    assert text.index("recolor") < text.index("fill") and "color-swap" in text
    assert "12 25.0 12.5 9.0 to 53.0" in text and "4.50" in text
    assert "6 0.0 · 0.0 to 39.0" in text, "a family without the value says so"
    assert "Best trivial exact on all these tests: 0.9 %." in text
    earlier = families_rows(evaluation_row(1000) | {"families": {"fill": HALTING["families"]["fill"]}}, FULL, 100)
    assert "0.9 %; by family this row of an earlier version has none." in text_of(earlier)
    assert "not in this row" in text_of(families_rows({"families": HALTING["families"]}, FULL, 100))


@pytest.mark.parametrize("width", [0, 3, 20, 50, 200])
@pytest.mark.parametrize("row", [ROW, *BROKEN])
def test_no_row_and_no_width_breaks_the_panes(row, width):
    for rows in (halting_rows(row, FULL, width), families_rows(row, FULL, width)):
        assert rows and not dangerous("".join(line.plain for line in rows))
        assert width < 50 or all(line.cell_len <= width for line in rows)


def test_bars_are_as_long_as_their_values_and_nothing_above_zero_is_invisible():
    assert bar(10, 10, 5) == "█████" and bar(0, 10, 5) == "" and bar(1e-9, 10, 5) == "▏" and bar(5, 0, 5) == ""
    assert [len(bar(value, 8, 8)) for value in (1, 4, 8)] == [1, 4, 8]


@pytest.mark.parametrize("width", [10, 30, 56, 150])
def test_the_values_pane_holds_every_series_whatever_its_width(width):
    series = Series()
    series.append(10, 0.5)
    names = [f"line{number}" for number in range(6)]
    chart = Chart("a title \x1b[2J", [Line(series, name) for name in names], guides=[Guide(0.25, "trivial")])
    rows = values_rows([chart], "at step 10", FULL, width)
    text = " ".join(row.plain for row in rows)
    assert not dangerous(text) and all(row.cell_len <= width for row in rows)
    assert width < 30 or (all(name in text for name in names) and "trivial" in text and text.count("0.5") == 6)


def line_of(recipe, sources, **more):
    return RunLine("one", Path("one"), "EXP-04", "finished", run_json={"recipe": recipe, "sources": sources, **more})


def test_settings_that_differ_come_first_by_who_set_them():
    recipe = {"experiment": "EXP-04", "model": {"hidden": 128, "heads": 4}, "training": {"seed": 7, "batch": 64}}
    sources = {
        "model.hidden": "preset cpu",
        "training.seed": "override",
        "model.heads": "EXP-00",
        "training.batch": "x",
    }
    found = Differences("", (("training.seed", "0", "7"), ("model.hidden", "256", "128"), ("experiment", "a", "b")))
    rows = [row.plain for row in config_rows(line_of(recipe, sources), found, FULL, 100)]
    text = "\n".join(rows)
    order = [
        "by overrides (1)",
        "training.seed",
        "by preset cpu (1)",
        "model.hidden",
        "as in EXP-00 (2)",
        "model.heads",
    ]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert next(row for row in rows if "model.hidden" in row).split() == ["model.hidden", "128", "EXP-00:", "256"]


def test_a_recipe_that_no_longer_parses_is_shown_as_written():
    recipe, sources = {"model": {"hidden": 128, "old_key": None}}, {"model.hidden": "override"}
    found = differences_of("model.old_key = 5")
    assert "old_key" in found.problem
    text = text_of(config_rows(line_of(recipe, sources), found, FULL, 100))
    assert "As written, unread:" in text and "by overrides (1) model.hidden 128" in text and "old_key none" in text


def test_the_difference_from_exp_00_is_the_recipes_own():
    found = differences_of(to_toml(build_recipe("EXP-04", ("training.seed=7",)).recipe))
    changes = {key: (before, after) for key, before, after in found.changes}
    assert changes["training.seed"][1] == "7" and "techniques.gradient_noise.kind" in changes
    assert differences_of(to_toml(build_recipe("EXP-00").recipe)) == Differences()
    assert differences_of("\x00").problem and differences_of("a = 5").problem


def test_hostile_settings_and_empty_ones():
    line = line_of(
        {ALL: {ALL: ALL}, "deep": json.loads("[" * 50 + "]" * 50)}, {ALL: ALL}, command=[ALL, ALL], device=ALL
    )
    for width in (5, 40, 200):
        rows = config_rows(line, Differences(ALL, ()), FULL, width)
        assert not dangerous("".join(row.plain for row in rows))
    assert "no recipe" in text_of(config_rows(line_of({}, {}), None, FULL, 80))
    deep = {"a": 1}
    for _ in range(500):
        deep = {"b": deep}
    assert len(list(flat(deep))) == 1
    assert by_source([], {}) == []


def test_the_pages_fit_the_narrowest_usual_terminal_and_say_what_is_read():
    line = RunLine("one", Path("one"), "EXP-00", "running", alarms=(Alarm("plateau", f"No gain. {ALL}", ""),))
    for width in (0, 10, 80, 200):
        text = tabs_text("log", line, "1-2/9", None, FULL, width)
        assert text.cell_len == width
        end = "1-2/9 []" if width > 80 else "1-2/9"
        assert width < 80 or (all(name in text.plain for name in PAGES) and text.plain.endswith(end))
        assert not dangerous(banner_text(line, FULL, width).plain)
    calm = tabs_text("log", None, "1-2/9", None, FULL, 80).plain
    assert all(name in calm for name in PAGES)
    assert "alarms ▲1" in tabs_text("log", line, "", 1.0, FULL, 200).plain
    assert tabs_text("log", None, "1-2/9", 0.404, FULL, 200).plain.endswith("40 % read")
    assert banner_text(None, FULL, 80).plain == "" and "plateau" in banner_text(line, FULL, 80).plain


def test_no_key_is_offered_where_only_room_on_the_disk_lets_a_run_go_on():
    line = RunLine("one", Path("one"), "EXP-00", "paused")
    assert "Press p" in hint(line)
    assert hint(replace(line, alarms=(Alarm("disk_full", "No space.", "Make room."),))) == ""

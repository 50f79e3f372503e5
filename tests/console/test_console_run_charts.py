"""Which charts a run has, what is in them, and how runs are laid over one another; against rows made up here."""

from __future__ import annotations

import pytest

from hrm_console.charts.chart import PALETTE, entries, find_limits, shown_value
from hrm_console.charts.series import Series
from hrm_console.charts.view import View
from hrm_console.rows.feed import Batch, Feed
from hrm_console.screens.run_pick import grouped, pick_rows
from hrm_console.theme import FULL
from hrm_console.views.run.charts import (
    DEFAULT,
    MOST_RUNS,
    Shown,
    catalogue,
    charts_of,
    chosen_kinds,
    colors_of,
    run_charts,
    short_names,
)
from hrm_console.views.run.look import Look
from tests.console.conftest import evaluation_row, metrics_row


def feed_of(name="one", steps=200, more=None, validations=(100, 200)):
    feed = Feed(name)
    rows = [metrics_row(step) | (more or {}) for step in range(10, steps + 1, 10)]
    both = [evaluation_row(step, kind, exact=0.2) for step in validations for kind in ("fast", "full")]
    feed.take(Batch(name, metrics=rows, evaluations=both))
    return feed


def by_title(charts, title):
    return next(chart for chart in charts if chart.title == title)


def test_the_usual_charts_are_nine_and_those_a_run_has_no_rows_for_are_left_out():
    assert len(DEFAULT) == 9
    titles = [chart.title for chart in run_charts(feed_of(), names=None)]
    assert titles == ["loss", "exact, validation", "cell accuracy", "learning rate", "gradient norm", "segments/s"]
    with_power = feed_of(more={"power_w": 70.0, "memory_gib": 7.0, "temperature_c": 60.0})
    assert [chart.title for chart in run_charts(with_power, names=None)][-3:] == ["memory", "power", "temperature"]
    assert len(run_charts(Feed("empty"), names=None)) == 9


def test_every_quality_has_its_trivial_value_as_a_line():
    charts = run_charts(feed_of())
    assert [guide.y for guide in by_title(charts, "exact, validation").guides] == [0.009]
    assert [guide.y for guide in by_title(charts, "cell accuracy").guides] == [0.61]
    assert not by_title(charts, "learning rate").guides


def test_series_that_nobody_named_can_be_chosen():
    feed = feed_of(more={"gradient_noise_sigma": 0.1, "crc": 5})
    names = {kind.name: kind for kind in catalogue([feed])}
    assert names["t.gradient_noise_sigma"].title == "gradient noise sigma" and "t.crc" not in names
    assert names["v.input_sensitivity"].unit == "%"
    assert not [name for name in names if "without_duplicates" in name or name in ("v.crc", "v.score")]
    chart = run_charts(feed, names=("t.gradient_noise_sigma",))[0]
    assert chart.lines[0].series.last == (200, 0.1)
    assert [kind.name for kind in chosen_kinds(("nothing",), [feed])] == ["loss"]


def test_all_charts_share_their_x_axis():
    charts = run_charts(feed_of(), Look(span=50.0, end=150.0, cursor=100.0))
    views = {(chart.view.x_low, chart.view.x_high, chart.view.cursor) for chart in charts}
    assert views == {(100.0, 150.0, 100.0)}
    whole = {(find_limits(chart).x_low, find_limits(chart).x_high) for chart in run_charts(feed_of(), names=None)}
    assert whole == {(0.0, 200.0)}


def test_log_scale_and_smoothing_only_where_they_make_sense():
    charts = run_charts(feed_of(), Look(log_y=True, smoothing=0.9))
    views = {chart.title: chart.view for chart in charts}
    assert views["loss"].log_y and views["gradient norm"].log_y and not views["learning rate"].log_y
    assert views["loss"].smoothing and not views["exact, validation"].smoothing


def test_runs_lie_over_one_another_the_main_one_on_top():
    ids = [f"run-{number}" for number in range(MOST_RUNS)]
    colors = colors_of(ids)
    runs = [Shown(name, feed_of(name), str(at), colors[name]) for at, name in enumerate(ids, 1)]
    loss = by_title(charts_of(runs, Look(), chosen_kinds(("loss", "exact"), [runs[0].feed])), "loss")
    assert [line.label for line in loss.lines] == ["1", "1 full", *(str(number) for number in range(2, 9))]
    assert [line.top for line in loss.lines] == [True, True] + [False] * 7
    assert loss.lines[1].style == "points" and loss.lines[0].color == loss.lines[1].color
    exact = charts_of(runs, Look(), chosen_kinds(("exact",), [runs[0].feed]))[0]
    assert [entry.label for entry in entries(exact)][:3] == ["trivial", "1", "2"]
    named = charts_of(runs[:2], Look(), chosen_kinds(("loss",), [runs[0].feed]), full_names=True)[0]
    assert [line.label for line in named.lines] == ["run-0 train", "run-0 full", "run-1 train"]


def test_no_two_runs_have_a_colour_and_a_run_keeps_its_own():
    ids = [f"cpu-arms-EXP-0{number}-s1" for number in range(12)]
    colors = colors_of(ids)
    assert len(colors) == len(set(colors.values())) == MOST_RUNS == len(PALETTE)
    assert all(colors_of([name])[name] == colors_of([name, "another"])[name] for name in ids)


@pytest.mark.parametrize(("x", "found"), [(100, 1.0), (140, 2.0), (210, 2.0), (301, None), (0, 1.0), (-1, None)])
def test_a_curve_says_nothing_where_it_is_not(x, found):
    series = Series()
    for step, y in ((100, 1.0), (200, 2.0)):
        series.append(step, y)
    assert shown_value(series, View(cursor=x)) == (1.0 if x == 140 else found)


def test_the_list_of_charts_keeps_groups_together_and_marks_the_chosen():
    kinds = grouped(catalogue([feed_of()]))
    groups = [kind.group for kind in kinds]
    assert all(groups.index(group) + groups.count(group) > at for at, group in enumerate(groups))
    rows = pick_rows(kinds, {"loss"}, FULL, 70)
    assert sum(row.plain.startswith(" [x] ") for row in rows) == 1
    assert sum(group in "\n".join(row.plain for row in rows) for group in set(groups)) == len(set(groups))


def test_names_lose_what_they_all_begin_with():
    assert short_names(["cpu-arms-EXP-00-s1", "cpu-arms-EXP-01-s1"]) == ["00-s1", "01-s1"]
    assert short_names(["one", "other"]) == ["one", "other"] and short_names(["a-b"]) == ["a-b"]
    assert short_names(["a-", "a-b"]) == ["a-", "b"] and short_names([]) == []

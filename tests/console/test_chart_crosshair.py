"""The crosshair over a painted chart against the chart painted anew with it, and what is said to have changed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from textual.geometry import Region

from hrm_console.charts.braille import render
from hrm_console.charts.chart import Chart, Guide, Line, Mark
from hrm_console.charts.series import Series
from hrm_console.charts.view import View
from hrm_console.widgets import crosshair
from hrm_console.widgets.crosshair import Crosshair


def chart_of(points=200, **view):
    series = Series("loss")
    for step in range(points):
        series.append(step, 1.5 + math.sin(step / 20))
    return Chart("loss", [Line(series, "train")], [Guide(1.0, "trivial")], [Mark(50, "best")], View(**view), "")


def text_of(rows):
    return ["".join(text for text, _ in row) for row in rows]


@pytest.mark.parametrize("markers", ["braille", "blocks", "ascii"])
@pytest.mark.parametrize("size", [(60, 14), (80, 8), (20, 4), (3, 2), (1, 1), (0, 5)])
def test_without_a_cursor_it_is_the_renderer(markers, size):
    chart = chart_of()
    rows, moved = Crosshair().draw(chart, *size, markers)
    assert rows == render(chart, *size, markers) and moved == []


@pytest.mark.parametrize("markers", ["braille", "blocks", "ascii"])
@pytest.mark.parametrize("cursor", [0.0, 3.0, 77.0, 120.5, 199.0])
def test_with_a_cursor_it_differs_from_the_renderer_only_where_something_else_stands(markers, cursor):
    chart = chart_of(cursor=cursor)
    rows, _ = Crosshair().draw(chart, 60, 14, markers)
    still = render(replace(chart, view=View()), 60, 14, markers)
    for ours, theirs, bare in zip(
        text_of(rows)[1:], text_of(render(chart, 60, 14, markers))[1:], text_of(still)[1:], strict=True
    ):
        for a, b, c in zip(ours, theirs, bare, strict=True):
            assert a == b or c != " "  # where a guide or a mark is, the renderer paints the crosshair over it
    assert text_of(rows)[0] == text_of(render(chart, 60, 14, markers))[0]


def test_a_validation_whose_place_on_the_axis_has_changed_is_painted_there():
    series = Series("full")
    series.append(50, 1.0)
    series.append(100, 2.0)
    chart = Chart("loss", [Line(series, "full", style="points")], view=View(x_low=0.0, x_high=10.0, x_kind="time"))
    drawer = Crosshair()
    assert "no data yet" in "".join(text_of(drawer.draw(chart, 60, 14, "braille")[0]))
    for times in ([1.0, 2.0], [5.0, 8.0]):
        series.put_axes({"time": times})
        rows, _ = drawer.draw(chart, 60, 14, "braille")
        assert rows == render(chart, 60, 14, "braille")


def test_moving_paints_the_curves_once_and_says_where_it_was_and_is(monkeypatch):
    painted = []
    body = crosshair.body
    monkeypatch.setattr(crosshair, "body", lambda *given: painted.append(1) or body(*given))
    drawer, chart = Crosshair(), chart_of(cursor=20.0)
    before, moved = drawer.draw(chart, 60, 14, "braille")
    assert moved == []
    for cursor in (60.0, 61.0, 150.0):
        after, moved = drawer.draw(replace(chart, view=View(cursor=cursor)), 60, 14, "braille")
        assert len(painted) == 1 and moved
        changed = {
            (x, y)
            for y, (a, b) in enumerate(zip(text_of(before), text_of(after), strict=True))
            for x in range(60)
            if a[x] != b[x]
        }
        assert changed and all(any(region.contains(*cell) for region in moved) for cell in changed)
        assert sum(region.area for region in moved) <= 60 + 2 * 13
        before = after
    _, moved = drawer.draw(replace(chart, view=View()), 60, 14, "braille")
    assert len(painted) == 1 and Region(0, 0, 60, 1) in moved


@pytest.mark.parametrize(
    "change",
    [
        lambda chart: chart.lines[0].series.append(200, 9.0),
        lambda chart: chart.guides.append(Guide(0.7, "other")),
        lambda chart: chart.marks.append(Mark(99, "stage")),
        lambda chart: setattr(chart, "view", View(cursor=61.0, log_y=True)),
        lambda chart: setattr(chart, "lines", [Line(chart.lines[0].series, "train", 214)]),
        lambda chart: chart.lines[0].series.append(150, 9.0),  # cut, and fewer
    ],
)
def test_whatever_else_changes_is_painted(change):
    drawer, chart = Crosshair(), chart_of(cursor=60.0)
    drawer.draw(chart, 60, 14, "braille")
    change(chart)
    rows, moved = drawer.draw(chart, 60, 14, "braille")
    fresh, _ = Crosshair().draw(chart, 60, 14, "braille")
    assert moved == [] and rows == fresh


def test_another_size_and_other_markers_are_painted():
    drawer, chart = Crosshair(), chart_of(cursor=60.0)
    drawer.draw(chart, 60, 14, "braille")
    for size, markers in (((61, 14), "braille"), ((61, 15), "braille"), ((61, 15), "ascii")):
        rows, moved = drawer.draw(chart, *size, markers)
        assert moved == [] and rows == Crosshair().draw(chart, *size, markers)[0]

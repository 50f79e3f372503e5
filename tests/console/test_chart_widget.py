"""The live widget in a running app: what it shows against the renderer, what it repaints against what changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App
from textual.geometry import Region, Size
from textual.widget import Widget

from hrm_console.charts.braille import render
from hrm_console.charts.chart import Chart, Line
from hrm_console.charts.series import Series
from hrm_console.charts.view import View
from hrm_console.widgets.chart import ChartWidget, changed_cells


class OneChart(App[None]):
    """A chart and nothing else."""

    CSS: ClassVar[str] = "ChartWidget { border: none; }"

    def __init__(self, chart: Chart | None) -> None:
        super().__init__()
        self.widget = ChartWidget(chart, id="chart")

    def compose(self) -> Iterator[Widget]:
        yield self.widget


def rising(num_points: int = 100) -> Chart:
    series = Series()
    for x in range(num_points):
        series.append(x, 1.0 + x % 2)
    return Chart("loss [b]not markup[/b]", [Line(series, "train")], view=View(x_low=0, x_high=1000, y_low=0, y_high=3))


def shown(widget: ChartWidget) -> list[str]:
    return [widget.render_line(y).text for y in range(widget.size.height)]


def expected(chart: Chart, width: int, height: int) -> list[str]:
    return ["".join(text for text, _ in row) for row in render(chart, width, height)]


def watch(widget: ChartWidget) -> list[tuple[Region, ...]]:
    """From now on the regions of every refresh; an empty tuple is the whole widget."""
    seen: list[tuple[Region, ...]] = []
    refresh = widget.refresh

    def watched(*regions: Region, **options: bool) -> Widget:
        seen.append(regions)
        return refresh(*regions, **options)

    widget.refresh = watched  # type: ignore[method-assign, assignment]
    return seen


async def test_it_shows_what_the_renderer_draws_in_its_size_and_follows_the_terminal() -> None:
    app = OneChart(rising())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert shown(app.widget) == expected(rising(), 80, 24)
        assert "[b]not markup[/b]" in shown(app.widget)[0]
        for width, height in ((200, 60), (10, 3), (40, 10)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            assert shown(app.widget) == expected(rising(), width, height)


async def test_only_changed_cells_are_repainted() -> None:
    chart = rising()
    app = OneChart(chart)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        seen = watch(app.widget)
        assert app.widget.update_chart() == 0
        assert seen == []
        before = shown(app.widget)
        chart.lines[0].series.append(130, 2.5)
        count = app.widget.update_chart()
        after = shown(app.widget)
        changed = [y for y in range(24) if before[y] != after[y]]
        assert count == len(changed)
        assert 0 < count < 10
        (regions,) = seen
        assert [region.y for region in regions] == changed
        for region in regions:
            assert region.height == 1
            assert before[region.y][: region.x] == after[region.y][: region.x]
            assert before[region.y][region.right :] == after[region.y][region.right :]
        assert sum(region.width for region in regions) < 60
        await pilot.pause()
        assert after == expected(chart, 80, 24)


async def test_the_screen_shows_the_new_cells_and_keeps_the_others() -> None:
    chart = rising()
    app = OneChart(chart)
    async with app.run_test(size=(60, 15)) as pilot:
        await pilot.pause()
        for step in range(110, 160, 7):
            chart.lines[0].series.append(step, step % 3)
            app.widget.update_chart()
            await pilot.pause()
            lines = [strip.text for strip in app.screen._compositor.render_strips()]
            assert lines == expected(chart, 60, 15)


async def test_another_view_repaints_the_whole_once() -> None:
    chart = rising()
    app = OneChart(chart)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        seen = watch(app.widget)
        chart.view = replace(chart.view, x_high=150, log_y=True, y_low=None, y_high=None)
        assert app.widget.update_chart(chart) > 12
        assert seen == [()]
        app.widget.markers = "ascii"
        app.widget.update_chart()
        assert all(line.isascii() for line in shown(app.widget))


async def test_without_a_chart_it_is_blank_and_one_can_come_later() -> None:
    app = OneChart(None)
    assert app.widget.update_chart() == 0
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        assert shown(app.widget) == [" " * 40] * 10
        assert app.widget.focusable
        assert app.widget.update_chart(rising()) == 10
        await pilot.press("tab")
        assert shown(app.widget) == expected(rising(), 40, 10)


async def test_a_border_leaves_less_room_and_regions_follow_it() -> None:
    chart = rising()
    app = OneChart(chart)
    async with app.run_test(size=(60, 15)) as pilot:
        app.widget.styles.border = ("solid", "white")
        await pilot.pause()
        chart.lines[0].series.append(140, 2.9)
        app.widget.update_chart()
        await pilot.pause()
        inner = [strip.text[1:-1] for strip in app.screen._compositor.render_strips()][1:-1]
        assert inner == expected(chart, 58, 13)


@pytest.mark.parametrize("width", [30, 90])
async def test_rows_of_another_size_fill_the_widget_and_no_more(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a layout and the drawing after it: nothing of a chart may stand in what lies beside it."""
    app = OneChart(rising())
    async with app.run_test(size=(60, 15)) as pilot:
        await pilot.pause()
        before = shown(app.widget)
        monkeypatch.setattr(type(app.widget), "size", property(lambda self: Size(width, 15)))
        strips = app.widget.render_lines(Region(0, 0, width, 15))
        assert {strip.cell_length for strip in strips} == {width}
        assert {sum(len(segment.text) for segment in strip) for strip in strips} == {width}
        assert [strip.text for strip in strips] == [f"{row[:width]:<{width}}" for row in before]


@given(st.text("ab ", min_size=5, max_size=5), st.text("ab ", min_size=5, max_size=5), st.integers(0, 5))
def test_changed_cells_is_the_tightest_stretch(old: str, new: str, cut: int) -> None:
    start, stop = changed_cells([(old, "")], [(new[:cut], ""), (new[cut:], "")])
    assert old[:start] == new[:start]
    assert old[stop:] == new[stop:]
    assert (start == stop) == (old == new)
    assert start == stop or (old[start] != new[start] and old[stop - 1] != new[stop - 1])


def test_a_change_of_colour_alone_is_a_change() -> None:
    assert changed_cells([("abc", "")], [("a", ""), ("b", "bold"), ("c", "")]) == (1, 2)
    assert changed_cells([("a  ", "")], [("a", ""), ("  ", "bold")]) == (0, 0)

"""Small drawings against what they must look like, exactly, and the promises of render: size, styles, never failing."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm_console.charts.braille import Markers, Row, render
from hrm_console.charts.chart import FAINT, PALETTE, Chart, Guide, Line, Mark, stable_color
from hrm_console.charts.series import Series
from hrm_console.charts.view import View

NAN, INF = float("nan"), float("inf")
UP = [(x, x) for x in range(11)]


def series_of(points: list[tuple[float, float | None]]) -> Series:
    series = Series()
    for x, y in points:
        series.append(x, y)
    return series


def chart_of(points: list[tuple[float, float | None]], title: str = "up", **more: object) -> Chart:
    return Chart(title, [Line(series_of(points))], **more)  # type: ignore[arg-type]


def text_of(rows: list[Row]) -> list[str]:
    return ["".join(text for text, _ in row) for row in rows]


def drawing(chart: Chart, width: int = 24, height: int = 7, markers: Markers = "braille") -> list[str]:
    return [line.rstrip() for line in text_of(render(chart, width, height, markers))]


def test_a_rising_line() -> None:
    assert drawing(chart_of(UP)) == [
        "up  ━ 10",
        "10┤                 ⣀⠤⠒⠉",
        "  │             ⣀⠤⠒⠉",
        " 5┤       ⢀⣀⡠⠤⠒⠉",
        "  │   ⢀⡠⠔⠊⠁",
        " 0┤⡠⠔⠊⠁",
        "   0         5        10",
    ]


def test_the_same_line_in_ascii_and_in_blocks() -> None:
    assert drawing(chart_of(UP), markers="ascii") == [
        "up  - 10",
        "10+                 ..''",
        "  |             ..''",
        " 5+       ..''''",
        "  |   ..''",
        " 0+.''",
        "   0         5        10",
    ]
    assert drawing(chart_of(UP), markers="blocks")[1:6] == [
        "10┤                 ▗▄▞▀",
        "  │             ▗▄▞▀▘",
        " 5┤       ▄▄▞▀▀▀▘",
        "  │   ▄▄▀▀",
        " 0┤▄▀▀",
    ]


def test_a_falling_line_is_the_rising_one_upside_down() -> None:
    """Rows of dots are compared, not cells: the bits of the left and the right column of each cell, top to bottom."""

    def dots(chart: Chart) -> list[list[bool]]:
        cells = [line[3:] for line in text_of(render(chart, 23, 6))[1:5]]
        bits = ((0, 3), (1, 4), (2, 5), (6, 7))
        code = [[0 if cell == " " else ord(cell) - 0x2800 for cell in line] for line in cells]
        return [[bool(cell >> bit & 1) for cell in line for bit in row] for line in code for row in bits]

    assert dots(chart_of([(0, 10), (10, 0)])) == dots(chart_of([(0, 0), (10, 10)]))[::-1]


def test_no_line_goes_over_a_gap_and_a_point_between_gaps_is_a_dot() -> None:
    points = [(0, 0), (1, 1), (2, None), (3, INF), (4, 2), (5, NAN), (6, 3), (10, 3)]
    assert drawing(chart_of(points, "gap")) == [
        "gap  ━ 3",
        " │             ⠉⠉⠉⠉⠉⠉⠉⠉⠉",
        "2┤        ⢠⡄",
        " │",
        " │ ⡠⠂",
        "0┤⡔⠁",
        "  0          5        10",
    ]


def test_a_single_point_is_seen() -> None:
    assert drawing(chart_of([(5, 3.0)], "one")) == [
        "one  ━ 3",
        "3.2┤",
        "   │",
        "3.0┤          ⣤",
        "   │",
        "2.8┤",
        "              5",
    ]
    assert "o" in drawing(chart_of([(5, 3.0)]), markers="ascii")[3]


def test_a_flat_line_has_room_above_and_below() -> None:
    rows = drawing(chart_of([(0, 3.0), (10, 3.0)]))
    assert rows[3] == "3.0┤" + "⠤" * 20
    assert all(not row[4:].strip() for row in (rows[1], rows[2], rows[4], rows[5]))


def test_zero_alone_is_drawn_at_the_bottom() -> None:
    assert "⣀" * 10 in drawing(chart_of([(0, 0), (10, 0)]))[5]


def test_points_are_not_joined() -> None:
    chart = chart_of([(0, 0), (5, 2), (10, 1)])
    chart.lines[0].style = "points"
    assert drawing(chart) == [
        "up  ● 1",
        "2┤           ⠛",
        " │",
        "1┤                     ⣤",
        " │",
        "0┤⣤",
        "  0          5        10",
    ]


def test_a_window_cuts_the_line_at_its_edges() -> None:
    assert drawing(chart_of(UP, view=View(x_low=2.5, x_high=7.5, y_low=4, y_high=6)))[1:6] == [
        "6┤             ⢀⠔⠁",
        " │            ⡠⠃",
        "5┤          ⢀⠎",
        " │        ⢀⠔⠁",
        "4┤      ⢀⠔⠁",
    ]


def test_no_data_yet() -> None:
    for chart in (Chart("empty"), chart_of([]), chart_of([(0, NAN), (1, None)])):
        assert drawing(chart)[3].strip() == "no data yet"
        assert len(drawing(chart)) == 7


def test_a_log_axis_has_decades_and_leaves_out_what_is_not_positive() -> None:
    rows = drawing(chart_of([(0, 1e-3), (5, 0), (6, -1), (10, 10)], view=View(log_y=True)), 30, 12)
    assert rows[0].startswith("up log")
    assert [row.split("┤")[0].strip() for row in rows if "┤" in row] == ["10", "1", "0.1", "0.01", "0.001"]
    assert sum(0x2800 < ord(char) < 0x2900 for row in rows for char in row) == 2
    assert drawing(chart_of([(0, -1.0), (1, -2.0)], view=View(log_y=True)))[0] == "up log  ━ -2"


def test_guides_and_marks_lie_behind_the_line_and_are_named() -> None:
    chart = chart_of(UP, guides=[Guide(5, "trivial")], marks=[Mark(4, "best", "★", 214)])
    rows = render(chart, 40, 14)
    lines = text_of(rows)
    assert "┈ trivial 5" in lines[0]
    assert lines[1].index("★best") == 3 + round(4 / 10 * 73) // 2
    assert lines[6].count("⠄") > 25
    assert ("★best ", "color(214)") in [(text[:6], style) for text, style in rows[1]]


def test_a_mark_without_a_place_on_the_time_axis_is_left_out() -> None:
    series = Series()
    for step in range(10):
        series.append(step, step, time=step * 60.0)
    chart = Chart(
        "t", [Line(series)], marks=[Mark(5, "A"), Mark(5, "B", axes={"time": 300.0})], view=View(x_kind="time")
    )
    lines = drawing(chart, 60, 8)
    assert "B" in lines[1]
    assert "A" not in lines[1]
    assert lines[-1].split() == ["0s", "2m", "4m", "6m", "8m"]


def test_the_cursor_reads_every_line_and_is_drawn() -> None:
    chart = chart_of(UP, view=View(cursor=4.2))
    lines = drawing(chart, 40, 8)
    assert lines[0] == "up at 4.2  ━ 4"
    assert sum("⢸" in line or "⡇" in line for line in lines) == 5


def test_a_smoothed_line_lies_over_its_fainter_raw_one() -> None:
    draw = random.Random(1)
    chart = chart_of([(x, 10 + draw.gauss(0, 3)) for x in range(300)], view=View(smoothing=0.95))
    styles = {style for row in render(chart, 80, 20) for _, style in row}
    assert {f"color({PALETTE[0]})", f"color({FAINT[PALETTE[0]]})"} <= styles
    assert "smoothed 0.95" in drawing(chart, 80, 20)[0]
    assert "━ ~" in drawing(chart, 80, 20)[0]


def test_the_later_line_owns_a_shared_cell() -> None:
    flat = [(0.0, 1.0), (10.0, 1.0)]
    chart = Chart("two", [Line(series_of(flat)), Line(series_of(flat))])
    painted = [span for row in render(chart, 30, 8)[1:-1] for span in row if "\u2800" < span[0][-1] < "\u2900"]
    assert {style for _, style in painted} == {f"color({PALETTE[1]})"}


def test_values_and_labels_stand_in_the_title_line_as_long_as_they_fit() -> None:
    chart = Chart("loss", [Line(series_of(UP), "train"), Line(series_of([(0, 0.25)]), "val")], [Guide(0.1, "floor")])
    assert drawing(chart, 60, 6)[0] == "loss  ━ train 10  ━ val 0.25  ┈ floor 0.1"
    assert drawing(chart, 34, 6)[0] == "loss  ━ train 10  ━ val 0.25 …"
    assert drawing(chart, 34, 12)[:2] == ["loss", "━ train 10  ━ val 0.25 …"]
    assert drawing(chart, 14, 6)[0] == "loss  ━ 10 …"
    assert drawing(chart, 6, 6)[0] == "loss …"
    assert drawing(chart, 3, 6)[0] == "lo…"


def test_percent_and_units() -> None:
    assert drawing(chart_of([(0, 0), (10, 0.12)], unit="%"), 24, 9)[0] == "up  ━ 12%"
    assert [
        row.split("┤")[0].strip() for row in drawing(chart_of([(0, 0), (10, 0.12)], unit="%"), 24, 9) if "┤" in row
    ] == [
        "10%",
        "5%",
        "0%",
    ]
    assert "━ 10GiB" in drawing(chart_of(UP, unit="GiB"))[0]


def test_names_that_would_break_the_screen_are_defused() -> None:
    chart = Chart(
        "a\x1b[2Jb\n漢\u202e", [Line(series_of(UP), "[red]\x07")], marks=[Mark(3, "\u0301\x9b", "\x1b")], unit="\t"
    )
    lines = text_of(render(chart, 60, 10))
    assert all(char.isprintable() for line in lines for char in line)
    assert lines[0].startswith("a?[2Jb???  ━ [red]? 10?")
    assert all(line.isascii() for line in text_of(render(chart_of(UP, "größe", unit="µ"), 60, 10, "ascii")))


@pytest.mark.parametrize("markers", ["braille", "blocks", "ascii"])
def test_every_size_gives_exactly_that_many_cells(markers: Markers) -> None:
    chart = Chart("a long title", [Line(series_of(UP), "one"), Line(series_of(UP[:1]), "two", style="points")])
    chart.guides, chart.marks = [Guide(5, "guide")], [Mark(3, "mark", "★"), Mark(10, "end")]
    for view in (View(), View(log_y=True), View(cursor=3, smoothing=0.5)):
        chart.view = view
        for width in (*range(28), 80, 200):
            for height in (*range(15), 60):
                rows = render(chart, width, height, markers)
                assert [sum(len(text) for text, _ in row) for row in rows] == [width] * height


NUMBERS = st.one_of(st.none(), st.floats(), st.integers(), st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324]))
LIMIT = st.one_of(st.none(), st.floats())


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=40),
    st.builds(
        View,
        x_low=LIMIT,
        x_high=LIMIT,
        y_low=LIMIT,
        y_high=LIMIT,
        log_y=st.booleans(),
        smoothing=st.floats(),
        x_kind=st.sampled_from(["step", "time", "nothing"]),
        cursor=LIMIT,
    ),
    st.floats(),
    st.sampled_from([(10, 3), (24, 7), (40, 14), (1, 30)]),
    st.sampled_from(["braille", "blocks", "ascii"]),
    st.sampled_from(["line", "points"]),
)
def test_no_data_and_no_view_breaks_it(points, view, y, size, markers, style) -> None:  # type: ignore[no-untyped-def]
    series = Series()
    for step, value, seconds in points:
        series.append(step, value, time=seconds)
    chart = Chart("any", [Line(series, "s", style=style)], [Guide(y, "g")], [Mark(y, "m")], view, unit="%")
    rows = render(chart, *size, markers)
    assert [sum(len(text) for text, _ in row) for row in rows] == [size[0]] * size[1]
    chart.view = replace(view, log_y=not view.log_y)
    assert len(render(chart, *size, markers)) == size[1]


def test_colours_are_stable_and_differ_on_16_colours() -> None:
    from rich.color import Color, ColorSystem
    from rich.style import Style

    plain = [Color.from_ansi(color).downgrade(ColorSystem.STANDARD).number for color in PALETTE]
    assert len(set(plain)) == len(PALETTE)
    assert not {0, 7, 8, 15} & set(plain)
    assert stable_color("EXP-00-20250101-120000-abcd") == stable_color("EXP-00-20250101-120000-abcd")
    assert {stable_color(str(number)) for number in range(100)} == set(PALETTE)
    assert set(FAINT) == set(PALETTE)
    for row in render(chart_of(UP, guides=[Guide(5, "g")]), 40, 14):
        for _, style in row:
            Style.parse(style)


def test_a_hundred_thousand_points_keep_their_spike() -> None:
    chart = chart_of([(x, math.sin(x / 9000) + (50 if x == 77_777 else 0)) for x in range(100_000)])
    lines = text_of(render(chart, 100, 30))
    columns = [x for x in range(100) if any(0x2800 < ord(line[x]) < 0x2900 for line in lines[2:10])]
    assert len(columns) == 1

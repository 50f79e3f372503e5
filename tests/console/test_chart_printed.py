"""Printed charts: hostile data against the exit code of a process, sizes and colours against what was asked."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest

from hrm_console.charts.chart import Chart, Guide, Line, Mark
from hrm_console.charts.printed import histogram, render_curves
from hrm_console.charts.series import Series
from hrm_console.charts.view import View

# A process of its own: plotext 6 aborts on a nan, which no try in this process would survive.
HOSTILE = """
    from hrm_console.charts.chart import Chart, Guide, Line, Mark
    from hrm_console.charts.printed import histogram, render_curves
    from hrm_console.charts.series import Series
    from hrm_console.charts.view import View

    nan, inf = float("nan"), float("inf")
    curves = {
        "empty": [], "nan": [nan] * 5, "inf": [inf, -inf, None], "one": [2.0], "flat": [3.0] * 9, "zeros": [0, 0, 0],
        "negative": [-1, -2, -3], "mixed": [1, nan, 2, inf, 0, -1, None, 5, 6], "huge": [1e308, -1e308, 5e-324],
        "tiny": [5e-324, 1e-320], "long": [i % 7 for i in range(20000)],
    }
    views = [
        View(), View(log_y=True), View(smoothing=0.9), View(x_kind="time"), View(x_low=2.5, x_high=2.6),
        View(y_low=nan, y_high=-inf, log_y=True), View(x_low=1e9, x_high=2e9, y_low=-5, y_high=-4),
    ]
    for name, ys in curves.items():
        series = Series()
        for x, y in enumerate(ys):
            series.append(x, y, time=nan if x == 1 else x * 0.5)
        for view in views:
            for style in ("line", "points"):
                guides = [Guide(nan), Guide(0), Guide(inf), Guide(2, "two")]
                marks = [Mark(nan), Mark(1, "m"), Mark(inf)]
                chart = Chart(name, [Line(series, name, style=style)], guides, marks, view, unit="%")
                for size in ((80, 12), (24, 7), (10, 3), (200, 60) if name == "mixed" else (30, 9), (0, 0)):
                    text = render_curves([chart], *size, color=False)
                    assert text.count("\\n") == size[1], (name, view, size)
                    assert all(len(line) <= size[0] for line in text.split("\\n")), (name, view, size)
    for counts in ([nan, inf, -inf], [0, 0, 0], [-1, -2, 3], [1e308, 5e-324, 1], [2, 2, 2]):
        assert histogram("h", ["a", "b", "c"], counts, 40).count("\\n") == 4
    assert histogram("h", ["a"], [1], 40).count("\\n") == 2
    assert histogram("h", [], [], 40).endswith("no data yet\\n")
    print("drawn")
"""


def test_no_data_breaks_the_process() -> None:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(HOSTILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "drawn\n", "")


def rising(num_points: int = 50) -> Series:
    series = Series()
    for x in range(num_points):
        series.append(x, x / 49)
    return series


def test_curves_come_with_title_values_axes_and_guides() -> None:
    chart = Chart("exact", [Line(rising(), "val")], [Guide(0.5, "trivial")], [Mark(25)], unit="%")
    lines = render_curves([chart], 60, 12, color=False).split("\n")
    assert lines[0] == "exact  ━ val 100%  ┈ trivial 50%"
    assert sum("·" in line for line in lines) == 1
    assert sum("┊" in line for line in lines) > 5
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == ["100%", "50%", "0%"]
    assert lines[-2].split()[0] == "0"
    dots = [next((x for x, char in enumerate(line) if "\u2800" < char < "\u2900"), 99) for line in lines[1:10]]
    assert dots == sorted(dots, reverse=True)


def test_a_log_axis_shows_decades() -> None:
    series = Series()
    for x in range(6):
        series.append(x, 10.0**-x)
    lines = render_curves([Chart("lr", [Line(series)], view=View(log_y=True))], 60, 16, color=False).split("\n")
    assert {"1", "0.1", "0.01"} <= {line.split("┤")[0].strip() for line in lines if "┤" in line}


def test_a_gap_stays_open() -> None:
    series = Series()
    for x in range(101):
        series.append(x, None if 40 < x < 60 else 1.0)
    lines = render_curves([Chart("gap", [Line(series)])], 100, 10, color=False).split("\n")
    line = next(line for line in lines[1:] if "\u2809" in line or "⠤" in line or "⠒" in line or "⣀" in line)
    assert re.search(r"[\u2801-\u28ff] {15,}[\u2801-\u28ff]", line)


def test_charts_come_below_one_another_and_sizes_hold() -> None:
    charts = [Chart("a", [Line(rising())]), Chart("b"), Chart("c", [Line(rising(1))])]
    lines = render_curves(charts, 50, 9, color=False).split("\n")
    assert [line[0] for line in (lines[0], lines[9], lines[18])] == ["a", "b", "c"]
    assert len(lines) == 28
    assert any("no data yet" in line for line in lines[9:18])
    assert render_curves([], 50, 9) == ""


@pytest.mark.parametrize("color", [True, False])
def test_colour_codes_come_only_when_asked_for(color: bool) -> None:
    chart = Chart("a\x1b]0;title\x07", [Line(rising(), "\x1b[31m")])
    text = render_curves([chart], 60, 10, color) + histogram("h\x1b", ["\x9b1"], [3], 40, color)
    left = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert ("\x1b[38;5;75m" in text) is color
    assert ("\x1b" in text) is color
    assert all(char.isprintable() or char == "\n" for char in left)


def test_nothing_of_one_drawing_is_left_in_the_next() -> None:
    chart = Chart("a", [Line(rising())])
    first = render_curves([chart], 60, 10)
    histogram("h", ["x", "y"], [1, 2], 40)
    assert render_curves([chart], 60, 10) == first


def test_a_histogram_has_a_bar_and_a_count_per_label_in_their_order() -> None:
    lines = histogram("halting", ["1", "2", "never"], [10, 0, 5], 40, color=False).split("\n")
    assert lines[0] == "halting"
    assert [line.split()[0].rstrip("█") for line in lines[1:4]] == ["1", "2", "never"]
    assert [line.split()[-1] for line in lines[1:4]] == ["10", "0", "5"]
    longest, none, half = (line.count("█") for line in lines[1:4])
    assert none == 0
    assert longest > 25
    assert abs(half - longest / 2) <= 1
    assert all(len(line) == 40 for line in lines[1:4])

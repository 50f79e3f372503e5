"""The printing renderer: charts and histograms as one string, drawn by plotext, for the command line and `--once`.

Charts room. (Charts, size) -> text with line ends, with or without colour codes; every line takes at most `width`
cells. plotext 5.3 keeps one global figure, so a lock is held and the figure cleared around each drawing; it aborts or
raises on values that are not finite, on flat limits and on logarithms of nothing, so it is given coordinates between 0
and 1 only, finite, with our own ticks: what the live renderer decides (limits, ticks, title, colours) is decided here
by the same functions. Imported inside the functions: plotext takes 130 ms. What is too small for plotext's frame is
drawn by the live renderer.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType

from hrm_console.charts.braille import render, title_rows, x_axis, y_axis
from hrm_console.charts.canvas import GLYPHS, Row
from hrm_console.charts.chart import PALETTE, QUIET, Chart, Limits, Line, find_limits, line_color, plain, shown_series
from hrm_console.charts.ticks import format_number

MIN_WIDTH, MIN_HEIGHT = 24, 7  # below, plotext has no room for its frame
FIGURE = threading.Lock()  # plotext has one figure for the whole process
Points = tuple[list[float], list[float]]


def render_curves(charts: Sequence[Chart], width: int, height: int, color: bool = True) -> str:
    """The charts below one another, each `height` rows of at most `width` cells. color=False: no colour codes.

    A smoothed chart shows the smoothed curves alone.
    """
    texts = [_rendered(chart, width, height, color) for chart in charts]
    return "".join(f"{line}\n" for text in texts for line in text)


def _rendered(chart: Chart, width: int, height: int, color: bool) -> list[str]:
    limits = find_limits(chart)
    if limits is None or width < MIN_WIDTH or height < MIN_HEIGHT:
        return [_coded(row, color) for row in render(chart, width, height)]
    title = title_rows(chart, width, height, GLYPHS["braille"])
    with FIGURE:
        body = _plotted(chart, limits, width, height - len(title))
    return [_coded(row, color) for row in title] + [_uncolored(line, color) for line in body]


def _plotted(chart: Chart, limits: Limits, width: int, height: int) -> list[str]:
    """The plot with its axes, `height` lines of plotext."""
    figure = _cleared_figure(width, height)
    figure.xlim(0, 1)
    figure.ylim(0, 1)
    figure.xaxes(True, False)
    figure.yaxes(True, False)
    _ticks(
        figure.yticks, ((_share_y(y, limits, chart.view.log_y), text) for y, text in y_axis(chart, limits, height - 2))
    )
    _ticks(figure.xticks, ((_share_x(x, limits), text) for x, text in x_axis(chart, limits, width - 8)))
    for guide in chart.guides:
        y = _share_y(guide.y, limits, chart.view.log_y)
        if 0 <= y <= 1:
            figure.plot([0, 1], [y, y], marker="·", color=QUIET if guide.color is None else guide.color)
    for mark in chart.marks:
        at = mark.at(chart.view.x_kind)
        x = -1 if at is None else _share_x(at, limits)
        if 0 <= x <= 1:
            figure.plot([x, x], [0, 1], marker="┊", color=QUIET if mark.color is None else mark.color)
    for index, line in enumerate(chart.lines):
        for xs, ys in _runs(chart, line, limits, 2 * width):
            if line.style == "points" or len(xs) == 1:
                figure.scatter(xs, ys, marker="•", color=line_color(chart, index))
            else:
                figure.plot(xs, ys, marker="braille", color=line_color(chart, index))
    text = str(figure.build())
    figure.clear_figure()
    return text.rstrip("\n").split("\n")


def _cleared_figure(width: int, height: int) -> ModuleType:
    """plotext's one figure, empty, of that size whatever the terminal's, on the terminal's own background."""
    import plotext

    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    plotext.theme("clear")
    figure: ModuleType = plotext
    return figure


def _ticks(setter: object, ticks: Iterable[tuple[float, str]]) -> None:
    found = [(place, text) for place, text in ticks if 0 <= place <= 1]
    assert callable(setter)
    setter([place for place, _ in found], [text for _, text in found])


def _share_x(x: float, limits: Limits) -> float:
    return _share(x, limits.x_low, limits.x_high)


def _share_y(y: float, limits: Limits, log_y: bool) -> float:
    """Where y lies between the limits, 0 to 1; -1 for what the axis cannot show."""
    if not log_y:
        return _share(y, limits.y_low, limits.y_high)
    return (
        _share(math.log10(y), math.log10(limits.y_low), math.log10(limits.y_high)) if y > 0 and y < math.inf else -1.0
    )


def _share(value: float, low: float, high: float) -> float:
    """The guard: between the limits a number from 0 to 1, everything else, nan and infinities included, -1."""
    if not low <= value <= high:
        return -1.0
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _runs(chart: Chart, line: Line, limits: Limits, count: int) -> Iterator[Points]:
    """Stretches of one curve without a gap, decimated to `count` columns, as shares of the plot."""
    xs: list[float] = []
    ys: list[float] = []
    for column in shown_series(chart, line).columns(limits.x_low, limits.x_high, count, chart.view.x_kind):
        values = dict.fromkeys((column.first, column.low, column.high, column.last))
        x = column.number / (count - 1)
        for value in values:
            y = _share_y(value, limits, chart.view.log_y)
            if y >= 0 and 0 <= x <= 1:
                xs.append(x)
                ys.append(y)
            elif xs:
                yield xs, ys
                xs, ys = [], []
    if xs:
        yield xs, ys


def histogram(title: str, labels: Sequence[str], counts: Sequence[float], width: int, color: bool = True) -> str:
    """Horizontal bars, one row per label, the count behind each; a count that is no number is shown as '-'.

    labels and counts: equally long. The title comes first, unless it is empty.
    """
    width = max(MIN_WIDTH, width)
    head = [_coded([(_cut(plain(title), width), "bold")], color)] if title else []
    if not labels:
        return "".join(f"{line}\n" for line in [*head, "no data yet"])
    names = [f"{_cut(plain(label), width // 3)} " for label in labels]
    values = [format_number(count) for count in counts]
    most = max(len(value) for value in values)
    sizes = [count if math.isfinite(count) and count > 0 else 0.0 for count in counts]
    with FIGURE:
        bars = _bars(names, [size / (max(sizes) or 1.0) for size in sizes], width - 1 - most)
    lines = [_uncolored(bar, color) + f" {value:>{most}}" for bar, value in zip(bars, values, strict=True)]
    return "".join(f"{line}\n" for line in head + lines)


def _bars(names: Sequence[str], shares: Sequence[float], width: int) -> list[str]:
    """One line of `width` cells per name; plotext counts from below, so the first comes last."""
    figure = _cleared_figure(width, len(names))
    places = list(range(len(names), 0, -1))
    figure.frame(False)
    figure.xlim(0, 1)
    figure.ylim(1, max(2, len(names)))
    figure.xticks([], [])
    figure.yticks(places, list(names))
    figure.bar(
        places, list(shares), orientation="horizontal", width=0.001, marker="sd", color=PALETTE[0], reset_ticks=False
    )
    text = str(figure.build())
    figure.clear_figure()
    return text.rstrip("\n").split("\n")


def _coded(row: Row, color: bool) -> str:
    """A row of the live renderer as text, its styles as codes that every terminal knows."""
    if not color:
        return "".join(text for text, _ in row).rstrip()
    codes = {"": "", "bold": "1"}
    return "".join(
        f"\x1b[{code}m{text}\x1b[0m" if (code := codes.get(style, f"38;5;{style[6:-1]}")) else text
        for text, style in row
    )


def _uncolored(line: str, color: bool) -> str:
    """plotext colours always; without colour its codes are taken out again."""
    if color:
        return line
    import plotext

    return str(plotext.uncolorize(line))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"

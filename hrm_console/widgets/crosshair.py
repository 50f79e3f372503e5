"""A chart whose crosshair moves: the curves are painted once, and only the crosshair's column is put over them.

(chart, size) -> rows, and the regions that differ if nothing but the crosshair has moved. Painting nine charts anew at
every key was most of what a key cost at 200x60.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

from textual.geometry import Region

from hrm_console.charts.braille import Body, body, only_ascii, title_rows
from hrm_console.charts.canvas import GLYPHS, Canvas, Markers, Row
from hrm_console.charts.chart import Chart

STYLE = "bold"


@final
class Crosshair:
    """Keeps a chart as it is without a crosshair, as long as it stays so."""

    def __init__(self) -> None:
        self.key: tuple[Any, ...] | None = None
        self.body = Body([])
        self.column: int | None = None
        self.title = 0

    def draw(self, chart: Chart, width: int, height: int, markers: Markers) -> tuple[list[Row], list[Region]]:
        """The chart's rows; and where it has changed, if only the crosshair has moved since the last call."""
        width, height = max(0, width), max(0, height)
        if not width or not height:
            self.key = None
            return [[] for _ in range(height)], []
        title = title_rows(chart, width, height, GLYPHS[markers])
        rest = height - len(title)
        key = key_of(chart, width, rest, markers)
        same = key == self.key and self.title == len(title)
        if not same:
            still = replace(chart, view=replace(chart.view, cursor=None))
            self.body = body(still, width, rest, markers) if rest > 0 else Body([])
        before, self.key, self.title = self.column, key, len(title)
        pixel = pixel_of(self.body, chart.view.cursor, markers)
        self.column = None if pixel is None else self.body.gutter + pixel // GLYPHS[markers].columns
        rows = title + (self.body.rows if pixel is None else crossed(self.body, pixel, markers))
        rows = [only_ascii(row) for row in rows] if markers == "ascii" else rows
        if not same or (before is None and self.column is None):
            return rows, []
        columns = {column for column in (before, self.column) if column is not None}
        regions = [Region(column, len(title), 1, self.body.plot_height) for column in sorted(columns)]
        return rows, [Region(0, 0, width, len(title)), *regions]


def key_of(chart: Chart, width: int, height: int, markers: Markers) -> tuple[Any, ...]:
    """What the picture hangs on besides the crosshair. Curves only grow, so their length and last point tell them;
    validations are put on other axes than the step again when rows of training come."""
    kind = chart.view.x_kind
    points = tuple((len(line.series), line.series.axis(kind)[-1:], line.series.ys[-1:]) for line in chart.lines)
    lines = tuple((line.series, line.color, line.style, line.top) for line in chart.lines)
    view = replace(chart.view, cursor=None)
    return lines, points, tuple(chart.guides), tuple(chart.marks), view, chart.unit, width, height, markers


def pixel_of(drawn: Body, cursor: float | None, markers: Markers) -> int | None:
    """The column of pixels of a crosshair at x; None where it is not in the plot."""
    limits = drawn.limits
    if cursor is None or limits is None or not limits.x_low <= cursor <= limits.x_high:
        return None
    scale = (drawn.plot_width * GLYPHS[markers].columns - 1) / (limits.x_high - limits.x_low)
    return round((cursor - limits.x_low) * scale)


def crossed(drawn: Body, pixel: int, markers: Markers) -> list[Row]:
    """The rows with a vertical line over the cells of that column that nothing is painted in."""
    cell = Canvas(1, 1, markers)
    cell.vertical(pixel % GLYPHS[markers].columns, cell.owner(STYLE), dotted=False)
    sign = cell.row(0)[0][0]
    column = drawn.gutter + pixel // GLYPHS[markers].columns
    plot, axis = drawn.rows[: drawn.plot_height], drawn.rows[drawn.plot_height :]
    return [put(row, column, sign) for row in plot] + axis


def put(row: Row, column: int, sign: str) -> Row:
    """A row with a sign in one cell, if that is blank."""
    start = 0
    for place, (text, style) in enumerate(row):
        if column < start + len(text):
            at = column - start
            if text[at] != " ":
                return row
            parts = [(text[:at], style), (sign, STYLE), (text[at + 1 :], style)]
            return [*row[:place], *(part for part in parts if part[0]), *row[place + 1 :]]
        start += len(text)
    return row

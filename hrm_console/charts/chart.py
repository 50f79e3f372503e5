"""What a chart is: lines, guides and marks under a title, and the limits that follow from them.

Charts room. Plain data that a screen keeps and changes; a renderer reads it. Colours are xterm-256 indexes: eight,
found by a search for the largest smallest distance in CIELAB as normal, red-, green- and blue-blind eyes see them (20
units between any two), readable on black, and each on its own place among the 16 colours of a plain terminal. Values of
title and legend are computed here, so that the live and the printed chart say the same. Not here: cells, pixels, escape
codes.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, final

from hrm_console.charts.series import STEP, Series
from hrm_console.charts.ticks import format_duration, format_number
from hrm_console.charts.view import View, chosen_limits, rounded_limits, rounded_log_limits

PALETTE = (75, 214, 199, 49, 135, 168, 113, 136)
FAINT = {75: 24, 214: 94, 199: 89, 49: 29, 135: 55, 168: 95, 113: 65, 136: 58}  # the raw curve behind a smoothed one
QUIET = 244  # axes, guides, marks: a grey that reads on dark and light


@final
@dataclass(slots=True)
class Line:
    """A curve on a chart. color: xterm-256 index, None = by its place; style "points" draws no line between points;
    top: painted after those that are not."""

    series: Series
    label: str = ""
    color: int | None = None
    style: Literal["line", "points"] = "line"
    top: bool = False


@final
@dataclass(slots=True)
class Guide:
    """A horizontal line at y, such as what a trivial predictor gets. Always within the automatic limits."""

    y: float
    label: str = ""
    color: int | None = None


@final
@dataclass(slots=True)
class Mark:
    """A vertical line, such as a new best. x: step; axes: the same moment on others; not drawn on an axis it lacks."""

    x: float
    label: str = ""
    glyph: str = ""
    color: int | None = None
    axes: Mapping[str, float] = field(default_factory=dict)

    def at(self, kind: str) -> float | None:
        """Where it stands on that axis."""
        return self.x if kind == STEP else self.axes.get(kind)


@final
@dataclass(slots=True)
class Chart:
    """One chart. unit "%" shows shares 0..1 as percent; another text is put behind the numbers. Painted in order."""

    title: str
    lines: list[Line] = field(default_factory=list)
    guides: list[Guide] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    view: View = field(default_factory=View)
    unit: str = ""


class Limits(NamedTuple):
    """The rectangle of data that the plot shows; rising and finite; y above zero on a log axis."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float


class Entry(NamedTuple):
    """One entry of the title line: kind of mark before it, its label and its value as text."""

    kind: Literal["line", "points", "guide"]
    label: str
    value: str
    color: int


def line_color(chart: Chart, index: int) -> int:
    """The colour of the line at that place."""
    color = chart.lines[index].color
    return PALETTE[index % len(PALETTE)] if color is None else color


def stable_color(key: str) -> int:
    """The same colour for the same text in every chart and session; different texts may share one."""
    return PALETTE[zlib.crc32(key.encode("utf-8", "surrogatepass")) % len(PALETTE)]


def shown_series(chart: Chart, line: Line) -> Series:
    """The curve as the view wants it: smoothed, without what a log axis cannot show."""
    series = line.series.smoothed(chart.view.weight)
    return series.positive() if chart.view.log_y else series


def find_limits(chart: Chart) -> Limits | None:
    """The limits of the plot, from the view where it says so, else from the data. None: there is nothing to show.

    Automatic y limits follow the points between the x limits, raw where smoothing is on too, and the guides.
    """
    view = chart.view
    columns = [(line.series, line.series.axis(view.x_kind)) for line in chart.lines if line.series.num_finite]
    columns = [(series, column) for series, column in columns if column]
    if not columns:
        return None
    first, last = min(column[0] for _, column in columns), max(column[-1] for _, column in columns)
    x_low, x_high = chosen_limits(view.x_low, view.x_high, rounded_limits(first, last, parts=16))
    lows, highs = [], []
    for series, _ in columns:
        shown = series.positive() if view.log_y else series
        start, stop = shown.window(x_low, x_high, view.x_kind)
        low, high = shown.y_range(start, stop)
        lows.append(low)
        highs.append(high)
    for guide in chart.guides:
        if abs(guide.y) <= 1e300 and (guide.y > 0 or not view.log_y):
            lows.append(guide.y)
            highs.append(guide.y)
    low, high = min(lows, default=1.0), max(highs, default=-1.0)
    if low > high:  # nothing but gaps in the window
        low, high = 1.0, 1.0
    automatic = rounded_log_limits(low, high) if view.log_y else rounded_limits(low, high)
    y_low, y_high = view.y_low, view.y_high
    if view.log_y:
        y_low = y_low if y_low is not None and y_low > 0 else None
    return Limits(x_low, x_high, *chosen_limits(y_low, y_high, automatic))


def entries(chart: Chart) -> list[Entry]:
    """Labels and values for the title line: the last values, or those at the cursor. Where runs are laid over one
    another the guides come first, so that what a trivial predictor gets is not what is left out."""
    view, unit = chart.view, plain(chart.unit)
    found: list[Entry] = []
    guides: list[Entry] = []
    for index, line in enumerate(chart.lines):
        value = shown_value(line.series, view)
        text = "-" if value is None else format_number(value, unit)
        value_text = f"~{text}" if view.weight and value is not None else text
        found.append(Entry(line.style, plain(line.label), value_text, line_color(chart, index)))
    for guide in chart.guides:
        color = QUIET if guide.color is None else guide.color
        guides.append(Entry("guide", plain(guide.label), format_number(guide.y, unit), color))
    return guides + found if is_overlay(chart) else found + guides


def is_overlay(chart: Chart) -> bool:
    """Whether one of the lines is the main one of several."""
    return any(line.top for line in chart.lines)


def shown_value(series: Series, view: View) -> float | None:
    """The last value, or the one at the cursor, as smooth as the view wants it. None where there is none, or where the
    cursor lies further outside the curve than its points lie apart."""
    if view.cursor is None:
        index = series.last_index
    else:
        column = series.axis(view.x_kind)
        spacing = (column[-1] - column[0]) / (len(column) - 1) if len(column) > 1 else 0.0
        if not column or (spacing and not column[0] - spacing <= view.cursor <= column[-1] + spacing):
            return None
        index = series.index_at(view.cursor, view.x_kind)
    return None if index is None else series.average_at(index, view.weight)


def heading(chart: Chart) -> tuple[str, str]:
    """The title and, to be said quietly behind it, what the view does to the numbers: "log, smoothed 0.9, at 1200"."""
    view, words = chart.view, []
    if view.log_y:
        words.append("log")
    if view.weight:
        words.append(f"smoothed {view.weight:g}")
    if view.cursor is not None:
        words.append(f"at {format_x(view.cursor, view.x_kind)}")
    return plain(chart.title), ", ".join(words)


def format_x(x: float, kind: str) -> str:
    """An x as a reader wants it: 2h10m on a time axis, 12.5k elsewhere."""
    return format_duration(x) if kind == "time" else format_number(x)


def plain(text: str) -> str:
    """Text of which every character takes one cell: control, direction, combining and wide characters become '?'.

    Names come from files. The screens clean them in a friendlier way; this is the last door before the terminal.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _one_cell(char) else "?" for char in text)


def _one_cell(char: str) -> bool:
    return char.isprintable() and unicodedata.east_asian_width(char) not in "WF" and not unicodedata.combining(char)

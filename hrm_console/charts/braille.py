"""The live renderer: a chart as rows of styled text, drawn with braille dots, quarter blocks or ASCII.

Charts room. (Chart, size in cells) -> exactly `height` rows of exactly `width` cells, each a list of (text, style) that
any terminal library can show. From above: title with the values, plot with y labels on its left, x labels. What does
not fit is left out, the plot last. Never fails: any size, any data. Not here: widgets, escape codes, and the data
itself (series.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import isnan
from typing import NamedTuple

from hrm_console.charts.canvas import GLYPHS, Canvas, Glyphs, Markers, Row, width_of
from hrm_console.charts.chart import (
    FAINT,
    QUIET,
    Chart,
    Entry,
    Limits,
    Mark,
    entries,
    find_limits,
    heading,
    is_overlay,
    line_color,
    plain,
    shown_series,
)
from hrm_console.charts.decimate import Column
from hrm_console.charts.series import STEP
from hrm_console.charts.ticks import (
    format_duration,
    labels,
    linear_ticks,
    log_labels,
    log_ticks,
    time_ticks,
)

__all__ = ["Markers", "Row", "render"]

NO_DATA = "no data yet"
MIN_PLOT_WIDTH = 12  # narrower, and the y labels give way
FAR_PIXELS = 1e6  # rows of ticks and guides outside the plot are cut to this
FAR_SPANS = (
    1000.0  # values so many heights of the plot outside it are cut: lines that leave it keep their slope to the eye
)
QUIET_STYLE = f"color({QUIET})"


def render(chart: Chart, width: int, height: int, markers: Markers = "braille") -> list[Row]:
    """Draw a chart. width, height: cells; less than 1 gives no rows, or empty ones."""
    width, height = max(0, width), max(0, height)
    if width == 0 or height == 0:
        return [[] for _ in range(height)]
    glyphs = GLYPHS[markers]
    title = title_rows(chart, width, height, glyphs)
    rest = height - len(title)
    rows = title + body(chart, width, rest, markers).rows if rest > 0 else title
    return [only_ascii(row) for row in rows] if markers == "ascii" else rows


class Body(NamedTuple):
    """A chart without its title. gutter: cells before the plot; plot_width, plot_height: of the plot in cells, 0 where
    there is nothing to show; limits: what it shows."""

    rows: list[Row]
    gutter: int = 0
    plot_width: int = 0
    plot_height: int = 0
    limits: Limits | None = None


def body(chart: Chart, width: int, height: int, markers: Markers) -> Body:
    """Plot and axes in `height` >= 1 rows."""
    limits = find_limits(chart)
    return Body(_empty_rows(width, height)) if limits is None else _body(chart, limits, width, height, markers)


def only_ascii(row: Row) -> Row:
    """Names may hold other characters, and a terminal that is asked for ASCII may not know them."""
    return [(text.encode("ascii", "replace").decode("ascii"), style) for text, style in row]


def title_rows(chart: Chart, width: int, height: int, glyphs: Glyphs) -> list[Row]:
    """Title and legend on one row; on two where the chart is high and one is too narrow."""
    title, words = heading(chart)
    head: Row = [(_cut(title, width, glyphs), "bold")]
    if words and width_of(head) + 1 + len(words) <= width:
        head.append((f" {words}", QUIET_STYLE))
    legend = [_entry_spans(entry, glyphs) for entry in entries(chart)]
    gap = 2 if title else 0
    if sum(width_of(spans) for spans in legend) + 2 * len(legend) + width_of(head) <= width or height < 10:
        return [_fill(_append_entries(head, legend, width, gap, glyphs), width)]
    return [_fill(head, width), _fill(_append_entries([], legend, width, 0, glyphs), width)]


def _entry_spans(entry: Entry, glyphs: Glyphs) -> Row:
    sign = {"line": glyphs.line, "points": glyphs.points, "guide": glyphs.guide}[entry.kind]
    label = f"{entry.label} " if entry.label else ""
    return [(f"{sign} ", f"color({entry.color})"), (label, QUIET_STYLE), (entry.value, "")]


def _append_entries(head: Row, legend: Sequence[Row], width: int, gap: int, glyphs: Glyphs) -> Row:
    """Entries behind the title as long as they fit; the first, when nothing fits, loses its label before its value."""
    row, used = list(head), width_of(head)
    for number, spans in enumerate(legend):
        space = gap if number == 0 else 2
        last = number == len(legend) - 1
        if used + space + width_of(spans) > width - (0 if last else 2) and number == 0:
            spans = [spans[0], spans[2]]
        if used + space + width_of(spans) > width - (0 if last else 2):
            if used + 2 <= width:
                row.append((f" {glyphs.more}", QUIET_STYLE))
            break
        row += [(" " * space, ""), *(span for span in spans if span[0])]
        used += space + width_of(spans)
    return row


def _empty_rows(width: int, height: int) -> list[Row]:
    rows: list[Row] = [[(" " * width, "")] for _ in range(height)]
    rows[(height - 1) // 2] = [(NO_DATA[:width].center(width), QUIET_STYLE)]
    return rows


def _body(chart: Chart, limits: Limits, width: int, height: int, markers: Markers) -> Body:
    """Plot, y labels and x labels in `height` rows."""
    glyphs = GLYPHS[markers]
    below = 0 if height < 3 else 1 if height < 12 else 2
    plot_height = height - below
    y_labels = _y_labels(chart, limits, plot_height, glyphs)
    gutter = max((len(label) for label in y_labels.values()), default=0) + 1
    if width - gutter < MIN_PLOT_WIDTH:
        gutter = 0
    canvas = Canvas(width - gutter, plot_height, markers)
    paint(canvas, chart, limits)
    rows = []
    for y in range(plot_height):
        label = y_labels.get(y)
        axis = f"{label or '':>{gutter - 1}}{glyphs.tick if label else glyphs.vertical}" if gutter else ""
        rows.append([(axis, QUIET_STYLE), *canvas.row(y)] if axis else canvas.row(y))
    rows += _x_rows(chart, limits, gutter, canvas, below)
    return Body(rows, gutter, canvas.width, plot_height, limits)


def y_axis(chart: Chart, limits: Limits, height: int) -> list[tuple[float, str]]:
    """Ticks of the y axis for a plot of so many rows: (value, label)."""
    count, unit = max(2, min(height // 2, 3 + height // 10)), plain(chart.unit)
    if chart.view.log_y:
        ticks = log_ticks(limits.y_low, limits.y_high, max(2, height // 2))
        return list(zip(ticks, log_labels(ticks, unit), strict=True))
    scale = 100 if unit == "%" else 1
    ticks = linear_ticks(limits.y_low * scale, limits.y_high * scale, count)
    ticks = [tick / scale for tick in ticks]
    return list(zip(ticks, labels(ticks, unit), strict=True))


def _y_labels(chart: Chart, limits: Limits, height: int, glyphs: Glyphs) -> dict[int, str]:
    """Cell row -> label; at most one label a row."""
    to_row = _row_of(limits, height * glyphs.rows, chart.view.log_y)
    found: dict[int, str] = {}
    for tick, text in y_axis(chart, limits, height):
        row = round(to_row(tick)) // glyphs.rows
        if 0 <= row < height:
            found.setdefault(row, text)
    return found


def _x_rows(chart: Chart, limits: Limits, gutter: int, canvas: Canvas, below: int) -> list[Row]:
    """The axis line where there is room for two rows, and the labels, each under its tick."""
    if below == 0:
        return []
    width, glyphs, kind = canvas.width, canvas.glyphs, chart.view.x_kind
    scale = (canvas.pixel_width - 1) / (limits.x_high - limits.x_low)
    line, written, free = [glyphs.base] * width, [" "] * width, 0
    for tick, text in x_axis(chart, limits, width):
        cell = min(width - 1, max(0, round((tick - limits.x_low) * scale) // glyphs.columns))
        start = min(max(0, cell - len(text) // 2), width - len(text))
        if start < free:
            continue
        line[cell] = glyphs.base_tick
        written[start : start + len(text)] = text
        free = start + len(text) + 2
    name = plain(kind) if gutter > len(kind) else ""
    rows: list[Row] = []
    if below == 2:
        corner = f"{glyphs.corner:>{gutter}}" if gutter else ""
        rows.append([(corner + "".join(line), QUIET_STYLE)])
    rows.append([(f"{name:<{gutter}}" + "".join(written), QUIET_STYLE)])
    return rows


def x_axis(chart: Chart, limits: Limits, width: int) -> list[tuple[float, str]]:
    """Ticks of the x axis, (value, label): as many as have room, with six cells between labels on average."""
    kind = chart.view.x_kind
    ticks: list[float] = []
    texts: list[str] = []
    for count in range(max(3, width // 8), 0, -1):
        if kind == "time":
            ticks = time_ticks(limits.x_low, limits.x_high, count)
            texts = [format_duration(tick) for tick in ticks]
        else:
            ticks = linear_ticks(limits.x_low, limits.x_high, count, whole=kind == STEP)
            texts = labels(ticks)
        if sum(len(text) + 6 for text in texts) <= width + 6:
            break
    return list(zip(ticks, texts, strict=True))


def paint(canvas: Canvas, chart: Chart, limits: Limits) -> None:
    """Guides, marks and the cursor first, then the lines in their order, last the names of the marks."""
    view = chart.view
    to_row = _row_of(limits, canvas.pixel_height, view.log_y)
    scale = (canvas.pixel_width - 1) / (limits.x_high - limits.x_low)
    for guide in chart.guides:
        if math.isfinite(guide.y) and (guide.y > 0 or not view.log_y):
            color = QUIET if guide.color is None else guide.color
            canvas.horizontal(round(to_row(guide.y)), canvas.owner(f"color({color})"))
    heads = []
    for mark in chart.marks:
        x = mark.at(view.x_kind)
        if x is not None and limits.x_low <= x <= limits.x_high:
            owner = canvas.owner(f"color({QUIET if mark.color is None else mark.color})")
            pixel = round((x - limits.x_low) * scale)
            canvas.vertical(pixel, owner)
            heads.append((pixel // canvas.glyphs.columns, mark, owner))
    if view.cursor is not None and limits.x_low <= view.cursor <= limits.x_high:
        canvas.vertical(round((view.cursor - limits.x_low) * scale), canvas.owner("bold"), dotted=False)
    if view.weight and not is_overlay(chart):  # the raw curves behind all smoothed ones; of many they only clutter
        for index, line in enumerate(chart.lines):
            color = line_color(chart, index)
            raw = line.series.positive() if view.log_y else line.series
            columns = raw.columns(limits.x_low, limits.x_high, canvas.pixel_width, view.x_kind)
            owner = canvas.owner(f"color({FAINT.get(color, QUIET)})")
            paint_line(canvas, columns, limits, view.log_y, owner, line.style == "line")
    for index, line in sorted(enumerate(chart.lines), key=lambda place: place[1].top):
        columns = shown_series(chart, line).columns(limits.x_low, limits.x_high, canvas.pixel_width, view.x_kind)
        owner = canvas.owner(f"color({line_color(chart, index)})")
        paint_line(canvas, columns, limits, view.log_y, owner, line.style == "line")
    _paint_heads(canvas, heads)


def _paint_heads(canvas: Canvas, heads: Sequence[tuple[int, Mark, int]]) -> None:
    """What a mark is called, on the top row beside its line, where no curve is in the way."""
    for cell_x, mark, owner in heads:
        canvas.text(cell_x, 0, plain(mark.glyph)[:1] or canvas.glyphs.mark, owner)
        label = plain(mark.label)
        places = (cell_x + 1, cell_x - len(label))
        place = next((place for place in places if canvas.is_empty(place, 0, len(label))), None)
        if place is not None:
            canvas.text(place, 0, label, owner)


def _row_of(limits: Limits, pixel_height: int, log_y: bool) -> Callable[[float], float]:
    """y -> row of pixels as a float, cut to FAR_PIXELS above and below; the limits lie on the first and last row."""
    low, high = limits.y_low, limits.y_high
    if log_y:
        low, high = math.log10(low), math.log10(high)
    scale = (pixel_height - 1) / (high - low)

    def row_of(y: float) -> float:
        row = (high - (math.log10(y) if log_y else y)) * scale
        return max(-FAR_PIXELS, min(FAR_PIXELS, row))

    return row_of


def _on_axis(columns: Sequence[Column], limits: Limits, log_y: bool) -> Sequence[Column]:
    """Columns as the y axis measures: logarithms on a log axis, nothing over FAR_SPANS heights outside the plot."""
    low, high = limits.y_low, limits.y_high
    if log_y:
        low, high, log10 = math.log10(low), math.log10(high), math.log10
        columns = [
            Column(number, log10(bottom), log10(top), log10(first), log10(last), start)
            if bottom <= top
            else Column(number, bottom, top, first, last, start)
            for number, bottom, top, first, last, start in columns
        ]
    far_low, far_high = low - FAR_SPANS * (high - low), high + FAR_SPANS * (high - low)
    if all(far_low <= column[1] and column[2] <= far_high for column in columns):
        return columns
    return [
        column
        if column.low > column.high
        else Column._make((column.number, *(min(far_high, max(far_low, y)) for y in column[1:5]), column.start))
        for column in columns
    ]


def paint_line(
    canvas: Canvas, columns: Sequence[Column], limits: Limits, log_y: bool, owner: int, joined: bool
) -> None:
    """One curve: in each column a vertical run from lowest to highest value, the columns joined by straight lines.

    No join goes over a gap, none at all where joined is False. A point without a neighbour on either side becomes a
    dot. The run of a column is painted once, with its halves of both joins: a third of the calls, half of the time.
    """
    columns = _on_axis(columns, limits, log_y)
    y_high, y_low = (math.log10(limits.y_high), math.log10(limits.y_low)) if log_y else (limits.y_high, limits.y_low)
    scale, span = (canvas.pixel_height - 1) / (y_high - y_low), canvas.span
    x, upper, lower = -1, 0, -1  # the run that is not painted yet, from row `upper` down to `lower`
    stand: int | None = None  # the row on which the curve stood at the end of it; None: a gap follows
    alone = False  # the run is a single point that nothing was joined to
    for number, low, high, first, last, _ in columns:
        if low > high:
            stand = None
            continue
        top = round((y_high - high) * scale)
        bottom = top if low == high else round((y_high - low) * scale)
        begin = top if first == high else bottom if first == low else _row((y_high - first) * scale)
        a, b = top, bottom
        linked = joined and stand is not None and begin is not None
        if linked:
            assert stand is not None and begin is not None
            if number - x > 1:
                _join(canvas, x, stand, number, begin, owner)
            elif begin > stand:
                middle = (stand + begin) // 2
                lower, a = max(lower, middle), min(a, middle + 1)
            elif begin < stand:
                middle = -(-(stand + begin) // 2)
                upper, b = min(upper, middle), max(b, middle - 1)
        if alone and not linked:
            canvas.dot(x, upper, owner)
        else:
            span(x, upper, lower, owner)
        alone = not linked and top == bottom
        x, upper, lower = number, a, b
        stand = top if last == high else bottom if last == low else _row((y_high - last) * scale)
    if alone:
        canvas.dot(x, upper, owner)
    else:
        span(x, upper, lower, owner)


def _row(position: float) -> int | None:
    return None if isnan(position) else round(position)


def _join(canvas: Canvas, x_0: int, y_0: int, x_1: int, y_1: int, owner: int) -> None:
    """A straight line between two pixels, each row of a steep one in one column only; drawn inside the canvas alone."""
    distance = x_1 - x_0
    slope = (y_1 - y_0) / distance
    first, last = max(0, -x_0), min(distance, canvas.pixel_width - 1 - x_0)
    rising = y_1 >= y_0
    end = y_0 if first == 0 else _toward(y_0 + slope * (first - 0.5), rising)
    for offset in range(first, last + 1):
        start = end
        end = y_1 if offset == distance else _toward(y_0 + slope * (offset + 0.5), rising)
        if end != start and offset > 0:
            start += 1 if rising else -1
        canvas.span(x_0 + offset, min(start, end), max(start, end), owner)


def _toward(value: float, rising: bool) -> int:
    """Round, a half back to where the line comes from, so that a rising and a falling line look alike."""
    return math.ceil(value - 0.5) if rising else math.floor(value + 0.5)


def _cut(text: str, width: int, glyphs: Glyphs) -> str:
    return text if len(text) <= width else text[: width - 1] + glyphs.more


def _fill(row: Row, width: int) -> Row:
    """Pad a row with blanks."""
    used = width_of(row)
    return [*row, (" " * (width - used), "")] if used < width else row

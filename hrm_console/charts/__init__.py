"""Curves for terminals: a data layer without Textual and two renderers behind one interface.

Data goes one way: rows of metrics -> `Series` -> `Chart` -> rows of text (live: `braille`; printed: `printed`). Plain
Python only: importing any module here loads no numpy, torch, rich, Textual or plotext (plotext is imported inside the
functions of `printed`). Import from the modules; this one holds no names. The interface:

series.py
    Series(name="")            append-only curve; x never falls, y that is None or not finite is a gap
      .append(x, y, **axes)    axes: further x columns by name, seconds for time: append(step, loss, time=12.5).
                               An x below the last one cuts the later points first (a run rolled back).
                               Append what was measured, leave out what was not (a None breaks the curve there).
      .cut(x)  .clear()        forget the points with x > the given one / all
      .last -> (x, y) | None   the last finite point                    len(series): points, gaps included
      .value_at(x, kind="step") -> (x, y) | None                        nearest finite point, for a crosshair
      .bounds  .window(x_low, x_high, kind)  .y_range(start, stop)      what is where, by bisection
      .xs  .ys  .axis(kind)    the columns (read only; a gap is nan in ys)

view.py (frozen; change with dataclasses.replace)
    View(x_low=None, x_high=None, y_low=None, y_high=None, log_y=False, smoothing=0.0, x_kind="step", cursor=None)
      None = automatic. smoothing: weight of the moving average, 0 off, 0.9 strong, below 1. x_kind: "step", "time" or
      any name given to append. cursor: an x where a vertical line is drawn and the values of the title line are read.

chart.py
    Line(series, label="", color=None, style="line" | "points")         color: xterm-256 index, None = by position
    Guide(y, label="", color=None)                                      a horizontal line, such as the trivial value
    Mark(x, label="", glyph="", color=None, axes={})                    a vertical line, such as a new best; axes: its
                                                                        x on other axes than step
    Chart(title, lines=[], guides=[], marks=[], view=View(), unit="")
      unit: "%" shows shares 0..1 as percent; any other text is put behind the numbers ("GiB", "W", "/s")
    stable_color(key) -> int   the same colour for the same text (a run id), from PALETTE

braille.py
    render(chart, width, height, markers="braille" | "blocks" | "ascii") -> list[Row]
      Row = list[(text, style)]: exactly `height` rows of exactly `width` cells; style is "", "bold", "color(33)" or the
      like, as rich.style.Style.parse reads it. Never fails for any size, 0 included, or any data.

printed.py (plotext; one string with line ends; every line at most `width` cells)
    render_curves(charts, width, height, color=True) -> str             charts below one another, `height` rows each
    histogram(title, labels, counts, width, color=True) -> str          one row per label

../widgets/chart.py (Textual)
    ChartWidget(chart=None, markers="braille", *, name=None, id=None, classes=None)
      .update_chart(chart=None) -> int    draw again (None: the same chart, whose series have grown); repaints only the
                                          changed parts of rows; returns how many rows changed
      .chart  .markers                    what is shown; set markers and call update_chart
"""

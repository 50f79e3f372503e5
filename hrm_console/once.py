"""`hrm-console --once`: the runs screen and the newest run's curves, printed, for a look without an app.

runs folder -> standard output, exit code 0 (1 where the folder cannot be read). Colours where the output is a terminal.
"""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hrm_console.charts.chart import Chart
from hrm_console.rows.feed import Feed
from hrm_console.rows.listing import RunLine, newest_first
from hrm_console.rows.watching import Lines, Tails
from hrm_console.screens.frame import title_line
from hrm_console.screens.runs_words import has_view_line, title_words, view_line
from hrm_console.session import read_session
from hrm_console.theme import palette_for
from hrm_console.views.run.charts import run_charts
from hrm_console.views.run.describe import preview_rows
from hrm_console.views.runs.columns import columns_for, header_row, run_row
from hrm_console.views.runs.view import Chooser
from hrm_console.words import wrap
from hrm_core.errors import UserError

CHART_ROWS = 12
# What is printed of the newest run: loss and exact, as on the runs screen.
NUM_CHARTS = 2


def print_once(runs_dir: Path, console: Console | None = None) -> int:
    """Print and leave. Filter, sort key, marks and baseline are those that the app was left with."""
    console = console if console is not None else Console(highlight=False)
    palette, width = palette_for(console.color_system), console.width
    try:
        runs = newest_first(Lines().read(runs_dir))
    except (OSError, UserError) as error:
        for row in wrap(f"error: {error}", width):
            console.print(row)
        return 1
    session = read_session(runs_dir)
    view, total = Chooser().view(runs, session, time.time()), len(runs)
    rows = [title_line(title_words(len(view.lines), total, session), runs_dir, runs, palette, width)]
    if not runs:
        rows += wrap("No runs here yet. hrm run demo --detach starts one, hrm-console shows it.", width - 1, indent=" ")
    else:
        columns = columns_for(width, view.lines)
        if has_view_line(session, view.trouble):
            rows.append(view_line(session, len(view.lines), total, view.trouble, palette, width))
        rows.append(header_row(columns, palette, session.sort))
        rows += [
            run_row(line, columns, palette, line.run_id in session.marked, line.run_id == session.baseline)
            for line in view.lines
        ]
        rows.append(Text(""))
        runs = view.lines
        rows += preview_rows(runs[0], palette, width) if runs else []
    for row in rows:
        row.rstrip()
        console.print(row, overflow="crop", no_wrap=True, soft_wrap=True)
    if runs:
        print_curves(runs[0], console)
    return 0


def charts_of(line: RunLine) -> list[Chart]:
    """The first charts of a run that have anything to show, read from its files now."""
    feed = Feed(line.run_id)
    tails = Tails(line.folder)
    while batches := tails.poll():
        for batch in batches:
            feed.take(batch)
    return [chart for chart in run_charts(feed)[:NUM_CHARTS] if any(len(drawn.series) for drawn in chart.lines)]


def print_curves(line: RunLine, console: Console) -> None:
    """The run's curves as plain characters; plotext is imported only here."""
    charts = charts_of(line)
    if charts:
        from hrm_console.charts.printed import render_curves

        drawn = render_curves(charts, width=console.width, height=CHART_ROWS, color=console.color_system is not None)
        console.file.write(drawn.rstrip("\n") + "\n")

"""Taking something away from a screen: its `hrm` line to the clipboard, its picture as SVG, its curves as CSV.

Files go to the folder of the setting console.exports, named by screen and time, written whole. The clipboard is the
terminal's own (OSC 52), which goes through SSH where the terminal allows it; the line is shown as well.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hrm_console.charts.chart import Chart
from hrm_console.launching import shell_line
from hrm_console.screens.base import Room
from hrm_core.runs.launch import HRM_COMMAND
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from array import array

    from hrm_console.app import ConsoleApp

    Curve = tuple[tuple[str, str, str], array[float], array[float]]  # chart, curve, axis; x, y


def copy_line(app: ConsoleApp) -> None:
    """Put the line that prints what the screen shows on the clipboard, and say it."""
    screen = app.in_sight
    if isinstance(screen, Room):
        line = clean(shell_line([*HRM_COMMAND, *screen.shell_words(), "--runs", str(app.runs_dir)]))
        app.copy_to_clipboard(line)
        app.say(f"copied: {line}")


def export_path(app: ConsoleApp, ending: str) -> Path:
    """Where the next file goes."""
    room = getattr(app.in_sight, "ROOM", "screen") or "screen"
    folder = Path(app.settings.text("console.exports")).expanduser()
    return folder / f"{room}-{datetime.now():%Y%m%d-%H%M%S}.{ending}"


def save_svg(app: ConsoleApp) -> None:
    """Save the screen as a picture."""
    path = export_path(app, "svg")
    picture = app.export_screenshot(title=f"hrm-console: {clean(getattr(app.in_sight, 'ROOM', ''))}")
    app.in_background(lambda: _write(path, picture), lambda _: app.say(f"saved {path}"))


def save_csv(app: ConsoleApp, charts: Sequence[Chart]) -> None:
    """Save curves as a table: one row a point, with chart, curve, x and y."""
    path, curves = export_path(app, "csv"), copied(charts)
    app.in_background(lambda: _write(path, curves_csv(curves)), lambda _: app.say(f"saved {path}"))


def copied(charts: Sequence[Chart]) -> list[Curve]:
    """The curves as they are now, on the axis that is shown: they go on growing while a thread writes them. A curve
    without that axis is left out, as it is on the chart."""
    return [
        ((clean(chart.title), clean(line.label), chart.view.x_kind), xs[:], line.series.ys[:])
        for chart in charts
        for line in chart.lines
        if (xs := line.series.axis(chart.view.x_kind))
    ]


def curves_csv(curves: Sequence[Curve]) -> str:
    """chart,curve,axis,x,y with every point that is not a gap."""
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["chart", "curve", "axis", "x", "y"])
    for words, xs, ys in curves:
        table.writerows((*words, repr(x), repr(y)) for x, y in zip(xs, ys, strict=True) if y == y)
    return written.getvalue()


def _write(path: Path, text: str) -> Path:
    from hrm_core.runs.atomic import write_bytes

    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, text.encode("utf-8"))
    return path

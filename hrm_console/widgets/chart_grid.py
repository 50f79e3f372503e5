"""As many charts as fit, in a grid, in pages where they do not all fit. `grid_for` decides, from the room alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import final

from textual import events
from textual.containers import Grid
from textual.timer import Timer

from hrm_console.charts.braille import Markers
from hrm_console.charts.chart import Chart
from hrm_console.widgets.chart import ChartWidget

LEAST_WIDTH, LEAST_HEIGHT = 44, 8
MOST_SHOWN = 12
# Charts are drawn for so long in one turn, then keys and the screen have theirs. Nine of short runs take 30 ms.
TURN_S, PAUSE_S = 0.025, 0.005


def grid_for(width: int, height: int, num_charts: int) -> tuple[int, int]:
    """Columns and rows of charts for a room in cells: the most that are large enough, near to twice as wide as high."""
    rows_most = max(1, min(num_charts, height // LEAST_HEIGHT))
    columns_most = max(1, min(num_charts, width // LEAST_WIDTH))
    options = [
        (columns, rows)
        for columns in range(1, columns_most + 1)
        for rows in range(1, rows_most + 1)
        if (columns - 1) * rows < num_charts and columns * (rows - 1) < num_charts
    ]

    def merit(option: tuple[int, int]) -> tuple[int, float]:
        columns, rows = option
        shape = (width / columns) / (2 * max(1, height) / rows)
        return min(num_charts, columns * rows), -abs(shape - 2)

    return max(options, key=merit, default=(1, 1))


@final
class ChartGrid(Grid):
    """Any number of charts, of which a page is shown: chart widgets are the places of a page, not the charts."""

    def __init__(self, most_shown: int = MOST_SHOWN, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.widgets = [ChartWidget(id=f"chart-{index}") for index in range(most_shown)]
        for widget in self.widgets:
            widget.can_focus = False  # they have no keys of their own, and a focus that nobody sees puzzles
        self.charts: Sequence[Chart] = ()
        self.page = 0
        self.zoomed = False
        self.columns, self.rows = 1, 1
        self._due: list[ChartWidget] = []  # whose charts are still to be drawn
        self._later: Timer | None = None

    def compose(self) -> Sequence[ChartWidget]:
        return self.widgets

    @property
    def capacity(self) -> int:
        """Charts on one page."""
        return 1 if self.zoomed else max(1, min(self.columns * self.rows, len(self.widgets)))

    @property
    def shown(self) -> range:
        """Indexes of the charts on this page."""
        first = self.page * self.capacity
        return range(first, min(first + self.capacity, len(self.charts)))

    def words(self, brief: bool = False) -> str:
        """Which charts are shown, for a title; empty where all are."""
        if self.capacity >= len(self.charts) or not self.shown:
            return ""
        first, last, all_ = self.shown[0] + 1, self.shown[-1] + 1, len(self.charts)
        some = f"{first}-{last}" if last > first else str(first)
        if brief:
            return f"{some}/{all_}"
        return f"chart{'s' * (last > first)} {some} of {all_}"

    def on_resize(self, event: events.Resize) -> None:
        self._arrange(self.shown[0] if self.shown else 0)

    def turn(self, step: int) -> None:
        """Go to the next or previous page, around the end."""
        pages = max(1, -(-len(self.charts) // self.capacity))
        self._arrange((self.page + step) % pages * self.capacity)

    def zoom(self) -> None:
        """One chart for the whole room, or the grid again."""
        first = self.shown[0] if self.shown else 0
        self.zoomed = not self.zoomed
        self._arrange(first)

    def _arrange(self, first: int) -> None:
        """Show the page that holds chart `first`."""
        width, height = self.size.width, self.size.height
        self.columns, self.rows = grid_for(width, height, max(1, min(len(self.charts), len(self.widgets))))
        self.page = first // self.capacity if first < len(self.charts) else 0
        columns, rows = self.columns, self.rows
        if len(self.shown) < self.columns * self.rows:
            columns, rows = grid_for(width, height, max(1, len(self.shown)))
        if (columns, rows) != (self.styles.grid_size_columns, self.styles.grid_size_rows):
            self.styles.grid_size_columns, self.styles.grid_size_rows = columns, rows
        for place, widget in enumerate(self.widgets):
            widget.display = place < len(self.shown)
        self._draw()

    def draw(self, charts: Sequence[Chart]) -> None:
        """Draw these charts; those that are not in sight cost nothing."""
        before, self.charts = len(self.charts), charts
        if len(charts) != before:
            self._arrange(self.page * self.capacity)
        else:
            self._draw()

    def take(self, charts: Sequence[Chart]) -> None:
        """Have these charts drawn by the layout that is to come."""
        if len(charts) != len(self.charts):
            self.draw(charts)
            return
        self.charts, self._due = charts, []
        for widget, index in zip(self.widgets, self.shown, strict=False):
            widget.chart = charts[index]

    def _draw(self) -> None:
        """Draw the charts in sight, those of long runs some at a time: the next key is read between."""
        self._due = []
        for widget, index in zip(self.widgets, self.shown, strict=False):
            widget.chart = self.charts[index]
            self._due.append(widget)
        self._draw_due()

    def _draw_due(self) -> None:
        if self._later is not None:
            self._later.stop()
        began = time.thread_time()
        while self._due and time.thread_time() - began < TURN_S:
            self._due.pop(0).update_chart()
        self._later = self.set_timer(PAUSE_S, self._draw_due) if self._due else None

    def use_markers(self, markers: Markers) -> None:
        """Draw with these from now on."""
        for widget in self.widgets:
            widget.markers = markers
        self._draw()

    @property
    def cells(self) -> int:
        """Columns of the plot of the first chart in sight, about: what one step of a crosshair is."""
        return max(2, self.widgets[0].size.width - 8)

"""As many charts as fit, in a grid, in pages where they do not all fit. `grid_for` decides, from the room alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from textual import events
from textual.containers import Grid

from hrm_console.charts.chart import Chart
from hrm_console.widgets.chart import ChartWidget

LEAST_WIDTH, LEAST_HEIGHT = 44, 8


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
    """A fixed number of chart widgets, of which a page is shown."""

    def __init__(self, num_charts: int, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.widgets = [ChartWidget(id=f"chart-{index}") for index in range(num_charts)]
        self.charts: Sequence[Chart] = ()
        self.page = 0
        self.zoomed = False
        self.columns, self.rows = 1, 1

    def compose(self) -> Sequence[ChartWidget]:
        return self.widgets

    @property
    def capacity(self) -> int:
        """Charts on one page."""
        return 1 if self.zoomed else self.columns * self.rows

    @property
    def shown(self) -> range:
        """Indexes of the charts on this page."""
        first = self.page * self.capacity
        return range(first, min(first + self.capacity, len(self.widgets)))

    def words(self) -> str:
        """Which charts are shown, for a title; empty where all are."""
        if self.capacity >= len(self.widgets):
            return ""
        first, last = self.shown[0] + 1, self.shown[-1] + 1
        return (
            f"charts {first}-{last} of {len(self.widgets)}" if last > first else f"chart {first} of {len(self.widgets)}"
        )

    def on_resize(self, event: events.Resize) -> None:
        first = self.shown[0] if self.shown else 0
        self.columns, self.rows = grid_for(event.size.width, event.size.height, len(self.widgets))
        self._arrange(first)

    def turn(self, step: int) -> None:
        """Go to the next or previous page, around the end."""
        pages = -(-len(self.widgets) // self.capacity)
        self._arrange((self.page + step) % pages * self.capacity)

    def zoom(self) -> None:
        """One chart for the whole room, or the grid again."""
        first = self.shown[0]
        self.zoomed = not self.zoomed
        self._arrange(first)

    def _arrange(self, first: int) -> None:
        """Show the page that holds chart `first`."""
        self.page = first // self.capacity
        columns, rows = self.columns, self.rows
        if len(self.shown) < self.columns * self.rows:
            columns, rows = grid_for(self.size.width, self.size.height, len(self.shown))
        self.styles.grid_size_columns, self.styles.grid_size_rows = columns, rows
        for index, widget in enumerate(self.widgets):
            widget.display = index in self.shown
        self.draw(self.charts)

    def draw(self, charts: Sequence[Chart]) -> None:
        """Draw these charts; those that are not in sight cost nothing."""
        self.charts = charts
        for index in self.shown:
            if index < len(charts):
                self.widgets[index].update_chart(charts[index])

"""A live chart: keeps its rows as strips, draws again when told, repaints only the cells that changed.

Chart -> rows (charts/braille.py) -> strips of Textual's line API. A tick of a live curve usually changes the title and
a few cells at its end; telling Textual just those regions sends some hundred bytes instead of the ten thousand of a
whole chart, which is what counts over SSH. Text is never parsed as markup. Not here: what is plotted, keys, reading of
files.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from hrm_console.charts.braille import Markers, Row
from hrm_console.charts.chart import Chart
from hrm_console.widgets.crosshair import Crosshair


@final
class ChartWidget(Widget, can_focus=True):
    """Shows one chart in whatever size it gets; without a chart, or without room, it is blank."""

    ALLOW_SELECT: ClassVar[bool] = False
    DEFAULT_CSS = """
    ChartWidget {
        width: 1fr;
        height: 1fr;
    }
    """

    def __init__(
        self,
        chart: Chart | None = None,
        markers: Markers = "braille",
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.chart = chart
        self.markers: Markers = markers
        self._drawn = Size(0, 0)
        self._rows: list[Row] = []
        self._strips: list[Strip] = []
        self._crosshair = Crosshair()

    def update_chart(self, chart: Chart | None = None) -> int:
        """Draw a chart, or the same one again after its series have grown. Returns how many rows changed.

        Before the widget has a size nothing is drawn; its first resize does it.
        """
        if chart is not None:
            self.chart = chart
        return self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> int:
        size = self.size
        rows: list[Row] = []
        moved: list[Region] = []
        if self.chart is not None:
            rows, moved = self._crosshair.draw(self.chart, size.width, size.height, self.markers)
        before, self._rows = self._rows, rows
        if size != self._drawn or len(before) != len(rows):
            self._drawn = size
            self._strips = [to_strip(row) for row in rows]
            self.refresh()
            return len(rows)
        different = [y for y, row in enumerate(rows) if row != before[y]]
        for y in different:
            self._strips[y] = to_strip(rows[y])
        if moved:
            self.refresh(*moved)
            return len(different)
        if 2 * len(different) > len(rows):  # limits have moved: looking for equal cells would find few
            self.refresh()
            return len(different)
        regions = [region for y in different if (region := _changed_region(y, before[y], rows[y]))]
        if regions:
            self.refresh(*regions)
        return len(regions)

    def render_line(self, y: int) -> Strip:
        """The row as it was drawn last, on the widget's own background."""
        if y < len(self._strips):
            return self._strips[y].apply_style(self.visual_style.rich_style)
        return Strip.blank(self.size.width, self.visual_style.rich_style)


def to_strip(row: Row) -> Strip:
    """A row of the renderer for Textual; its characters all take one cell."""
    return Strip([Segment(text, _style(style)) for text, style in row], sum(len(text) for text, _ in row))


def changed_cells(before: Row, after: Row) -> tuple[int, int]:
    """First changed cell and the one behind the last; both rows equally wide. (0, 0): they look alike.

    A blank looks the same in every style, as no style of a row has a background.
    """
    old = [(char, char != " " and style) for text, style in before for char in text]
    new = [(char, char != " " and style) for text, style in after for char in text]
    different = [x for x, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    return (different[0], different[-1] + 1) if different else (0, 0)


def _changed_region(y: int, before: Row, after: Row) -> Region:
    """The changed cells of row y; an empty region is false."""
    start, stop = changed_cells(before, after)
    return Region(start, y, stop - start, 1)


@lru_cache(256)
def _style(text: str) -> Style:
    return Style.parse(text)

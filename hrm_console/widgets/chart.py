"""A live chart: keeps its rows as strips, draws again when told, repaints only the cells that changed.

Chart -> rows (charts/braille.py) -> strips of Textual's line API. A tick of a live curve usually changes the title and
a few cells at its end; telling Textual just those regions sends some hundred bytes instead of the ten thousand of a
whole chart, which is what counts over SSH. Strips are made once in their last colours, past the machinery for borders,
padding and opacity, of which a chart has none: that took a third of a key that moves nine crosshairs. Text is never
parsed as markup. Not here: what is plotted, keys, reading of files.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.color import Color
from textual.filter import LineFilter
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:  # what draws is imported with the first chart: the runs screen begins without one
    from hrm_console.charts.canvas import Markers, Row
    from hrm_console.charts.chart import Chart
    from hrm_console.widgets.crosshair import Crosshair

# What colours of a row hang on besides its own: the widget's style, the background under it, the app's filters.
Look = tuple[Style, Color, tuple[LineFilter, ...]]


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
        self._strips: list[Strip | None] = []  # None: not made since the row changed
        self._made_for: tuple[Look, int] | None = None
        self._crosshair: Crosshair | None = None

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
            if self._crosshair is None:
                from hrm_console.widgets.crosshair import Crosshair

                self._crosshair = Crosshair()
            rows, moved = self._crosshair.draw(self.chart, size.width, size.height, self.markers)
        before, self._rows = self._rows, rows
        if size != self._drawn or len(before) != len(rows):
            self._drawn = size
            self._strips = [None] * len(rows)
            self.refresh()
            return len(rows)
        different = [y for y, row in enumerate(rows) if row != before[y]]
        for y in different:
            self._strips[y] = None
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

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows of a part as they were drawn last, on the widget's own background."""
        if self.styles.gutter:  # there may be a border after all
            return super().render_lines(crop)
        look = self._look_now()
        strips = [self._strip(y, look) for y in crop.line_range]
        start, stop = crop.column_span
        whole = start == 0 and stop == self.size.width
        return strips if whole else [strip.crop(start, stop) for strip in strips]

    def render_line(self, y: int) -> Strip:
        """One of them."""
        return self._strip(y, self._look_now())

    def _look_now(self) -> Look:
        look = (self.visual_style.rich_style, self.background_colors[1], tuple(self.get_line_filters()))
        if (look, self.size.width) != self._made_for:
            self._made_for, self._strips = (look, self.size.width), [None] * len(self._rows)
        return look

    def _strip(self, y: int, look: Look) -> Strip:
        if y >= len(self._strips):
            return Strip.blank(self.size.width, final_style("", look))
        strip = self._strips[y]
        if strip is None:
            from hrm_console.charts.canvas import width_of

            segments = [Segment(text, final_style(style, look)) for text, style in self._rows[y]]
            # Between a layout and the drawing that follows it the rows are still those of the size before.
            strip = Strip(segments, width_of(self._rows[y])).adjust_cell_length(self.size.width, final_style("", look))
            self._strips[y] = strip
        return strip


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


@lru_cache(1024)
def final_style(text: str, look: Look) -> Style:
    """The style of a row's text over that of the widget, as the app's filters for the terminal leave it."""
    base, background, filters = look
    segments = [Segment(" ", base + Style.parse(text) if text else base)]
    for line_filter in filters:
        segments = line_filter.apply(segments, background)
    return segments[0].style or base

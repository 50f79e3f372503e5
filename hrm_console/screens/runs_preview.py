"""Below the runs table: the run under the cursor in words, and its curves where the terminal is tall.

`RunLine` and the app's feed of it -> rows and two charts. How high the words may be is said by the screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from hrm_console.rows.listing import RunLine
from hrm_console.views.run.describe import preview_rows
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.chart import ChartWidget
from hrm_console.widgets.lines import Rows

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

PREVIEW_CHARTS = (0, 1)


@final
class Preview(Vertical):
    """Shows one run, or nothing."""

    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__(id="preview")
        self.rule = Bar(self._rule, id="rule")
        self.words = Rows(id="preview-words", focusable=False)
        self.charts = [ChartWidget(id=f"preview-{index}") for index in PREVIEW_CHARTS]

    def compose(self) -> ComposeResult:
        yield self.rule
        yield self.words
        yield Horizontal(*self.charts, id="preview-charts")

    def show(self, line: RunLine | None, most_rows: int) -> None:
        """The run in words, in at most so many rows."""
        # One cell less, for the scroll bar of words that are higher than their room.
        rows = [] if line is None else preview_rows(line, self.app.palette, self.app.size.width - 1)
        self.words.show(rows)
        if line is not None:
            self.words.styles.height = max(2, min(len(rows), most_rows))

    def show_charts(self, line: RunLine | None) -> None:
        """Loss and exact of the run, as far as its rows have been read."""
        feed = None if line is None else self.app.feed_of(line.run_id)
        if line is not None and feed is not None:
            from hrm_console.views.run.charts import Look, run_charts  # after the first frame

            charts = run_charts(feed, Look(growing=not line.ended))
            for index, widget in zip(PREVIEW_CHARTS, self.charts, strict=True):
                widget.update_chart(charts[index])

    def _rule(self, width: int) -> Text:
        return Text("─" * width, style=self.app.palette.faint)

"""The runs screen: every run of the folder in a live table, and the one under the cursor in words and curves.

Shows the app's `runs` (status.json, result.json and the last rows, read by the watching thread) and, where the terminal
is tall, loss and exact of the chosen run from the app's feed. Keys: actions.py, "runs".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from hrm_console.actions import bindings_of
from hrm_console.columns import columns_for, header_row, run_row
from hrm_console.describe import preview_rows
from hrm_console.listing import RunLine
from hrm_console.run_charts import Look, run_charts
from hrm_console.screens.base import Room
from hrm_console.screens.frame import folder_words, idle_keys
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.chart import ChartWidget
from hrm_console.widgets.lines import Choice, Rows
from hrm_console.words import wrap

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

PREVIEW_CHARTS = (0, 1)
# Title, header, rule and keys.
FRAME_ROWS = 4


@final
class RunsScreen(Room):
    """The table. The run under the cursor is held by name, so that a run that appears above does not move it."""

    ROOM = "runs"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.chosen: str | None = None
        self.listed: tuple[RunLine, ...] = ()
        self.table = Choice(id="table")
        self.empty = Rows(id="empty", focusable=False)
        self.words = Rows(id="preview-words", focusable=False)
        self.charts = [ChartWidget(id=f"preview-{index}") for index in PREVIEW_CHARTS]
        self.keys = Bar(self._keys, id="keys")

    def compose(self) -> ComposeResult:
        yield Bar(self._title, id="title")
        yield Bar(self._header, id="header")
        yield self.table
        yield self.empty
        with Vertical(id="preview"):
            yield Bar(self._rule, id="rule")
            yield self.words
            yield Horizontal(*self.charts, id="preview-charts")
        yield self.keys

    def on_mount(self) -> None:
        self.show_runs()

    def runs_changed(self) -> None:
        """The app has read the folder."""
        self.show_runs()

    def feed_changed(self) -> None:
        """The app has new rows of the chosen run."""
        self.show_charts()

    def shell_words(self) -> tuple[str, ...]:
        return ("list",)

    def on_screen_resume(self) -> None:
        self.show_runs()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_runs)

    def line(self) -> RunLine | None:
        """The run under the cursor."""
        return None if self.chosen is None else self.app.line_of(self.chosen)

    def show_runs(self) -> None:
        """Draw the table from the app's runs; only rows that changed are painted."""
        table, runs = self.table, self.app.runs
        self.listed = runs
        self.set_class(not runs, "-empty")
        columns = columns_for(self.size.width)
        table.show([run_row(line, columns, self.app.palette) for line in runs])
        index = next(
            (at for at, line in enumerate(runs) if line.run_id == self.chosen), min(table.cursor, len(runs) - 1)
        )
        if runs:
            table.move_to(max(0, index))
            self._choose(max(0, index))
        else:
            self.empty.show(self._empty_rows())
            self.chosen = None
        for bar in self.query(Bar):
            bar.update()

    @on(Choice.Moved)
    def moved(self, message: Choice.Moved) -> None:
        self._choose(message.index)

    @on(Choice.Chosen)
    def opened(self, message: Choice.Chosen) -> None:
        self._choose(message.index)
        self.action_open()

    def _choose(self, index: int) -> None:
        if index >= len(self.listed):
            return
        self.chosen = self.listed[index].run_id
        if self.app.in_sight is self:
            self.app.follow(self.line())
        self.show_preview()

    def show_preview(self) -> None:
        """The chosen run in words; its curves come with the feed."""
        line = self.line()
        if line is not None:
            rows = preview_rows(line, self.app.palette, self.size.width)
            self.words.show(rows)
            spare = self.size.height - FRAME_ROWS - len(self.listed)
            self.words.styles.height = max(2, min(len(rows), max(6, spare if self.has_class("-short") else 12)))
        self.keys.update()
        self.show_charts()

    def show_charts(self) -> None:
        """Loss and exact of the chosen run, where there is room."""
        if self.chosen is None or not self.has_class("-tall") or self.app.in_sight is not self:
            return
        feed = self.app.feed_of(self.chosen)
        if feed is not None:
            line = self.line()
            charts = run_charts(feed, Look(growing=line is not None and not line.ended))
            for index, widget in zip(PREVIEW_CHARTS, self.charts, strict=True):
                widget.update_chart(charts[index])

    def _title(self, width: int) -> Text:
        return self.title_text("runs", width)

    def _header(self, width: int) -> Text:
        return header_row(columns_for(width), self.app.palette)

    def _rule(self, width: int) -> Text:
        return Text("─" * width, style=self.app.palette.faint)

    def _keys(self, width: int) -> Text:
        return self.keys_text(width, idle_keys(self.line()))

    def _empty_rows(self) -> list[Text]:
        palette, width, folder = self.app.palette, self.size.width - 2, folder_words(self.app.runs_dir)
        if self.app.trouble:
            return wrap(f"Cannot read {folder}: {self.app.trouble}", width, palette.bad, indent="  ")
        if not self.app.runs_known:
            return [Text(f"  reading {folder} …", style=palette.muted)]
        prose = (
            ("No runs here yet.", palette.strong),
            (f"Runs are kept in {folder}.", palette.text),
            ("", ""),
            ("Press n to choose an experiment and start one.", palette.accent),
            (
                "The demo learns real ARC puzzles on a CPU in a few minutes: choose it in the list and press F5.",
                palette.text,
            ),
            ("", ""),
            (
                "From a shell:  hrm run demo --detach  does the same,  hrm-console --runs DIR  shows another folder.",
                palette.muted,
            ),
            ("Runs go on when you leave this app or lose the connection.", palette.muted),
        )
        return [Text("")] + [row for text, style in prose for row in wrap(text, width, style, indent="  ")]

    def action_open(self) -> None:
        if self.chosen is not None:
            self.app.show_run(self.chosen)

    def action_stop(self) -> None:
        self.app.steering.ask_stop(self.line())

    def action_pause(self) -> None:
        self.app.steering.pause_or_continue(self.line())

    def action_resume(self) -> None:
        self.app.steering.resume(self.line())

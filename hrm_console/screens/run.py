"""One run: live curves, status, alarms in words, the tail of its log.

Shows the app's feed of the run (metrics.jsonl, evaluations.jsonl, events.jsonl, log.txt, read by the watching thread)
and its line (status.json, result.json). A wide and tall terminal shows everything at once, others a page at a time.
Keys: actions.py, "run".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from hrm_console.actions import bindings_of
from hrm_console.describe import alarm_rows, log_rows, no_alarms_rows, status_rows, summary_row
from hrm_console.feed import Feed
from hrm_console.listing import RunLine
from hrm_console.run_charts import SMOOTHING, Look, run_charts
from hrm_console.screens.base import Room
from hrm_console.screens.frame import idle_keys
from hrm_console.widgets.bar import Bar, two_ends
from hrm_console.widgets.chart_grid import ChartGrid
from hrm_console.widgets.lines import Log, Rows
from hrm_console.words import plain, wrap

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

PAGES = ("curves", "status", "alarms", "log")
NUM_CHARTS = 6


@final
class RunScreen(Room):
    """The run of a name. It may vanish, be cut or come back while it is shown."""

    ROOM = "run"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.page = "curves"
        self.look = Look()
        self.fitted = ("", 0)
        self.log_of: tuple[Feed | None, int, int] = (None, -1, 0)
        self.tabs = Bar(self._tabs, id="tabs")
        self.curves = ChartGrid(NUM_CHARTS, id="curves")
        self.log_pane = Log(id="log", classes="pane")
        self.alarms_pane = Rows(id="alarms", classes="pane")
        self.status_pane = Rows(id="status", classes="pane")
        self.panes = {"log": self.log_pane, "alarms": self.alarms_pane, "status": self.status_pane}
        for name, pane in self.panes.items():
            pane.border_title = name

    def compose(self) -> ComposeResult:
        yield Bar(self._title, id="title")
        yield Bar(self._summary, id="summary")
        yield self.tabs
        yield Bar(self._banner, id="banner")
        with Horizontal(id="body"):
            yield Vertical(self.curves, self.log_pane, id="left")
            yield Vertical(self.alarms_pane, self.status_pane, id="right")
        yield Bar(self._keys, id="keys")

    def on_mount(self) -> None:
        self.action_page(self.page)
        self.show_line()
        self.show_feed()

    def runs_changed(self) -> None:
        """The app has read the folder."""
        self.show_line()

    def feed_changed(self) -> None:
        """The app has new rows of the run."""
        self.show_feed()

    def shell_words(self) -> tuple[str, ...]:
        return ("show", self.run_id)

    def on_screen_resume(self) -> None:
        self.show_line()
        self.show_feed()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_line)
        self.call_after_refresh(self.show_feed)

    @property
    def line(self) -> RunLine | None:
        """The run as it is listed now; None when its folder has vanished."""
        return self.app.line_of(self.run_id)

    @property
    def feed(self) -> Feed | None:
        """The run's rows, once they are read."""
        return self.app.feed_of(self.run_id)

    def show_line(self) -> None:
        """Draw what status.json and result.json say."""
        line, palette = self.line, self.app.palette
        if line is not None and self.app.in_sight is self:
            self.app.follow(line)
        status, alarms = self.status_pane, self.alarms_pane
        if line is None:
            gone = "This run is not in the folder any more." if self.app.runs_known else "reading …"
            status.show(wrap(gone, max(10, status.size.width - 2), palette.warn, indent=" "))
        else:
            status.show(status_rows(line, self.feed, palette, status.size.width))
            width = alarms.size.width
            alarms.show(alarm_rows(line, palette, width) or no_alarms_rows(line, self.feed, palette, width))
        count = 0 if line is None else len(line.alarms)
        self._fit_alarms(f"▲ {count} alarm{'s' * (count > 1)}" if count else "alarms")
        self.set_class(count > 0, "-alarmed")
        for bar in self.query(Bar):
            bar.update()

    def _fit_alarms(self, title: str) -> None:
        """Give the alarms the rows they need, and only when that changes: it lays the whole screen out anew."""
        pane = self.alarms_pane
        fitted = (title, 0 if self.page_mode else max(3, min(len(pane.rows) + 2, 16)))
        if fitted != self.fitted:
            self.fitted = fitted
            pane.border_title = title
            pane.styles.height = fitted[1] or None

    def show_feed(self) -> None:
        """Draw the curves and the log."""
        feed, palette = self.feed, self.app.palette
        if feed is not None:
            growing = self.line is not None and not self.line.ended
            self.curves.draw(run_charts(feed, replace(self.look, growing=growing)))
        width = self.log_pane.size.width
        seen = (feed, -1 if feed is None else feed.log_count, width)
        if seen != self.log_of:
            self.log_of = seen
            self.log_pane.grow(log_rows(feed, palette, width))
        line = self.line
        if line is not None:
            self.status_pane.show(status_rows(line, feed, palette, self.status_pane.size.width))

    @property
    def page_mode(self) -> bool:
        """Whether the terminal is too small to show everything at once."""
        return not (self.has_class("-wide") and self.has_class("-tall"))

    # The lines above and below ----------------------------------------------------------------------------------------

    def _title(self, width: int) -> Text:
        return self.title_text(self.run_id, width)

    def _summary(self, width: int) -> Text:
        line = self.line
        return Text("") if line is None else summary_row(line, self.app.palette, width)

    def _banner(self, width: int) -> Text:
        line, palette = self.line, self.app.palette
        if line is None or not line.alarms:
            return Text("")
        alarm = line.alarms[0]
        more = Text(f" 3: what to try{f', {len(line.alarms) - 1} more' if len(line.alarms) > 1 else ''} ")
        return two_ends(plain(f" ▲ {alarm.name}: {alarm.sentence}"), more, width, palette.bar_alarm)

    def _tabs(self, width: int) -> Text:
        palette, line = self.app.palette, self.line
        left = Text(no_wrap=True, end="")
        for number, page in enumerate(PAGES, 1):
            count = f" ▲{len(line.alarms)}" if page == "alarms" and line is not None and line.alarms else ""
            here = page == self.page
            left.append(f" {number} ", palette.key)
            left.append(
                f"{page}{count} ", f"{palette.strong} underline" if here else palette.warn if count else palette.muted
            )
        words = self.curves.words() if self.page == "curves" else ""
        right = Text.assemble((words, palette.muted), (" [ ] ", palette.key)) if words else Text("")
        return two_ends(left, right, width, "")

    def _keys(self, width: int) -> Text:
        hidden = idle_keys(self.line) | {f"page_{number}" for number in range(1, len(PAGES) + 1)}
        return self.keys_text(width, hidden)

    # Actions ----------------------------------------------------------------------------------------------------------

    def action_page(self, page: str) -> None:
        self.page = page
        for name in PAGES:
            self.set_class(name == page, f"-page-{name}")
        if page == "curves":
            self.set_focus(None)
        else:
            self.panes[page].focus()
        self.tabs.update()
        self.call_after_refresh(self.show_line)

    def action_charts(self, step: int) -> None:
        self.curves.turn(step)
        self.tabs.update()

    def action_zoom(self) -> None:
        self.curves.zoom()
        self.tabs.update()

    def action_log_scale(self) -> None:
        self.look = replace(self.look, log_y=not self.look.log_y)
        self.show_feed()

    def action_smooth(self) -> None:
        at = SMOOTHING.index(self.look.smoothing)
        self.look = replace(self.look, smoothing=SMOOTHING[(at + 1) % len(SMOOTHING)])
        self.show_feed()
        self.app.say(f"smoothing {self.look.smoothing:.1f}" if self.look.smoothing else "smoothing off")

    def action_stop(self) -> None:
        self.app.steering.ask_stop(self.line)

    def action_pause(self) -> None:
        self.app.steering.pause_or_continue(self.line)

    def action_resume(self) -> None:
        self.app.steering.resume(self.line)

    def action_back(self) -> None:
        self.dismiss()

"""One run: live curves, status, alarms, log, settings, halting, families, and every value at the crosshair.

Shows the app's feed of the run (metrics.jsonl, evaluations.jsonl, events.jsonl, log.txt) and its line (status.json,
result.json, run.json). A wide and tall terminal shows several panes at once, others a page at a time; only what is in
sight is built. Keys: tables/run.py; what the curves' do is in run_curves.py, the log's in run_log.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from hrm_console.actions import bindings_of
from hrm_console.screens.frame import idle_keys
from hrm_console.screens.run_bars import BRIEF_BELOW, PAGES, banner_text, in_sight, tabs_text
from hrm_console.screens.run_curves import CurveRoom
from hrm_console.screens.run_log import LogSearch
from hrm_console.views.launch import forking
from hrm_console.views.run.config import Differences, config_rows
from hrm_console.views.run.describe import alarm_rows, no_alarms_rows, status_rows, summary_row
from hrm_console.views.run.look import moment_words
from hrm_console.views.run.words import families_rows, halting_rows, values_rows
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.lines import LinePane, Log, Rows
from hrm_console.words import plain, wrap

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

HUGE_WIDTH = 160


@final
class RunScreen(CurveRoom):
    """The run of a name. It may vanish, be cut or come back while it is shown."""

    ROOM = "run"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.page = "curves"
        self.fitted = ("", 0)
        self.differences: Differences | None = None
        self.asked = False
        self.log_search = LogSearch(self)
        self.log_pane = Log(id="log", classes="pane")
        self.panes: dict[str, LinePane] = {"log": self.log_pane}
        for name in (*PAGES[1:3], *PAGES[4:], "halting-beside", "families-beside"):
            self.panes[name] = Rows(id=name, classes="pane")
        for name, pane in self.panes.items():
            pane.border_title = name.partition("-")[0]
        self.tabs = Bar(self._tabs, id="tabs")
        self.legend, self.reading = Bar(self.legend_text, id="legend"), Bar(self._reading, id="reading")
        self.right = Vertical(
            *(self.panes[name] for name in ("alarms", "status", "values", "halting-beside")), id="right"
        )
        self.search_input = Input(placeholder="search the log", id="search", compact=True)

    def compose(self) -> ComposeResult:
        panes, line = self.panes, self.line
        worn = {"-huge": self.app.size.width >= HUGE_WIDTH, "-alarmed": line is not None and bool(line.alarms)}
        self.update_classes({**worn, f"-page-{self.page}": True}, update=False)
        yield Bar(self._title, id="title")
        yield Bar(self._summary, id="summary")
        yield self.tabs
        yield Bar(self._banner, id="banner")
        yield self.legend
        yield self.reading
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield self.curves
                yield Horizontal(
                    Vertical(self.search_input, self.log_pane, id="log-box"), panes["families-beside"], id="strip"
                )
                yield from (panes[name] for name in ("config", "halting", "families"))
            yield self.right
        yield Bar(self._keys, id="keys")

    def on_mount(self) -> None:
        self.recall()
        self.action_page(self.page)
        self.show_all()

    def runs_changed(self) -> None:
        """The app has read the folder."""
        self.show_line()

    def feed_changed(self) -> None:
        """The app has new rows of the followed runs."""
        self.show_feed()

    def look_changed(self) -> None:
        """The curves are looked at otherwise: nothing else is drawn anew. Where that gives lines above them a place or
        takes it, the curves are drawn by the layout that follows, not twice."""
        before, line = self._fitting, self.line
        if line is not None and self.app.in_sight is self:
            self.app.follow(line, *self.others())
        self._set_bars()
        if self._fitting == before:
            self.show_curves()
            return
        if self.feed is not None:
            self.curves.take(self.charts())
        self.call_after_refresh(self.show_all)

    def shell_words(self) -> tuple[str, ...]:
        return ("show", self.run_id)

    def on_screen_resume(self) -> None:
        self.show_all()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= HUGE_WIDTH, "-huge")
        self.call_after_refresh(self.show_all)

    def show_all(self) -> None:
        """Draw everything that is in sight."""
        self.show_line()
        self.show_feed()

    def show_line(self) -> None:
        """Draw what status.json and result.json say."""
        line, palette = self.line, self.app.palette
        if line is not None and self.app.in_sight is self:
            self.app.follow(line, *self.others())
        alarms = self.panes["alarms"]
        if line is not None and in_sight(alarms):
            width = alarms.size.width
            alarms.show(alarm_rows(line, palette, width) or no_alarms_rows(line, self.feed, palette, width))
        count = 0 if line is None else len(line.alarms)
        self._fit_alarms(f"▲ {count} alarm{'s' * (count > 1)}" if count else "alarms")
        self.set_class(count > 0, "-alarmed")
        self.show_status()
        self._ask_differences()
        self._fill("config", lambda width: [] if line is None else config_rows(line, self.differences, palette, width))
        for bar in self.query(Bar):
            bar.update()

    def show_status(self) -> None:
        """Draw the status pane, or say that the run has gone."""
        line, palette = self.line, self.app.palette
        if line is None:
            gone = "This run is not in the folder any more." if self.app.runs_known else "reading …"
            self._fill("status", lambda width: wrap(gone, max(10, width - 2), palette.warn, indent=" "))
        else:
            self._fill("status", lambda width: status_rows(line, self.feed, palette, width))

    def _fill(self, name: str, make: Callable[[int], list[Text]]) -> None:
        """Build a pane if it is in sight."""
        pane = self.panes[name]
        if in_sight(pane):
            pane.show(make(pane.size.width))

    def _fit_alarms(self, title: str) -> None:
        """Give the alarms the rows they need, and only when that changes: it lays the whole screen out anew."""
        pane = self.panes["alarms"]
        fitted = (title, 0 if self.page_mode else max(3, min(len(pane.rows) + 2, 16)))
        if fitted != self.fitted:
            self.fitted = fitted
            pane.border_title = title
            pane.styles.height = fitted[1] or None

    def _ask_differences(self) -> None:
        """Compare the recipe with EXP-00's, once, in a thread, when its pane is first in sight."""
        line = self.line
        if self.asked or line is None or not in_sight(self.panes["config"]):
            return
        self.asked = True
        folder = line.folder

        def work() -> Differences:
            from hrm_console.views.run.differences import differences_in

            return differences_in(folder)

        self.app.in_background(work, self._compared)

    def _compared(self, found: Differences) -> None:
        self.differences = found
        if self.is_attached:
            self.show_line()

    def show_feed(self) -> None:
        """Draw the curves, the log and the panes that show rows."""
        feed, palette = self.feed, self.app.palette
        self._set_bars()
        if feed is not None:
            newest = feed.newest("full")
            for name in ("halting", "halting-beside"):
                self._fill(name, lambda width: halting_rows(newest, palette, width))
            for name in ("families", "families-beside"):
                self._fill(name, lambda width: families_rows(newest, palette, width))
        self.log_search.show()
        self.show_status()
        self.show_curves()

    def show_curves(self) -> None:
        """Draw the curves and what is said of them: all that a crosshair changes as it moves."""
        feed, palette, charts = self.feed, self.app.palette, self.charts()
        if feed is not None:
            if in_sight(self.curves):
                self.curves.draw(charts)
            words = f"at {moment_words(self.look, feed)}" if self.look.cursor is not None else ""
            self._fill("values", lambda width: values_rows(charts, words, palette, width, self.shown_runs()))
        for bar in (self.reading, self.legend, self.tabs):
            bar.update()

    @property
    def _fitting(self) -> tuple[frozenset[str], ...]:
        """What decides who has how much room."""
        return tuple(node.classes for node in (self, self.right, self.reading, self.legend))

    def _set_bars(self) -> None:
        """The lines that are there only when they have something to say."""
        look, curves = self.look, in_sight(self.curves) or self.page == "values"
        searched = self.page_mode and self.page == "log" and self.log_search.found is not None
        # On what they change alone: a class of the screen has everything on it styled anew.
        self.right.set_class(look.cursor is not None, "-crosshair")
        self.reading.set_class((curves and (look.cursor is not None or look.span is not None)) or searched, "-shown")
        self.legend.set_class(curves and len(self.shown_runs()) > 1, "-shown")

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
        return banner_text(self.line, self.app.palette, width)

    def _reading(self, width: int) -> Text:
        if self.page_mode and self.page == "log":
            return plain(f" {self.log_search.words()}", self.app.palette.accent, width)
        return self.reading_text(width)

    def _tabs(self, width: int) -> Text:
        shown, feed = self.page == "curves" or not self.page_mode, self.feed
        charts = self.curves.words(width < BRIEF_BELOW) if shown else ""
        return tabs_text(self.page, self.line, charts, feed and feed.share, self.app.palette, width)

    def _keys(self, width: int) -> Text:
        hidden = idle_keys(self.line) | {f"page_{number}" for number in range(1, len(PAGES) + 1)}
        return self.keys_text(width, hidden)

    # Actions ----------------------------------------------------------------------------------------------------------

    def action_page(self, page: str) -> None:
        self.page = page
        self.update_classes({f"-page-{name}": name == page for name in PAGES}, animate=False)
        if page == "curves":
            self.set_focus(None)
        else:
            self.panes[page].focus()
        self.tabs.update()
        self.call_after_refresh(self.show_all)

    def action_search(self) -> None:
        if self.page_mode:
            self.action_page("log")
        self.log_search.open()

    def action_follow(self) -> None:
        if self.page_mode:
            self.action_page("log")
        self.log_search.end()
        self.log_pane.follow()

    @on(Input.Submitted, "#search")
    def searched(self, event: Input.Submitted) -> None:
        self.log_search.search(event.value)

    @on(Log.Hit)
    def hit(self, message: Log.Hit) -> None:
        self.log_search.turn(message.step)

    def action_stop(self) -> None:
        self.app.steering.ask_stop(self.line)

    def action_pause(self) -> None:
        self.app.steering.pause_or_continue(self.line)

    def action_resume(self) -> None:
        self.app.steering.resume(self.line)

    def action_extend(self) -> None:
        forking.extend(self.app, self.line)

    def action_fork(self) -> None:
        forking.fork(self.app, self.line)

    def action_back(self) -> None:
        if self.log_search.end():
            return
        if self.look.cursor is not None:
            self.take_cross_away()
        else:
            self.dismiss()

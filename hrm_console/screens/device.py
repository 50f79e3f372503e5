"""GPU and host, live: what is used, what slows and holds the GPU, what the run looked at has used, whether the queue
holds.

Shows readings of hrm_core.runs.device, one a second, made in a thread, and only while the screen is in sight. A wide
and tall terminal shows numbers and curves side by side, others one of the two. Keys: tables/device.py.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from hrm_console.actions import bindings_of
from hrm_console.screens.base import Room
from hrm_console.views.device.history import History
from hrm_console.views.device.words import Energy, device_rows, queue_lines
from hrm_console.views.run.look import reference
from hrm_console.widgets.bar import Bar, two_ends
from hrm_console.widgets.chart_grid import ChartGrid
from hrm_console.widgets.lines import Rows
from hrm_console.words import finite, tabs
from hrm_core.runs.device import DeviceReader, Reading, hold_reason, run_pids
from hrm_core.runs.layout import default_built_dir

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

TICK_S = 1.0
PATIENCE_S = 20.0
# Five minutes on some 160 dots are two seconds a dot: curves drawn more often would look the same and cost bytes.
CURVES_S = 1.9
PAGES = ("now", "curves")
NUM_CHARTS = 6
Answer = tuple[DeviceReader, Reading, dict[int, str]]


@final
class DeviceScreen(Room):
    """What the machine does at this moment, and in the last minutes."""

    ROOM = "device"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__()
        self.page = PAGES[0]
        self.history = History()
        self.reader: DeviceReader | None = None
        self.at_work: dict[int, str] = {}
        self.asked_s: float | None = None
        self.drawn_s: float | None = None
        self.tabs = Bar(self._tabs, id="tabs")
        self.numbers = Rows(id="now", classes="pane")
        self.curves = ChartGrid(NUM_CHARTS, id="curves")

    def compose(self) -> ComposeResult:
        yield Bar(self._title, id="title")
        yield self.tabs
        yield Horizontal(self.numbers, self.curves, id="body")
        yield Bar(self._keys, id="keys")

    def on_mount(self) -> None:
        self.action_page(self.page)
        self.show_reading()
        self._follow()
        self.set_interval(TICK_S, self._tick)
        self._tick()

    def runs_changed(self) -> None:
        """A run may have begun or ended; the numbers come with the next reading."""
        self._follow()
        for bar in self.query(Bar):
            bar.update()

    def feed_changed(self) -> None:
        """The run looked at has used more."""
        self.show_reading()

    def shell_words(self) -> tuple[str, ...]:
        return ("device",)

    def on_screen_resume(self) -> None:
        self._follow()
        self._tick()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_reading)

    def _follow(self) -> None:
        """Keep reading the run that was looked at last: its energy is told."""
        line = None if self.app.subject is None else self.app.line_of(self.app.subject)
        if line is not None and self.app.in_sight is self:
            self.app.follow(line)

    # Reading ----------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Ask for a reading, one at a time, while somebody looks."""
        now = time.monotonic()
        waiting = self.asked_s is not None and now - self.asked_s < PATIENCE_S
        if waiting or self.app.in_sight is not self:
            return
        self.asked_s = now
        self.app.in_background(self._read, self._take)

    def _read(self) -> Answer:
        """In a thread: the driver's library takes its time when it is opened."""
        reader, runs_dir = self.reader or DeviceReader(), self.app.runs_dir
        runs = run_pids(runs_dir)
        return reader, reader.read([("runs", runs_dir), ("data", default_built_dir())], runs), runs

    def _take(self, answer: Answer) -> None:
        self.asked_s = None
        if not self.is_attached:
            return
        self.reader, reading, self.at_work = answer
        self.history.add(time.monotonic(), reading)
        self.show_reading()

    def show_reading(self) -> None:
        """Draw the newest reading; only what changed is painted."""
        if self.app.in_sight is not self:
            return
        palette, settings, size = self.app.palette, self.app.settings, self.numbers.size
        reading = self.history.reading
        if reading is None:
            self.numbers.show([Text(" asking the driver …", style=palette.muted)])
            return
        battery, above = settings.flag("queue.hold_on_battery"), settings.number("queue.hold_above_c")
        queue = queue_lines(hold_reason(reading, battery, above), battery, above)
        self.numbers.show(device_rows(reading, self.at_work, queue, self.energy(), palette, (size.width, size.height)))
        if self.drawn_s is None or self.history.now - self.drawn_s >= CURVES_S:
            self.drawn_s = self.history.now
            self.curves.draw(self.history.charts(above if reading.gpus else 0.0))
        for bar in self.query(Bar):
            bar.update()

    def energy(self) -> Energy | None:
        """Of the run that was looked at last, by the rows that are read so far."""
        subject = self.app.subject
        feed = None if subject is None else self.app.feed_of(subject)
        if subject is None or feed is None or not feed.read:
            return None
        joules = reference(feed, "joules")
        return Energy(subject, joules[-1] if len(joules) else None, finite((feed.metrics or {}).get("samples")))

    # The lines above and below ----------------------------------------------------------------------------------------

    def _title(self, width: int) -> Text:
        return self.title_text("device", width)

    def _tabs(self, width: int) -> Text:
        palette = self.app.palette
        words = self.curves.words() if self.page == "curves" else ""
        right = Text.assemble((words, palette.muted), (" [ ] ", palette.key)) if words else Text("")
        return two_ends(tabs(PAGES, self.page, palette), right, width, "")

    def _keys(self, width: int) -> Text:
        curves = self.page == "curves" or (self.has_class("-wide") and self.has_class("-tall"))
        hidden = set() if self.at_work else {"device_open"}
        return self.keys_text(width, frozenset(hidden if curves else hidden | {"zoom"}))

    # Actions ----------------------------------------------------------------------------------------------------------

    def action_page(self, page: str) -> None:
        self.page = page
        for name in PAGES:
            self.set_class(name == page, f"-page-{name}")
        if page == "now":
            self.numbers.focus()
        else:
            self.set_focus(None)
        self.tabs.update()
        self.call_after_refresh(self.show_reading)

    def action_charts(self, step: int) -> None:
        self.curves.turn(step)
        self.tabs.update()

    def action_zoom(self) -> None:
        self.curves.zoom()
        self.tabs.update()

    def action_open(self) -> None:
        """The run that is at work; of several the one with most of the GPU."""
        reading = self.history.reading
        held = [holder.run for gpu in reading.gpus for holder in gpu.holders or ()] if reading is not None else []
        run_id = next((name for name in (*held, *self.at_work.values()) if name), None)
        if run_id is None:
            self.app.say("no run of this folder is at work", bad=True)
        else:
            self.app.show_run(run_id)

    def action_back(self) -> None:
        self.dismiss()

"""The curves of the run screen and every key that moves them; the rest of that screen is in run.py.

The app's feeds (the run's, the marked runs' and the baseline's) -> charts in a grid, by the `Look` kept here. What is
chosen (charts, axis, log scale, smoothing, overlay) is kept in the session, window and crosshair as long as the screen.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from rich.text import Text

from hrm_console.charts.canvas import Markers
from hrm_console.charts.chart import Chart, format_x
from hrm_console.rows.feed import Feed
from hrm_console.rows.listing import RunLine
from hrm_console.screens.base import Room
from hrm_console.views.run.charts import (
    MOST_RUNS,
    ChartKind,
    Shown,
    catalogue,
    charts_of,
    chosen_kinds,
    colors_of,
    short_names,
)
from hrm_console.views.run.events import Moment, moments, next_moment
from hrm_console.views.run.look import (
    SMOOTHING,
    Look,
    at_step,
    axes_of,
    extent,
    limits,
    look_of,
    moment_words,
    nearest,
    on_axis,
    panned,
    pointed,
    reference,
    stepped,
    view_of,
    zoomed,
)
from hrm_console.widgets.chart_grid import ChartGrid
from hrm_console.words import middle, plain

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

MARKERS: tuple[Markers, ...] = get_args(Markers)
FAR_SHARE = 0.1


class CurveRoom(Room):
    """Abstract: the screen gives `look_changed`, which draws the curves, and whatever else shows the look, anew."""

    app: ConsoleApp

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.look = Look()
        self.names: tuple[str, ...] | None = None
        self.overlaid = True
        self.moment: Moment | None = None
        self.curves = ChartGrid(id="curves")

    @abstractmethod
    def look_changed(self) -> None:
        """Draw what hangs on the look anew."""

    @abstractmethod
    def show_curves(self) -> None:
        """Draw the curves and what is said of them."""

    def recall(self) -> None:
        """Take up how curves were looked at before."""
        self.look, self.names, self.overlaid = look_of(self.app.session.views.get("run", {}))
        marks = self.app.settings.text("console.markers")
        self.curves.use_markers(next((known for known in MARKERS if known == marks), MARKERS[0]))

    def _keep(self) -> None:
        values = view_of(self.look, self.names, self.overlaid)
        self.app.remember(self.app.session.with_view("run", **values))
        self.look_changed()

    @property
    def line(self) -> RunLine | None:
        """The run as it is listed now; None when its folder has vanished."""
        return self.app.line_of(self.run_id)

    @property
    def feed(self) -> Feed | None:
        """The run's rows, once they are read."""
        return self.app.feed_of(self.run_id)

    # What is drawn ----------------------------------------------------------------------------------------------------

    def others(self) -> list[RunLine]:
        """The runs that are laid over this one: the baseline and the marked ones, as they are listed."""
        if not self.overlaid:
            return []
        session = self.app.session
        names = dict.fromkeys(name for name in (session.baseline, *session.marked) if name and name != self.run_id)
        return [line for name in names if (line := self.app.line_of(name)) is not None][: MOST_RUNS - 1]

    def shown_runs(self) -> list[Shown]:
        """This run and those over it of which there are rows, with number and colour."""
        feed = self.feed
        if feed is None:
            return []
        others = self.others()
        if not others:
            return [Shown(self.run_id, feed)]
        names = [self.run_id, *(line.run_id for line in others)]
        colors = colors_of(names)
        feeds = [(number, name, self.app.feed_of(name)) for number, name in enumerate(names, 1)]
        return [Shown(name, rows, str(number), colors[name]) for number, name, rows in feeds if rows is not None]

    def kinds(self) -> tuple[ChartKind, ...]:
        """The charts that are chosen."""
        return chosen_kinds(self.names, [run.feed for run in self.shown_runs()])

    def charts(self) -> list[Chart]:
        """The chosen charts as they are looked at."""
        line, runs = self.line, self.shown_runs()
        look = replace(self.look, growing=line is not None and not line.ended)
        return charts_of(runs, look, self.kinds()) if runs else []

    def legend_text(self, width: int) -> Text:
        """Which number and colour is which run."""
        runs, palette = self.shown_runs(), self.app.palette
        text = Text(no_wrap=True, end="")
        room = max(6, width // max(1, len(runs)) - 5)
        for run, name in zip(runs, short_names([run.run_id for run in runs]), strict=True):
            text.append(f" {run.label}", palette.key).append(" ━ ", f"color({run.color})")
            text.append_text(plain(middle(name, room), palette.strong if run.label == "1" else palette.text))
        text.truncate(width, overflow="ellipsis")
        return text

    def reading_text(self, width: int) -> Text:
        """Where the crosshair stands and what happened there, or which part of the run is shown."""
        feed, palette = self.feed, self.app.palette
        if feed is None:
            return Text("")
        text = Text(no_wrap=True, end="")
        if self.look.cursor is not None:
            text.append_text(plain(f" {moment_words(self.look, feed)}  ", palette.strong))
            text.append_text(plain(f" {self._happened(feed)}  ", palette.accent))
        full = self._full()
        if self.look.span is not None and full is not None:
            low, high = (format_x(x, self.look.x_kind) for x in limits(self.look, full))
            held = "" if self.look.end is not None else ", follows"
            text.append_text(plain(f" window {low} to {high}{held}", palette.muted))
        text.truncate(width, overflow="ellipsis")
        return text

    def _happened(self, feed: Feed) -> str:
        cursor, rows = self.look.cursor, reference(feed, self.look.x_kind)
        if self.moment is not None:
            return self.moment.words
        if cursor is None or not rows:
            return ""
        places = ((moment, at_step(feed, moment.step, self.look.x_kind)) for moment in moments(feed))
        return "; ".join(moment.words for moment, x in places if x is not None and nearest(rows, x) == cursor)

    def _full(self) -> tuple[float, float] | None:
        return extent([run.feed for run in self.shown_runs()], self.look.x_kind)

    # Actions ----------------------------------------------------------------------------------------------------------

    def _look(self, look: Look) -> None:
        self.moment = None
        before, self.look = self.look, look
        if before.cursor is not None and look.cursor is not None and replace(before, cursor=look.cursor) == look:
            self.show_curves()
        elif look != before:
            self.look_changed()

    def action_charts(self, step: int) -> None:
        self.curves.turn(step)
        self.look_changed()

    def action_zoom(self) -> None:
        self.curves.zoom()
        self.look_changed()

    def action_cross(self, cells: int) -> None:
        self._step(cells / self.curves.cells)

    def action_cross_far(self, direction: int) -> None:
        self._step(direction * FAR_SHARE)

    def _step(self, share: float) -> None:
        feed, full = self.feed, self._full()
        if feed is not None and full is not None:
            self._look(stepped(self.look, full, reference(feed, self.look.x_kind), share))

    def action_cross_end(self, direction: int) -> None:
        feed, full = self.feed, self._full()
        if feed is not None and full is not None:
            low, high = limits(self.look, full)
            self._look(pointed(self.look, full, reference(feed, self.look.x_kind), low if direction < 0 else high))

    def take_cross_away(self) -> None:
        """No crosshair any more."""
        self._look(replace(self.look, cursor=None))

    def action_scale(self, factor: float) -> None:
        full = self._full()
        if full is not None:
            self._look(zoomed(self.look, full, factor))

    def action_pan(self, direction: int) -> None:
        full = self._full()
        if full is not None and self.look.span is None:
            self.app.say("the whole run is shown; + zooms in")
        elif full is not None:
            self._look(panned(self.look, full, direction))

    def action_whole(self) -> None:
        self._look(replace(self.look, span=None, end=None))

    def action_axis(self) -> None:
        feed = self.feed
        if feed is None:
            return
        kinds = axes_of(feed)
        at = kinds.index(self.look.x_kind) if self.look.x_kind in kinds else -1
        wanted = kinds[(at + 1) % len(kinds)]
        self.moment, self.look = None, on_axis(self.look, feed, wanted)
        self._keep()
        self.app.say(f"x axis: {wanted}" if len(kinds) > 1 else "this run's rows have no other axis")

    def action_log_scale(self) -> None:
        self.look = replace(self.look, log_y=not self.look.log_y)
        self._keep()

    def action_smooth(self) -> None:
        at = SMOOTHING.index(self.look.smoothing)
        self.look = replace(self.look, smoothing=SMOOTHING[(at + 1) % len(SMOOTHING)])
        self._keep()

    def action_markers(self) -> None:
        at = MARKERS.index(self.curves.widgets[0].markers)
        wanted = MARKERS[(at + 1) % len(MARKERS)]
        self.curves.use_markers(wanted)
        self.app.say(f"{wanted} (the setting console.markers keeps it)")

    def action_event(self, direction: int) -> None:
        feed, full = self.feed, self._full()
        if feed is None or full is None:
            return
        rows, steps = reference(feed, self.look.x_kind), reference(feed, "step")
        here = None if self.moment is None else self.moment.step
        if here is None and self.look.cursor is not None and len(rows) == len(steps):
            here = steps[list(rows).index(nearest(rows, self.look.cursor))]
        found = next_moment(moments(feed), here, direction)
        x = None if found is None else at_step(feed, found.step, self.look.x_kind)
        if found is None or x is None:
            self.app.say("no event there" if moments(feed) else "no event yet")
            return
        self.look = pointed(self.look, full, rows, x)
        self.moment = found
        self.look_changed()

    def action_overlay(self) -> None:
        session = self.app.session
        names = [name for name in (*session.marked, session.baseline) if name and name != self.run_id]
        if not names:
            self.app.say("no other run is marked; mark some on the runs screen")
            return
        self.overlaid = not self.overlaid
        self._keep()

    def action_pick(self) -> None:
        from hrm_console.screens.run_pick import PickScreen

        chosen = [kind.name for kind in self.kinds()]
        self.app.push_screen(PickScreen(catalogue([run.feed for run in self.shown_runs()]), chosen), self._picked)

    def _picked(self, answer: tuple[bool, tuple[str, ...] | None] | None) -> None:
        changed, names = answer or (False, None)
        if changed:
            self.names = names
            self._keep()

    def action_save_csv(self) -> None:
        from hrm_console.exporting import save_csv

        runs = self.shown_runs()
        if runs:
            save_csv(self.app, charts_of(runs, self.look, self.kinds(), full_names=True))

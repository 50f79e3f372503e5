"""Runs held against each other: curves over one another, settings that differ, tests gained and lost, the verdict.

Shows the feeds of at most eight runs, run.json of each, the predictions of the baseline and of one other run, and what
`hrm compare --json` says (comparing.py asks for both): the console gives no verdict of its own. A wide and tall
terminal shows everything at once, others a page at a time. Keys: tables/compare.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from hrm_console.actions import bindings_of
from hrm_console.exporting import save_csv
from hrm_console.rows.feed import Feed
from hrm_console.rows.listing import RunLine
from hrm_console.screens.base import Room
from hrm_console.screens.held import Held
from hrm_console.views.compare import words as words
from hrm_console.views.compare.charts import FIRST_CHOICE, compare_charts, look_after, next_choice, shown_runs
from hrm_console.views.compare.comparing import Comparing
from hrm_console.views.compare.state import FILTERS, Chosen, chosen_runs, differing, listed_tests
from hrm_console.views.run.charts import MOST_RUNS, Look, Shown, colors_of
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.chart_grid import ChartGrid
from hrm_console.widgets.lines import Choice, Rows
from hrm_core.runs.paired import PairedTest

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

PAGES = ("curves", "settings", "tests", "verdict")
NUM_CHARTS = 4


@final
class CompareScreen(Room):
    """Two or more runs: those given, else the marked ones. Runs that vanish meanwhile are left out."""

    ROOM = "compare"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, *run_ids: str) -> None:
        super().__init__()
        self.given = self.wanted = run_ids
        self.marks: tuple[object, ...] = ()
        self.comparing = Comparing(lambda: self.app, self._told)
        self.page, self.look, self.choice = PAGES[0], Look(), FIRST_CHOICE
        self.kind = FILTERS[0]
        self.tests: list[PairedTest] = []
        self.tabs = Bar(self._tabs, id="tabs")
        self.curves = ChartGrid(NUM_CHARTS, id="curves")
        self.settings_pane = Rows(id="settings", classes="pane")
        self.verdict_pane = Rows(id="verdict", classes="pane")
        self.family_list, self.test_list = Choice(id="families"), Choice(id="tests")
        self.held = Held[str](self.family_list)
        self.tests_line = Bar(self._tests_line, id="tests-line")
        self.empty = Rows(id="empty", focusable=False)
        self.settings_pane.border_title, self.verdict_pane.border_title = "settings that differ", "verdict"

    def compose(self) -> ComposeResult:
        yield Bar(self._title, id="title")
        yield Bar(self._legend, id="legend")
        yield self.tabs
        yield self.empty
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield self.curves
                with Vertical(id="puzzles"):
                    yield self.tests_line
                    yield Bar(self._families_line, id="families-line")
                    yield Horizontal(self.family_list, self.test_list, id="lists")
            yield Vertical(self.verdict_pane, self.settings_pane, id="right")
        yield Bar(self._keys, id="keys")

    def on_mount(self) -> None:
        self._choose()
        self.action_page(self.page)

    def runs_changed(self) -> None:
        """The app has read the folder."""
        self._choose()

    def feed_changed(self) -> None:
        """The app has new rows of the runs."""
        self.show_curves()

    def shell_words(self) -> tuple[str, ...]:
        return ("compare", *self.chosen.runs) if self.chosen.is_pair else ("compare", "--help")

    def on_screen_resume(self) -> None:
        self._choose()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_all)

    # Which runs -------------------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> Chosen:
        """The runs that are compared."""
        return self.comparing.chosen

    @property
    def lines(self) -> list[RunLine]:
        """The runs as they are listed now, the baseline first."""
        return [line for name in self.chosen.runs if (line := self.app.line_of(name)) is not None]

    @property
    def family(self) -> str:
        """The family under the cursor; empty for all tests."""
        return self.held.key or ""

    @property
    def run_colors(self) -> dict[str, int]:
        """The colour of each run that has curves here: a baseline that is changed changes none."""
        return colors_of(sorted(self.chosen.runs[:MOST_RUNS]))

    @property
    def feeds(self) -> dict[str, Feed]:
        """The rows of each run that has curves here, as far as they are there."""
        known = ((name, self.app.feed_of(name)) for name in self.chosen.runs[:MOST_RUNS])
        return {name: feed for name, feed in known if feed is not None}

    @property
    def shown(self) -> list[Shown]:
        """The runs on the charts."""
        return shown_runs(self.chosen, self.feeds, self.run_colors)

    def _choose(self) -> None:
        """Take the runs that are there; ask for what is not known of them."""
        app = self.app
        if app.in_sight is not self:
            return
        marks = (app.session.marked, app.session.baseline)
        if not self.given and marks != self.marks:
            self.wanted, self.marks = (), marks
        found = chosen_runs(self.wanted, app.session, app.subject, (line.run_id for line in app.runs))
        if found.runs != self.chosen.runs:
            self.comparing.chosen = found
        if found.is_pair:
            self.wanted = found.runs
        self._compare()

    def _compare(self) -> None:
        if self.chosen.is_pair:
            self.app.follow(*self.lines[:MOST_RUNS])
            self.comparing.ask()
        self.show_all()

    def _told(self) -> None:
        if self.is_attached:
            self.show_words()
            self.show_tests()

    # Drawing ----------------------------------------------------------------------------------------------------------

    def show_all(self) -> None:
        """Draw everything; panes paint what changed."""
        self.set_class(not self.chosen.is_pair, "-empty")
        self.empty.show(words.nothing_rows(self.app.runs_known, self.app.palette, self.size.width))
        self.show_curves()
        self.show_words()
        self.show_tests()
        for bar in self.query(Bar):
            bar.update()

    def show_curves(self) -> None:
        """Draw the curves of the runs whose rows are there."""
        look = replace(self.look, growing=any(not line.ended for line in self.lines))
        self.curves.draw(compare_charts(self.shown, look, self.choice))
        self.tabs.update()

    def show_words(self) -> None:
        """Draw settings and verdict."""
        palette, lines = self.app.palette, self.lines
        pane, verdict = self.settings_pane, self.verdict_pane
        pane.show(words.config_rows(differing(lines), lines, self.chosen.at, palette, pane.size.width))
        verdict.show(words.verdict_rows(self.comparing.answer, palette, verdict.size.width))

    def show_tests(self) -> None:
        """Draw the families, and the tests of the one under the cursor."""
        palette, counts = self.app.palette, words.family_counts(self.comparing.paired)
        families, width = [row.family for row in counts], self.family_list.size.width
        if self.family not in families:
            self.held.key = ""
        self.held.show([words.family_row(row, palette, width) for row in counts], families)
        self.tests = listed_tests(self.comparing.paired, self.kind, self.family)
        width = self.test_list.size.width
        self.test_list.show([words.paired_row(test, palette, width) for test in self.tests])
        self.test_list.move_to(max(0, min(self.test_list.cursor, len(self.tests) - 1)))
        self.tests_line.update()
        self.tabs.update()

    @on(Choice.Moved)
    def moved(self, message: Choice.Moved) -> None:
        if message.choice is self.family_list:
            self.test_list.cursor = 0
            self.show_all()

    @on(Choice.Chosen)
    def opened(self, message: Choice.Chosen) -> None:
        """A family: go to its tests. A test: both grids of it, side by side."""
        paired = self.comparing.paired
        if message.choice is self.family_list:
            self.test_list.focus()
        elif paired is not None and message.index < len(self.tests):
            self.app.go("puzzles", paired.runs[0], paired.steps[0], self.tests[message.index].name, paired.runs[1])

    # The lines above and below ----------------------------------------------------------------------------------------

    def _title(self, width: int) -> Text:
        return self.title_text("compare", width)

    def _legend(self, width: int) -> Text:
        return words.legend(self.chosen, self.run_colors, self.app.palette, width)

    def _families_line(self, width: int) -> Text:
        return words.lists_header(self.family_list.size.width, self.kind, self.family, self.app.palette, width)

    def _tests_line(self, width: int) -> Text:
        found, line = self.comparing, self.app.line_of(self.chosen.other)
        return words.paired_line(found.paired, line, found.trouble, self.app.palette, width)

    def _tabs(self, width: int) -> Text:
        words_of_charts = self.curves.words(brief=True)
        measured = words.measured_words(self.look, self.feeds.get(self.chosen.baseline), words_of_charts)
        in_sight = self.page == "curves" or (self.has_class("-wide") and self.has_class("-tall"))
        return words.tabs_row(PAGES, self.page, measured if in_sight else "", self.app.palette, width)

    def _keys(self, width: int) -> Text:
        everything = self.has_class("-wide") and self.has_class("-tall")
        return self.keys_text(width, words.idle_keys(self.chosen, "" if everything else self.page))

    # Actions ----------------------------------------------------------------------------------------------------------

    def action_page(self, page: str) -> None:
        self.page = page
        for name in PAGES:
            self.set_class(name == page, f"-page-{name}")
        panes = {"settings": self.settings_pane, "tests": self.family_list, "verdict": self.verdict_pane}
        self.set_focus(panes.get(page))
        self.call_after_refresh(self.show_all)

    def action_other(self, step: int) -> None:
        self.comparing.chosen = self.chosen.turned(step)
        self._compare()

    def action_baseline(self) -> None:
        """Make the run that is held against the baseline the baseline, here and for the session."""
        if self.chosen.other:
            self.comparing.chosen = self.chosen.swapped()
            self.wanted = self.chosen.runs
            self.app.remember(replace(self.app.session, baseline=self.chosen.baseline))
            self.marks = (self.app.session.marked, self.app.session.baseline)
            self.app.say(f"{self.chosen.baseline} is the baseline")
            self._compare()

    def action_verdict(self) -> None:
        self.comparing.ask(again=True)
        self.show_all()

    def action_filter(self) -> None:
        self.kind = FILTERS[(FILTERS.index(self.kind) + 1) % len(FILTERS)]
        self.test_list.cursor = 0
        self.show_all()

    def action_charts(self, step: int) -> None:
        self.curves.turn(step)
        self.tabs.update()

    def action_zoom(self) -> None:
        self.curves.zoom()
        self.tabs.update()

    def action_choice(self, step: int) -> None:
        """Another chart in the last place."""
        self.choice = next_choice(list(self.feeds.values()), self.choice, step)
        self.show_curves()

    def action_look(self, what: str) -> None:
        """Another axis, scale, smoothing, window or place of the crosshair."""
        self.look = look_after(what, self.look, list(self.feeds.values()), self.curves.cells)
        self.show_curves()

    def action_save_csv(self) -> None:
        if self.shown:
            save_csv(self.app, compare_charts(self.shown, self.look, self.choice, full_names=True))

    def action_back(self) -> None:
        if self.look.cursor is not None:
            self.look = replace(self.look, cursor=None)
            self.show_curves()
        else:
            self.dismiss()

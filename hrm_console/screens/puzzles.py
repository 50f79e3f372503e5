"""Puzzles: what a run answered at a validation, test by test, as coloured grids; its segments, votes and overlays.

Shows what `<run>/predictions/` holds, read in threads by puzzle_reading.py: a list of tests, the grids of the one under
the cursor, and all about it in words. With `other_run` its answer to the same test stands beside. A wide terminal
shows everything at once, a narrow one a page at a time. What keys do to where one is: puzzle_state.py; the keys
themselves: tables/puzzles.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer

from hrm_console.actions import bindings_of
from hrm_console.screens import puzzles_words as said
from hrm_console.screens.base import Room
from hrm_console.views.puzzles.boards import Board
from hrm_console.views.puzzles.grids import Look, look_of
from hrm_console.views.puzzles.loading import Loading
from hrm_console.views.puzzles.puzzles import Puzzle, PuzzleLine
from hrm_console.views.puzzles.reading import Read
from hrm_console.views.puzzles.state import PuzzleState, state_board
from hrm_console.widgets.bar import Bar, two_ends
from hrm_console.widgets.grid import GridPane
from hrm_console.widgets.lines import Choice, Rows

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

PAGES = ("list", "grids", "words")
TABS = frozenset({"puzzles_1", "puzzles_2", "puzzles_3"})
PLAY_S = 0.5
LEFT_WIDTH = 54  # as in puzzles.tcss


@final
class PuzzlesScreen(Room):
    """The tests of a run (None: the one last looked at, else the newest) at a step (None: the newest, followed)."""

    ROOM = "puzzles"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(
        self,
        run_id: str | None = None,
        step: int | None = None,
        puzzle: str | None = None,
        other_run: str | None = None,
    ) -> None:
        super().__init__()
        self.page = "list" if puzzle is None else "grids"
        self.state = PuzzleState(compared=other_run is not None, wanted=puzzle)
        self.source = Loading(self.state, run_id, step, other_run, lambda: self.is_attached, self.show_all)
        self.playing = False
        self.timer: Timer | None = None
        self.board: Board | None = None
        self.listed: tuple[list[PuzzleLine], int] = ([], 0)
        self.tests = Choice(id="tests")
        self.words = Rows(id="words", classes="pane")
        self.grids = GridPane(id="grids")
        self.words.border_title = "about the test"

    def compose(self) -> ComposeResult:
        yield Bar(self._title, id="title")
        state = self.state
        yield Bar(lambda width: said.summary_text(state, self.source.gone, self.app.palette, width), id="summary")
        yield Bar(lambda width: said.tabs_text(PAGES, self.page, state, self.app.palette, width), id="tabs")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Bar(lambda width: said.tally_text(state, self.app.palette, width), id="tally")
                yield Bar(lambda width: said.header_text(self.app.palette, width, state.compared), id="header")
                yield self.tests
                yield self.words
            yield Vertical(self.grids, id="right")
        yield Bar(self._halting, id="halting")
        yield Bar(lambda width: self.keys_text(width, TABS), id="keys")

    def on_mount(self) -> None:
        self.state.view = replace(self.state.view, ascii=self.glyphs.ascii)
        self.timer = self.set_interval(PLAY_S, self._play_on, pause=True)
        self.action_page(self.page)
        if not self.has_class("-narrow"):
            self.tests.focus()
        self.look()

    def runs_changed(self) -> None:
        """The app has read the folder: look for new steps."""
        self.look()

    def feed_changed(self) -> None:
        """Rows of metrics are not shown here."""

    def shell_words(self) -> tuple[str, ...]:
        run, name, step = self.state.found.run_id or self.source.run_id, self.state.name, self.state.found.step
        if run is None or name is None:
            return ("list",) if run is None else ("show", run)
        return ("show", run, "--puzzle", name, "--step", str(step))

    def on_screen_resume(self) -> None:
        self.look()
        self.show_all()

    def on_screen_suspend(self) -> None:
        self._set_playing(False)

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_all)

    @property
    def text_width(self) -> int:
        """Columns of list and words without a scroll bar; not asked of them, as they may be out of sight."""
        return (self.size.width if self.has_class("-narrow") else LEFT_WIDTH - 1) - 1

    def look(self) -> None:
        """See whether anything new is kept."""
        if self.app.runs_known and self.app.in_sight is self:
            self.source.look(self.app)

    @property
    def glyphs(self) -> Look:
        """What the terminal can draw."""
        return look_of(self.app.console.color_system, self.app.settings.text("console.markers"))

    # Showing ----------------------------------------------------------------------------------------------------------

    def show_all(self) -> None:
        """Draw list, grids, words and bars."""
        self.show_list()
        self.show_puzzle()

    def show_list(self) -> None:
        """Draw the list, where it is another one; the cursor in it moves alone."""
        state, width = self.state, self.text_width
        if self.listed[0] is not state.lines or self.listed[1] != width:
            self.listed = (state.lines, width)
            self.tests.show(
                [
                    said.line_text(
                        line, state.found.other_exact.get(line.name), state.compared, self.app.palette, width
                    )
                    for line in state.lines
                ]
            )
        if state.lines:
            self.tests.move_to(state.at)

    def show_puzzle(self) -> None:
        """Draw the grids and the words of the test looked at."""
        self.board = None
        puzzle = self.state.puzzle if self.state.name is not None else None
        self.set_class(puzzle is None, "-empty")
        if puzzle is None:
            reading = not (self.app.runs_known and self.source.looked) or self.source.reading
            self.grids.show(said.nothing_rows(self.state, self.source.run_id, reading, self.grids.size.width - 2))
            self.words.show([])
        else:
            self._draw(puzzle)
        for bar in self.query(Bar):
            bar.update()

    def _draw(self, puzzle: Puzzle) -> None:
        state, size = self.state, self.grids.size
        if size.width:
            self.board = state_board(state, puzzle, size.width, size.height, self.glyphs)
            self.grids.show(self.board.rows)
        self.words.show(said.puzzle_rows(state, puzzle, self.app.palette, self.text_width))

    def _tell(self, sentence: str) -> None:
        if sentence:
            self.app.say(sentence)

    def _moved(self) -> None:
        """Another test may be looked at now, or another list."""
        self._set_playing(False)
        self.show_list()
        if self.state.name is None:
            self.state.have(Read())
        if self.state.name != self.state.loaded:
            self.source.read(self.app)
        else:
            self.show_puzzle()
        self.query_one("#tally", Bar).update()

    # The lines above and below ----------------------------------------------------------------------------------------

    def _title(self, width: int) -> Text:
        step = "" if self.state.found.step is None else f", step {self.state.found.step}"
        other = "" if self.source.other_run is None else f" A | {self.source.other_run} B"
        return self.title_text(f"puzzles of {self.source.run_id or 'a run'}{other}{step}", width)

    def _halting(self, width: int) -> Text:
        right = said.board_text(self.board, self.state, self.app.palette)
        return two_ends(said.halting_text(self.state, self.playing, self.app.palette), right, width, "")

    # Actions ----------------------------------------------------------------------------------------------------------

    @on(GridPane.Sized)
    def sized(self) -> None:
        self.show_all()

    @on(Choice.Moved)
    def moved(self) -> None:
        # Where the cursor is now: an earlier message would take it back there, and that be told in a message again.
        if self.tests.cursor != self.state.at:
            self.state.go(self.tests.cursor)
            self._moved()

    @on(Choice.Chosen)
    def chosen(self, message: Choice.Chosen) -> None:
        self.action_page("grids")

    def action_page(self, page: str) -> None:
        self.page = page
        for name in PAGES:
            self.set_class(name == page, f"-page-{name}")
        {"list": self.tests, "grids": self.grids, "words": self.words}[page].focus()
        self.call_after_refresh(self.show_all)

    def action_tests(self, change: str, step: int = 1) -> None:
        """Another test, or another list of them."""
        state = self.state
        changes = {
            "failure": lambda: state.failure(step),
            "test": lambda: state.move(step),
            "family": lambda: state.family(step),
            "filter": state.filter,
            "sort": state.sort,
        }
        self._tell(changes[change]())
        self._moved()

    def action_segment(self, step: int) -> None:
        self._tell(self.state.segment(step))
        self._moved()

    def action_play(self) -> None:
        puzzle = self.state.puzzle
        if self.playing or puzzle is None or not puzzle.segments:
            self._set_playing(False)
            if puzzle is not None and not puzzle.segments:
                self.action_segment(1)
            else:
                self.show_puzzle()
            return
        if self.state.at_last_segment:
            self.state.view = replace(self.state.view, segment=None)
        self._set_playing(True)
        self._play_on()

    def _play_on(self) -> None:
        if not self.state.at_last_segment:
            self.state.segment(1)
        if self.state.at_last_segment:
            self._set_playing(False)
        self.show_puzzle()

    def _set_playing(self, playing: bool) -> None:
        self.playing = playing
        if self.timer is not None and playing:
            self.timer.resume()
        elif self.timer is not None:
            self.timer.pause()

    def action_view(self, change: str) -> None:
        """The same test, seen in another way."""
        state = self.state
        changes = {
            "votes": state.votes,
            "canonical": state.canonical,
            "objects": lambda: state.letters("objects"),
            "graph": lambda: state.letters("graph"),
            "descriptors": state.describe,
            "size": state.resize,
        }
        self._set_playing(False)
        self._tell(changes[change]())
        self.show_puzzle()

    def action_step(self, step: int) -> None:
        wanted = self.state.step_from(step)
        if wanted is not None:
            # The newest one is followed: when a newer one is written, that is shown.
            self.source.step = None if wanted == self.state.found.steps[-1] else wanted
            self.look()

    def action_demonstrations(self, step: int) -> None:
        if self.board is not None:
            self.state.board_page = (self.board.page + step) % self.board.pages
            self.show_puzzle()

    def action_back(self) -> None:
        self.dismiss()

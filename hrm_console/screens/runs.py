"""The runs screen: the runs of the folder in a live table, and the one under the cursor in words and curves.

Shows the app's `runs` (status.json, result.json and the last rows, read by the watching thread), filtered and sorted as
the session says, and, where the terminal is tall, loss and exact of the chosen run from the app's feed. On opening:
what happened since the last look. Keys: tables/runs.py. Renaming and removing: runs_steps.py.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Label

from hrm_console.actions import bindings_of
from hrm_console.rows.listing import RunLine
from hrm_console.screens import runs_steps as steps
from hrm_console.screens import runs_words as words
from hrm_console.screens.base import Room
from hrm_console.screens.frame import folder_words
from hrm_console.screens.held import Held
from hrm_console.screens.runs_digest import DigestPanel
from hrm_console.screens.runs_preview import Preview
from hrm_console.session import MAX_MARKED
from hrm_console.views.launch import forking
from hrm_console.views.runs.columns import RowCache, columns_for, header_row, sort_keys
from hrm_console.views.runs.view import Chooser, View, list_words, next_sort, reversed_sort
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.filter_line import FilterLine
from hrm_console.widgets.lines import Choice, Rows

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

# Title, header, rule and keys.
FRAME_ROWS = 4
# With fewer, less what stands above the table, the run under the cursor is not shown below it.
LEAST_ROWS = 10


@final
class RunsScreen(Room):
    """The table. The run under the cursor is held by name, so that a run that appears above does not move it."""

    ROOM = "runs"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.chooser, self.rows, self.view = Chooser(), RowCache(), View()
        self.filter_before, self.wrong, self.hint = "", "", ""
        self.digest = DigestPanel()
        self.line_above = Bar(self._line_above, id="view")
        self.field = FilterLine(id="filter")
        self.table = Choice(id="table")
        self.held = Held[str](self.table)
        self.empty = Rows(id="empty", focusable=False)
        self.preview = Preview()
        self.keys = Bar(self._keys, id="keys")

    def compose(self) -> ComposeResult:
        yield Bar(self._title, id="title")
        yield self.digest
        with Horizontal(id="filtering"):
            yield Label(" filter ", markup=False)
            yield self.field
        yield self.line_above
        yield Bar(self._header, id="header")
        yield self.table
        yield self.empty
        yield self.preview
        yield self.keys

    def on_mount(self) -> None:
        self.table.focus()
        self.show_runs()

    def on_unmount(self) -> None:
        self.digest.keep()

    @property
    def listed(self) -> tuple[RunLine, ...]:
        """The runs that are shown, in order."""
        return self.view.lines

    def runs_changed(self) -> None:
        """The app has read the folder."""
        self.digest.look_back()
        self.show_runs()

    def feed_changed(self) -> None:
        """The app has new rows of the chosen run."""
        self.show_charts()

    def shell_words(self) -> tuple[str, ...]:
        return list_words(self.app.session)

    def on_screen_resume(self) -> None:
        self.show_runs()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_runs)

    @property
    def chosen(self) -> str | None:
        """The name of the run under the cursor."""
        return self.held.key

    def line(self) -> RunLine | None:
        """The run under the cursor."""
        return None if self.chosen is None else self.app.line_of(self.chosen)

    # The table --------------------------------------------------------------------------------------------------------

    def show_runs(self) -> None:
        """Draw the table from the app's runs; only rows that changed are painted."""
        app, session = self.app, self.app.session
        self.view = self.chooser.view(app.runs, session, time.time())
        self.set_class(not app.runs, "-empty")
        self.set_class(words.has_view_line(session, self.view.trouble) or self.has_class("-filtering"), "-viewed")
        self.set_class(not self.listed, "-none")
        self.set_class(self.size.height - self._rows_above() < LEAST_ROWS, "-low")
        columns = columns_for(self.size.width, self.listed)
        rows = self.rows.rows(self.listed, columns, app.palette, frozenset(session.marked), session.baseline)
        self.held.show(rows, [line.run_id for line in self.listed])
        if self.listed:
            self.moved()
        else:
            self.preview.show(None, 0)
        if not app.runs:
            folder = folder_words(app.runs_dir)
            width = max(8, self.size.width - 2)
            self.empty.show(words.empty_rows(folder, app.trouble, app.runs_known, app.palette, width))
        self.digest.draw()
        for bar in self.query(Bar):
            bar.update()

    @on(Choice.Moved)
    def moved(self) -> None:
        """Another run may be under the cursor."""
        if self.app.in_sight is self and self.listed:
            self.app.follow(self.line())
        self.show_preview()

    @on(Choice.Chosen)
    def opened(self) -> None:
        self.action_open()

    def show_preview(self) -> None:
        """The chosen run in words; its curves come with the feed."""
        spare = self.size.height - FRAME_ROWS - len(self.listed) - self._rows_above()
        self.preview.show(self.line(), max(6, spare if self.has_class("-short") else 12))
        self.keys.update()
        self.show_charts()

    def _rows_above(self) -> int:
        return self.digest.rows_used + self.has_class("-viewed") + self.has_class("-filtering")

    def show_charts(self) -> None:
        """Loss and exact of the chosen run, where there is room."""
        if self.has_class("-tall") and self.app.in_sight is self:
            self.preview.show_charts(self.line())

    # Lines ------------------------------------------------------------------------------------------------------------

    def _title(self, width: int) -> Text:
        return self.title_text(words.title_words(len(self.listed), len(self.app.runs), self.app.session), width)

    def _line_above(self, width: int) -> Text:
        app, shown = self.app, len(self.listed)
        if self.has_class("-filtering"):
            counts = (shown, len(app.runs))
            return words.editing_line(self.field.value, counts, self.wrong, self.hint, app.palette, width)
        return words.view_line(app.session, shown, len(app.runs), self.view.trouble, app.palette, width)

    def _header(self, width: int) -> Text:
        return header_row(columns_for(width, self.listed), self.app.palette, self.app.session.sort)

    def _keys(self, width: int) -> Text:
        return self.keys_text(width, words.hidden_keys(self.line(), self.app.session, bool(self.digest.news)))

    # Keys -------------------------------------------------------------------------------------------------------------

    @on(FilterLine.Changed)
    def filter_changed(self, message: FilterLine.Changed) -> None:
        """Every letter filters, if what is written so far means something."""
        self.wrong, self.hint = steps.try_filter(self.app, message.value, self.filter_before)
        self.show_runs()

    @on(FilterLine.Left)
    def filter_left(self) -> None:
        if not self.wrong:
            self._remember(filter=self.field.value)
        self._edit_filter(bool(self.wrong))

    def _edit_filter(self, editing: bool) -> None:
        self.set_class(editing, "-filtering")
        (self.field if editing else self.table).focus()
        self.show_runs()

    def action_filter(self) -> None:
        self.field.value = self.filter_before = self.app.session.filter
        self.field.cursor_position = len(self.field.value)
        self._edit_filter(True)

    def action_clear(self) -> None:
        """Escape: one thing at a time."""
        if not self.has_class("-filtering") and self.digest.display:
            self.digest.open(False)
        elif self.has_class("-filtering") or self.app.session.filter:
            self._remember(filter="")
            self.filter_before = self.field.value = self.wrong = self.hint = ""
            self._edit_filter(False)
        self.show_runs()

    def _remember(self, **values: object) -> None:
        self.app.remember(replace(self.app.session, **values))  # type: ignore[arg-type]
        self.show_runs()

    def action_sort(self) -> None:
        self._remember(sort=next_sort(self.app.session.sort, sort_keys(columns_for(self.size.width, self.listed))))

    def action_sort_reverse(self) -> None:
        self._remember(sort=reversed_sort(self.app.session.sort))

    def action_mark(self) -> None:
        if (line := self.line()) is not None:
            self.app.remember(self.app.session.toggled(line.run_id))
            self.show_runs()
            self.table.action_cursor(1)

    def action_mark_all(self) -> None:
        self._remember(marked=tuple(line.run_id for line in self.listed[:MAX_MARKED]))
        if len(self.listed) > MAX_MARKED:
            self.app.say(f"marked the first {MAX_MARKED} of {len(self.listed)}; more cannot be marked")

    def action_unmark(self) -> None:
        self._remember(marked=())

    def action_baseline(self) -> None:
        if (line := self.line()) is not None:
            self._remember(baseline="" if self.app.session.baseline == line.run_id else line.run_id)

    def action_digest(self) -> None:
        if self.digest.news:
            self.digest.open(not self.digest.display)
            self.show_runs()
        else:
            self.app.say("nothing has happened since the last look")

    def action_rename(self) -> None:
        steps.rename(self, self.line())

    def action_remove(self) -> None:
        steps.remove(self.app, self.line(), words.marked_lines(self.app.runs, self.app.session))

    def action_open(self) -> None:
        if (line := self.line()) is not None:
            self.app.show_run(line.run_id)

    def action_stop(self) -> None:
        self.app.steering.ask_stop(self.line())

    def action_pause(self) -> None:
        self.app.steering.pause_or_continue(self.line())

    def action_resume(self) -> None:
        self.app.steering.resume(self.line())

    def action_extend(self) -> None:
        forking.extend(self.app, self.line())

    def action_fork(self) -> None:
        forking.fork(self.app, self.line())

"""The archive: bests of all runs by any metric, and the one under the cursor opened.

Shows `hrm_core.runs.archive` of the app's folder, read in threads by archive_reading.py. What keys do to an entry
(pinning, promoting, exporting, evaluating again, pruning) is in archive_steps.py, the keys in tables/archive.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Label

from hrm_console.actions import bindings_of
from hrm_console.rows.evaluations import Row
from hrm_console.screens import archive_steps as steps
from hrm_console.screens.base import NOTHING_HIDDEN, Room
from hrm_console.screens.frame import folder_words
from hrm_console.screens.held import Held
from hrm_console.views.archive import page as page
from hrm_console.views.archive import words as words
from hrm_console.views.archive.reading import Reading, View, view_of
from hrm_console.widgets.bar import Bar
from hrm_console.widgets.filter_line import FilterLine
from hrm_console.widgets.lines import Choice, Rows
from hrm_console.words import wrap
from hrm_core.runs.archive import Entry, Listing

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

# List and page stand side by side from this width on.
ROOMY_WIDTH = 130


@final
class ArchiveScreen(Room):
    """The list and a page. The entry under the cursor is held by its folder, so that a new best does not move it.

    `chosen` is the name of the entry to begin at, such as RUN@STEP.
    """

    ROOM = "archive"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, chosen: str = "") -> None:
        super().__init__()
        self.wanted = chosen
        self.view = View()
        self.reading = Reading(self.app, self._listed, self._opened)
        self.answers: dict[Path, Row | str | None] = {}
        self.title_bar = Bar(self._title, id="title")
        self.field = FilterLine(id="filter")
        self.entries = Choice(id="entries")
        self.held = Held[Path](self.entries)
        self.read_of: Path | None = None
        self.empty = Rows(id="empty", focusable=False)
        self.pane = Rows(id="details", classes="pane")
        self.entries.border_title, self.pane.border_title = "list", "page"

    def compose(self) -> ComposeResult:
        yield self.title_bar
        with Horizontal(id="filtering"):
            yield Label(" filter ", markup=False)
            yield self.field
        yield Bar(self._summary, id="summary")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Bar(self._header, id="header")
                yield self.entries
                yield self.empty
            yield self.pane
        yield Bar(self._keys, id="keys")

    def on_mount(self) -> None:
        self.entries.focus()
        self.show_list()
        self.reading.read()

    def runs_changed(self) -> None:
        """The app has read the folder: look now and then whether a best has come."""
        self.reading.read_now_and_then()
        self.title_bar.update()

    def feed_changed(self) -> None:
        """Rows of metrics are not shown here."""

    def on_screen_resume(self) -> None:
        self.reading.read()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= ROOMY_WIDTH, "-roomy")
        self.call_after_refresh(self.show_list)

    def shell_words(self) -> tuple[str, ...]:
        entry = self.entry
        if self.has_class("-opened") and entry is not None:
            return ("archive", "show", entry.name)
        return ("archive", "list", "--by", self.view.by, *(("--best",) if self.view.only_best else ()))

    @property
    def listing(self) -> Listing | None:
        """The archive, once it is read."""
        return self.reading.listing

    @property
    def entry(self) -> Entry | None:
        """The entry under the cursor."""
        folder = self.held.key
        return next((entry for entry in self.view.entries if entry.folder == folder), None)

    def remember(self, **values: str | bool) -> None:
        """Keep how the list is sorted and filtered, and draw it."""
        self.app.remember(self.app.session.with_view(self.ROOM, **values))
        self.show_list()

    def _listed(self) -> None:
        if self.is_attached:
            self.read_of = None  # its page may say something else now
            self.show_list()

    def _read_page(self) -> None:
        """Read the page of the entry under the cursor."""
        self.read_of = self.held.key
        self.reading.open(self.entry)

    def _opened(self) -> None:
        if self.is_attached:
            self.show_page()

    # Drawing ----------------------------------------------------------------------------------------------------------

    def show_list(self) -> None:
        """Draw the list as it is sorted and filtered; only rows that changed are painted."""
        self.view = view_of(self.listing, self.app.session.views.get(self.ROOM, {}))
        entries, palette = self.view.entries, self.app.palette
        self.set_class(not entries, "-empty")
        width = self.entries.size.width or self.size.width
        wanted = next((entry.folder for entry in entries if entry.name == self.wanted), None)
        if wanted is not None:
            self.held.key, self.wanted = wanted, ""
        rows = [words.entry_row(entry, self.view.by, palette, width) for entry in entries]
        self.held.show(rows, [entry.folder for entry in entries])
        if not entries:
            self.empty.show(self._empty_rows())
        if self.held.key != self.read_of:
            self._read_page()
        for bar in self.query(Bar):
            bar.update()
        self.show_page()

    def show_page(self) -> None:
        """Draw the page of the entry under the cursor."""
        entry, details = self.entry, self.reading.details
        # A page that has just been opened is not laid out yet.
        width = self.pane.size.width or (self.size.width - 2 if self.has_class("-opened") else 0)
        if width <= 0:
            return
        palette = self.app.palette
        if entry is None or details is None or details.entry.folder != entry.folder:
            self.pane.show([Text("" if entry is None else " reading …", palette.muted, no_wrap=True, end="")])
            return
        details, folder = replace(details, entry=entry), entry.folder
        checked, checking = self.reading.checked.get(folder), self.reading.is_checking(folder)
        again = page.again_rows(self.answers[folder], details, palette, width) if folder in self.answers else ()
        rows = page.details_rows(details, checked, checking, palette, width, again)
        self.pane.show(rows + page.log_rows(details, palette, width))

    def _title(self, width: int) -> Text:
        return self.title_text("archive", width)

    def _summary(self, width: int) -> Text:
        if self.listing is None:
            return Text("")
        budget_gib = self.app.settings.number("archive.budget_gib")
        return words.summary_text(self.listing, self.view, budget_gib, self.app.palette, width)

    def _header(self, width: int) -> Text:
        return words.header_row(self.view.by, self.app.palette, width)

    def _keys(self, width: int) -> Text:
        hidden = frozenset({"archive_open", "archive_sort"}) if self.has_class("-opened") else NOTHING_HIDDEN
        return self.keys_text(width, hidden if self.view.entries else steps.NEED_AN_ENTRY)

    def _empty_rows(self) -> list[Text]:
        palette, width, folder = self.app.palette, self.size.width - 2, folder_words(self.app.runs_dir)
        if self.reading.trouble:
            return wrap(f"Cannot read {folder}: {self.reading.trouble}", width, palette.bad, indent="  ")
        if self.listing is None:
            return [Text(f"  reading {folder} …", palette.muted, no_wrap=True, end="")]
        if self.listing.entries:
            return wrap("Nothing fits the filter; esc takes it away.", width, palette.warn, indent="  ")
        text = "Nothing is archived yet. A run archives each new best of its full validations, with weights and log."
        return [Text(""), *wrap(text, width, palette.text, indent="  ")]

    # Keys -------------------------------------------------------------------------------------------------------------

    @on(Choice.Moved)
    def moved(self) -> None:
        if self.held.key != self.read_of:
            self._read_page()
            self.pane.scroll_home(animate=False)
            self.show_page()

    @on(Choice.Chosen)
    def entry_chosen(self) -> None:
        self.action_open_page()

    @on(Input.Changed)
    def filtered(self) -> None:
        if self.field.value != self.view.filter:
            self.remember(filter=self.field.value)

    @on(FilterLine.Left)
    def left_filter(self) -> None:
        self.remove_class("-filtering")
        self.entries.focus()

    def action_open_page(self) -> None:
        if self.entry is not None:
            self.add_class("-opened")
            self.pane.focus()
            self.reading.open(self.entry, verify=True)
            self.call_after_refresh(self.show_list)

    def action_back(self) -> None:
        if self.has_class("-opened"):
            self.remove_class("-opened")
            self.entries.focus()
            self.call_after_refresh(self.show_list)
        elif self.has_class("-filtering") or self.view.filter:
            self.field.value = ""
            self.remember(filter="")
            self.left_filter()
        else:
            self.dismiss()

    def action_filter(self) -> None:
        self.remove_class("-opened")
        self.add_class("-filtering")
        self.field.value = self.view.filter
        self.field.focus()

    def action_order(self, step: int) -> None:
        known = words.orders(self.listing or Listing())
        self.remember(by=known[(known.index(self.view.by) + step) % len(known)])

    def action_only_best(self) -> None:
        self.remember(only_best=not self.view.only_best)

    def action_pin(self) -> None:
        steps.pin_or_not(self)

    def action_promote(self) -> None:
        steps.promote(self)

    def action_prune(self) -> None:
        steps.prune(self)

    def action_export(self) -> None:
        steps.export(self)

    def action_evaluate(self) -> None:
        steps.evaluate(self)

    def action_start_from(self) -> None:
        steps.start_from(self)

    def action_run(self) -> None:
        steps.open_run(self)

    def action_puzzles(self) -> None:
        steps.open_puzzles(self)

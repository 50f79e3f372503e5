"""Asks for a run's new name. Ends with the name, or None; says while it is typed why a name cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from hrm_console.actions import bindings_of
from hrm_console.rows.listing import RunLine
from hrm_console.widgets.lines import Rows
from hrm_console.words import middle, wrap
from hrm_core.errors import UserError
from hrm_core.runs.housekeeping import References, references
from hrm_core.runs.layout import check_name
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

WORDS_WIDTH = 66


@final
class RenameScreen(ModalScreen[str | None]):
    """`taken`: names of other runs. Enter waits until it is known who else means the run by its name."""

    ROOM = "run_rename"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, line: RunLine, taken: frozenset[str]) -> None:
        super().__init__()
        self.line, self.taken = line, taken
        self.known: References | None = None
        self.field = Input(clean(line.run_id), id="name", compact=True, select_on_focus=False, max_length=200)
        self.words = Rows(id="words", focusable=False)
        self.dialog = Vertical(self.field, self.words, id="dialog")
        self.dialog.border_title = f"rename {middle(line.run_id, 40)}"
        self.dialog.border_subtitle = "enter renames it, esc does not"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        self.app.in_background(lambda: references(self.line.folder), self._found)
        self._say()

    def _found(self, found: References) -> None:
        if self.is_attached:
            self.known = found
            self._say()

    def trouble(self) -> str:
        """Why the name that is written cannot be; empty if it can."""
        name = self.field.value
        if name == clean(self.line.run_id):
            return "This is its name now."
        if name in self.taken:
            return f"There is a run {name} already."
        try:
            check_name(name)
        except UserError as error:
            return error.message
        return ""

    @on(Input.Changed)
    def _say(self) -> None:
        palette, trouble = self.app.palette, self.trouble()
        width = min(WORDS_WIDTH, self.app.size.width - 4)
        same = self.field.value == clean(self.line.run_id)
        style = palette.bad if trouble and not same else palette.muted
        rows = wrap(trouble or "Its files stay as they are.", width, style)
        for sentence in self.known.sentences if self.known is not None else ("Looking who means it by its name …",):
            rows += wrap(sentence, width, palette.warn if self.known is not None else palette.muted)
        self.words.show(rows)
        self.dialog.styles.height = 3 + len(rows)

    @on(Input.Submitted)
    def submitted(self) -> None:
        if not self.trouble() and self.known is not None:
            self.dismiss(self.field.value)

    def action_back(self) -> None:
        self.dismiss(None)

"""Asks for one line of text: a name for a promoted snapshot, a place for an export. Ends with it, or with None."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, final

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from hrm_console.actions import bindings_of
from hrm_console.widgets.lines import Rows
from hrm_console.words import clean_lines, wrap

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

WIDTH = 74


@final
class AskScreen(ModalScreen[str | None]):
    """`check` says what is wrong with a text, without looking at the disk; enter waits until it says nothing."""

    ROOM = "archive_ask"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, title: str, value: str, words: str, check: Callable[[str], str]) -> None:
        super().__init__()
        self.words, self.check = words, check
        self.field = Input(value, id="answer", compact=True, select_on_focus=False, max_length=1000)
        self.rows = Rows(id="words", focusable=False)
        self.dialog = Vertical(self.field, self.rows, id="dialog")
        self.dialog.border_title = clean_lines(title)[0]
        self.dialog.border_subtitle = "enter does it, esc does not"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        self.field.cursor_position = len(self.field.value)
        self.say()

    @on(Input.Changed)
    def say(self) -> None:
        """What will be done, and what is wrong with the text."""
        palette, width = self.app.palette, min(WIDTH, self.app.size.width) - 4
        trouble = self.check(self.field.value)
        rows = wrap(self.words, width, palette.muted)
        if trouble and self.field.value:
            rows = [*wrap(trouble, width, palette.bad), *rows]
        self.rows.show(rows)
        self.dialog.styles.height = 3 + len(rows)

    @on(Input.Submitted)
    def submitted(self) -> None:
        if not self.check(self.field.value):
            self.dismiss(self.field.value)

    def action_back(self) -> None:
        self.dismiss(None)

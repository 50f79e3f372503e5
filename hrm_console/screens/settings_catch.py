"""Waits for the key that an action shall have: the next key pressed is the one, esc leaves it as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from hrm_console.actions import bindings_of
from hrm_console.widgets.lines import Rows
from hrm_console.words import wrap

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp


@final
class CatchScreen(ModalScreen[str | None]):
    """Ends with the key in Textual's words, or None."""

    ROOM = "catch"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word
        self.words = Rows(id="catch-words", focusable=False)
        self.dialog = Vertical(self.words, id="dialog")
        self.dialog.border_title, self.dialog.border_subtitle = "press the new key", "esc leaves it as it was"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        words = f"The next key you press is the one for: {self.word}. Letters, digits, signs, F keys and ctrl+letter."
        self.words.show(wrap(words, 60, self.app.palette.text))

    def on_key(self, event: events.Key) -> None:
        if event.key != "escape":
            event.stop()
            event.prevent_default()
            self.dismiss(event.key)

    def action_back(self) -> None:
        self.dismiss(None)

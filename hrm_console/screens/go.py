"""Jump letters: where to go, to another screen or to a pane of this one, one letter each.

The screens of rooms.py with their letters, and the panes of the screen below that can be focused, numbered. A letter
that is typed goes there at once; up, down and enter do too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from hrm_console.actions import bindings_of
from hrm_console.rooms import ROOMS
from hrm_console.theme import Palette
from hrm_console.widgets.lines import Choice
from hrm_console.words import plain

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

INNER_WIDTH = 66
Place = tuple[str, str, str]
"""Letter, title, sentence."""


def places_of(room: str, panes: list[str]) -> list[Place]:
    """Every screen but the one looked at, then its panes by number."""
    screens = [
        (entry.letter, entry.title, entry.sentence) for name, entry in ROOMS.items() if entry.letter and name != room
    ]
    return screens + [(str(number), name, "pane of this screen") for number, name in enumerate(panes[:9], 1)]


def place_row(place: Place, palette: Palette, width: int) -> Text:
    """A letter, where it goes, and what is there, cut to a width."""
    letter, title, sentence = place
    row = Text.assemble((f" {letter}  ", palette.key), plain(f"{title:<12}", palette.strong), no_wrap=True, end="")
    row.append("  ").append_text(plain(sentence, palette.muted))
    row.truncate(width, overflow="ellipsis")
    return row


@final
class GoScreen(ModalScreen[None]):
    """The list of places."""

    ROOM = "go"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__()
        self.choices = Choice(id="places")
        self.dialog = Vertical(self.choices, id="dialog")
        self.dialog.border_title, self.dialog.border_subtitle = "go to", "a letter goes there, esc stays"
        self.places: list[Place] = []
        self.panes: list[Widget] = []

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        below, palette = self.app.screen_stack[-2], self.app.palette
        self.panes = [widget for widget in below.focus_chain if widget.id]
        names = [str(pane.border_title or (pane.id or "").replace("-", " ")) for pane in self.panes]
        self.places = places_of(getattr(below, "ROOM", ""), names)
        rows = [place_row(place, palette, INNER_WIDTH) for place in self.places]
        self.dialog.styles.height = len(rows) + 2
        self.choices.show(rows)

    def on_key(self, event: events.Key) -> None:
        letters = [letter for letter, *_ in self.places]
        if event.character in letters:
            event.stop()
            self._go(letters.index(event.character))

    @on(Choice.Chosen)
    def chosen(self, message: Choice.Chosen) -> None:
        self._go(message.index)

    def _go(self, index: int) -> None:
        letter = self.places[index][0]
        self.dismiss()
        if letter.isdigit():
            self.panes[int(letter) - 1].focus()
            return
        room = next(name for name, entry in ROOMS.items() if entry.letter == letter)
        self.app.call_next(self.app.go, room)

    def action_back(self) -> None:
        self.dismiss()

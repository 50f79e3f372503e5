"""Every key, from the one table of actions; the keys of the screen below come first.

`help_rows` is pure: the room it was asked from, a palette, a width -> rows of Text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen

from hrm_console.actions import ACTIONS, MOVEMENT, SCREENS, bindings_of, remapped
from hrm_console.screens.frame import folder_words
from hrm_console.theme import Palette
from hrm_console.widgets.lines import Rows
from hrm_console.words import plain, wrap

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

KEY_COLUMN = 16


def help_rows(room: str, palette: Palette, width: int, keymap: Mapping[str, str] | None = None) -> list[Text]:
    """All keys by screen, `room` first, and the movement keys."""
    rows: list[Text] = []
    for name in sorted(SCREENS, key=lambda name: (name != room, list(SCREENS).index(name))):
        rows.append(Text(f" {SCREENS[name]}", style=palette.strong, no_wrap=True, end=""))
        here = [remapped(action, keymap or {}) for action in ACTIONS if name in action.screens]
        keys = [(action.shown, action.sentence) for action in here]
        rows += _key_rows([*keys, *MOVEMENT] if name == "everywhere" else keys, palette, width)
        rows.append(Text(""))
    return rows[:-1]


def _key_rows(keys: list[tuple[str, str]], palette: Palette, width: int) -> list[Text]:
    rows = []
    for key, sentence in keys:
        prose = wrap(sentence, max(20, width - KEY_COLUMN - 3), palette.text)
        for number, line in enumerate(prose):
            shown = key if number == 0 else ""
            head = Text.assemble(("   " + shown.ljust(KEY_COLUMN - 2), palette.key), no_wrap=True, end="")
            rows.append(head.append_text(line))
    return rows


@final
class HelpScreen(ModalScreen[None]):
    """The help page, over the screen it explains."""

    ROOM = "help"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__()
        self.pane = Rows(id="help")
        self.dialog = Vertical(self.pane, id="dialog")
        self.dialog.border_title, self.dialog.border_subtitle = "keys", "esc closes"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        self.call_after_refresh(self.show)

    def on_resize(self) -> None:
        self.call_after_refresh(self.show)

    def focused_rows(self, below: Screen[Any], width: int) -> list[Text]:
        """What the focused widget of the screen below is for, in its own words."""
        widget, palette = below.focused, self.app.palette
        words = None if widget is None else widget.HELP
        if widget is None or not words:
            return []
        name = str(widget.border_title or (widget.id or "").replace("-", " ") or "here")
        title = plain(f" {name}, which has the focus", palette.strong, width)
        return [title, *wrap(words, width - 1, palette.text, indent="   "), Text("")]

    def show(self) -> None:
        """Write the page for the present width."""
        below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else self
        palette = self.app.palette
        rows = self.focused_rows(below, self.pane.size.width)
        rows += help_rows(getattr(below, "ROOM", ""), palette, self.pane.size.width, self.app.keymap)
        rows += [Text(""), plain(f" Runs folder: {folder_words(self.app.runs_dir)}", palette.muted)]
        self.pane.show(rows)

    def action_back(self) -> None:
        self.dismiss()

"""Panes painted line by line: `Rows` shows text, `Log` follows it, `Choice` has a cursor. Changed rows are repainted.

rows (list of rich Text, one terminal line each, already cleaned) -> strips on the screen. Over SSH a whole pane costs
kilobytes and one row some dozens of bytes (notes in docs/decisions.md), so both compare the new rows with the old ones.
What the rows say is decided by their owners; wrapping is in words.py.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from hrm_console.widgets.bar import strip_of

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp


class LinePane(ScrollView, can_focus=True):
    """Abstract (by convention: Textual has its own metaclass): a scrolling pane of text rows. Subclasses style them."""

    DEFAULT_CSS = """
    LinePane { scrollbar-size-vertical: 1; overflow-x: hidden; overflow-y: auto; }
    """
    app: ConsoleApp

    def __init__(self, *, id: str | None = None, classes: str | None = None, focusable: bool = True) -> None:
        super().__init__(id=id, classes=classes)
        self.can_focus = focusable
        self.rows: list[Text] = []

    @abstractmethod
    def row_style(self, y: int) -> Style:
        """The style under the text of row `y`, besides the pane's own."""

    def show(self, rows: Sequence[Text]) -> None:
        """Take these rows. Repaints those that differ; a changed count changes the scrolling range too."""
        old, self.rows = self.rows, list(rows)
        if len(old) != len(self.rows):
            self._set_range()
        for y in range(max(len(old), len(self.rows))):
            if y >= len(old) or y >= len(self.rows) or old[y] != self.rows[y] or old[y].spans != self.rows[y].spans:
                self.repaint_row(y)

    def _set_range(self) -> None:
        """Tell the scrolling range. Setting `virtual_size` lays the whole screen out, so only where it must."""
        size = Size(self.size.width, len(self.rows))
        fits = size.height <= self.size.height
        if self.styles.is_auto_height or fits == self.show_vertical_scrollbar:
            self.virtual_size = size
        else:
            self.set_reactive(LinePane.virtual_size, size)
            if not fits:
                self.vertical_scrollbar.window_virtual_size = size.height

    def repaint_row(self, y: int) -> None:
        """Repaint one row, where it is in sight."""
        line = y - self.scroll_offset.y
        if 0 <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(event.size.width, len(self.rows))
        self.resized()

    @abstractmethod
    def resized(self) -> None:
        """The pane has another size: put in sight what is to be seen."""

    def render_line(self, y: int) -> Strip:
        width, row = self.size.width, y + self.scroll_offset.y
        base = self.visual_style.rich_style
        if row >= len(self.rows):
            return Strip.blank(width, base)
        text = self.rows[row]
        style = base + self.row_style(row)
        strip = strip_of(text, self.app.console).crop_extend(0, width, None)
        return strip.apply_style(style).apply_offsets(0, row)


@final
class Rows(LinePane):
    """Text that scrolls."""

    HELP = "Text. Up, down, pgup, pgdn, home and end scroll it."

    def row_style(self, y: int) -> Style:
        return Style.null()

    def resized(self) -> None:
        """Nothing to keep in sight."""


@final
class Log(LinePane):
    """Text that grows: its end stays in sight until somebody scrolls up, and again when they are back there.

    While `searching`, n and N ask the owner for the next and the previous hit.
    """

    HELP = "Text that grows. Up and pgup stop following it, end follows it again. In a search n and N go to the hits."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "hit(1)", show=False),
        Binding("N", "hit(-1)", show=False),
    ]

    @final
    @dataclass
    class Hit(Message):
        """Another hit of the search is asked for."""

        log: Log
        step: int

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.at_end = True
        self.searching = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.searching if action == "hit" else super().check_action(action, parameters)

    def action_hit(self, step: int) -> None:
        self.post_message(self.Hit(self, step))

    def show_at(self, rows: Sequence[Text], y: int) -> None:
        """As `show`, with row `y` in the middle; its end is not followed."""
        self.at_end = False
        self.show(rows)
        self.call_after_refresh(self._to_row, y)

    def _to_row(self, y: int) -> None:
        self.scroll_to(y=max(0, y - self.size.height // 2), animate=False, immediate=True)
        self.at_end = False

    def on_mount(self) -> None:
        self.watch(self, "scroll_target_y", self._scrolled, init=False)

    def _scrolled(self, target: float) -> None:
        self.at_end = round(target) >= self.max_scroll_y

    def row_style(self, y: int) -> Style:
        return Style.null()

    def grow(self, rows: Sequence[Text]) -> None:
        """As `show`, and stay at the end."""
        at_end = self.at_end
        self.show(rows)
        self.at_end = at_end
        self.resized()

    def resized(self) -> None:
        if self.at_end:
            self.follow()

    def follow(self) -> None:
        """Go to the end, and stay there."""
        self.at_end = True
        self.call_after_refresh(self._to_end)

    def _to_end(self) -> None:
        if self.searching:
            return
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)
        self.at_end = True


@final
class Choice(LinePane):
    """A list with a cursor. Enter chooses, moving tells; both by index."""

    HELP = "A list. Up, down (or k, j), pgup, pgdn, home and end move the cursor, enter chooses."

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor(-1)", show=False),
        Binding("down,j", "cursor(1)", show=False),
        Binding("pageup", "cursor_page(-1)", show=False),
        Binding("pagedown", "cursor_page(1)", show=False),
        Binding("home", "cursor_to(0)", show=False),
        Binding("end", "cursor_to(-1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    @final
    @dataclass
    class Moved(Message):
        """The cursor is on another row now."""

        choice: Choice
        index: int

    @final
    @dataclass
    class Chosen(Message):
        """Enter was pressed on a row."""

        choice: Choice
        index: int

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.cursor = 0

    def resized(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, self.size.width, 1), animate=False, immediate=True)

    def row_style(self, y: int) -> Style:
        if y != self.cursor:
            return Style.null()
        return Style.parse(self.app.palette.cursor if self.has_focus else self.app.palette.cursor_blurred)

    def move_to(self, index: int) -> None:
        """Put the cursor on a row, kept within the rows; tells if it moved."""
        index = max(0, min(index, len(self.rows) - 1))
        if index != self.cursor:
            before, self.cursor = self.cursor, index
            self.repaint_row(before)
            self.repaint_row(index)
            self.post_message(self.Moved(self, index))
        self.scroll_to_region(Region(0, index, self.size.width, 1), animate=False, immediate=True)

    def on_focus(self) -> None:
        self.repaint_row(self.cursor)

    def on_blur(self) -> None:
        self.repaint_row(self.cursor)

    def on_click(self, event: events.Click) -> None:
        row = event.y + self.scroll_offset.y
        if row == self.cursor and event.chain > 1:
            self.action_choose()
        elif row < len(self.rows):
            self.move_to(row)

    def action_cursor(self, step: int) -> None:
        self.move_to(self.cursor + step)

    def action_cursor_page(self, direction: int) -> None:
        self.move_to(self.cursor + direction * max(1, self.size.height - 1))

    def action_cursor_to(self, index: int) -> None:
        self.move_to(index if index >= 0 else len(self.rows) - 1)

    def action_choose(self) -> None:
        if 0 <= self.cursor < len(self.rows):
            self.post_message(self.Chosen(self, self.cursor))

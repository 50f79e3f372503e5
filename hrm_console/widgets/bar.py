"""One line across the screen: the title above, the keys below. Repainted only when its text changes.

`build(width)` gives the line's text; the owner calls `update()` when what it shows has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, final

from rich.console import Console
from rich.style import Style
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp


@final
class Bar(Widget):
    """A line whose text is built for its width; `style` is a name of the palette."""

    DEFAULT_CSS = "Bar { height: 1; width: 1fr; }"
    app: ConsoleApp

    def __init__(self, build: Callable[[int], Text], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.build = build
        self.text = Text()

    def update(self) -> None:
        """Build the line again, and repaint it if it differs."""
        if not self.size.width:
            return
        text = self.build(self.size.width)
        if text != self.text or text.spans != self.text.spans or text.style != self.text.style:
            self.text = text
            self.refresh()

    def on_resize(self) -> None:
        self.text = Text()
        self.update()

    def render_line(self, y: int) -> Strip:
        base = self.visual_style.rich_style
        if isinstance(self.text.style, str) and self.text.style:
            base += Style.parse(self.text.style)
        return strip_of(self.text, self.app.console).crop_extend(0, self.size.width, base).apply_style(base)


def strip_of(text: Text, console: Console) -> Strip:
    """A line of text as a strip, with its own style under its spans (rich leaves that out)."""
    strip = Strip(text.render(console))
    return strip.apply_style(console.get_style(text.style)) if text.style else strip


def two_ends(left: Text, right: Text, width: int, style: str) -> Text:
    """A line with `left` at its start, cut where it must be, and `right` at its end."""
    room = max(0, width - right.cell_len)
    left.truncate(room, overflow="ellipsis")
    line = Text(style=style, no_wrap=True, end="")
    line.append_text(left)
    line.append(" " * (room - left.cell_len))
    line.append_text(right)
    line.truncate(width)
    return line

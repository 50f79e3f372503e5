"""A pane of coloured grids, painted line by line: changed cells alone are repainted, so that scrubbing is cheap.

rows of (text, style) from boards.py -> strips of Textual's line API. Every character takes one cell. What is drawn
where is decided in boards.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from hrm_console.charts.canvas import Row

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp


@final
class GridPane(ScrollView, can_focus=True):
    """Shows rows of cells; scrolls where they are more than fit."""

    ALLOW_SELECT: ClassVar[bool] = False
    DEFAULT_CSS = """
    GridPane { scrollbar-size-vertical: 1; overflow-x: hidden; overflow-y: auto; width: 1fr; height: 1fr; }
    """
    app: ConsoleApp

    @final
    class Sized(Message):
        """There is another room for grids: arrange them anew."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.rows: list[Row] = []
        self.strips: list[Strip] = []

    def show(self, rows: Sequence[Row]) -> int:
        """Take these rows; returns how many regions are repainted."""
        before, self.rows = self.rows, list(rows)
        if len(before) != len(self.rows):
            self.strips = [to_strip(row) for row in self.rows]
            self.virtual_size = Size(self.size.width, len(self.rows))
            self.refresh()
            return len(self.rows)
        top, bottom = self.scroll_offset.y, self.scroll_offset.y + self.size.height
        regions = []
        for y, (old, new) in enumerate(zip(before, self.rows, strict=True)):
            if old != new:
                self.strips[y] = to_strip(new)
                start, stop = changed_cells(old, new)
                if top <= y < bottom and stop > start:
                    regions.append(Region(start, y - top, stop - start, 1))
        if regions:
            self.refresh(*regions)
        return len(regions)

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(event.size.width, len(self.rows))
        self.post_message(self.Sized())

    def render_line(self, y: int) -> Strip:
        """A row of the board, on the pane's own background."""
        width, row = self.size.width, y + self.scroll_offset.y
        base = self.visual_style.rich_style
        if row >= len(self.strips):
            return Strip.blank(width, base)
        return self.strips[row].crop_extend(0, width, base).apply_style(base)


def to_strip(row: Row) -> Strip:
    """A row for Textual; its characters all take one cell."""
    return Strip([Segment(text, parsed(style)) for text, style in row], sum(len(text) for text, _ in row))


def changed_cells(before: Row, after: Row) -> tuple[int, int]:
    """First changed cell and the one behind the last; (0, 0): they look alike."""
    old, new = ([(char, style) for text, style in row for char in text] for row in (before, after))
    if len(old) != len(new):
        return 0, max(len(old), len(new))
    different = [x for x, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    return (different[0], different[-1] + 1) if different else (0, 0)


@lru_cache(1024)
def parsed(style: str) -> Style:
    """A style as rich has it."""
    return Style.parse(style)

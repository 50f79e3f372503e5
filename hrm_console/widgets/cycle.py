"""One choice of few on one line: ‹ cpu ›, changed with left and right. Tells by index when it has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp


@final
class Cycle(Widget, can_focus=True):
    """The options stand side by side, the chosen one marked by brackets as well as by colour."""

    HELP = "One of the words beside it, which stands in ‹ ›. Left, right and space choose another."
    DEFAULT_CSS = "Cycle { height: 1; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,up", "step(-1)", show=False),
        Binding("right,down,space", "step(1)", show=False),
    ]
    app: ConsoleApp

    @final
    @dataclass
    class Changed(Message):
        """Another option is chosen."""

        cycle: Cycle
        value: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.options: tuple[str, ...] = ()
        self.value = ""

    def offer(self, options: Sequence[str], value: str) -> None:
        """Take these options, with one of them chosen. Tells nobody."""
        self.options, self.value = tuple(options), value
        self.refresh()

    def choose(self, value: str) -> None:
        """Choose an option, and tell."""
        if value != self.value:
            self.value = value
            self.refresh()
            self.post_message(self.Changed(self, value))

    def action_step(self, step: int) -> None:
        if self.options:
            at = self.options.index(self.value) if self.value in self.options else 0
            self.choose(self.options[(at + step) % len(self.options)])

    def render_line(self, y: int) -> Strip:
        palette, width = self.app.palette, self.size.width
        line = Text(no_wrap=True, end="")
        for option in self.options:
            if option == self.value:
                style = f"{palette.strong} reverse" if self.has_focus else f"bold {palette.accent}"
                line.append(f"‹{option}›", style)
            else:
                line.append(f" {option} ", palette.muted)
        return (
            Strip(line.render(self.app.console)).crop_extend(0, width, None).apply_style(self.visual_style.rich_style)
        )

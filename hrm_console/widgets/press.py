"""A button on one line, [ Start  F5 ], pressed with enter or space. Looks the same with 16 colours as with all."""

from __future__ import annotations

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
class Press(Widget, can_focus=True):
    """Tells when it was pressed; does nothing while `ready` is false."""

    HELP = "A button. Enter or space presses it; dim, it cannot be pressed now."
    DEFAULT_CSS = "Press { height: 1; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "press", show=False)]
    app: ConsoleApp

    @final
    @dataclass
    class Pressed(Message):
        """Enter, space or a click."""

        press: Press

    def __init__(self, label: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.label = label
        self.ready = False

    def set_ready(self, ready: bool) -> None:
        """Whether it can be pressed."""
        if ready != self.ready:
            self.ready = ready
            self.refresh()

    def action_press(self) -> None:
        if self.ready:
            self.post_message(self.Pressed(self))

    def on_click(self) -> None:
        self.action_press()

    def render_line(self, y: int) -> Strip:
        palette = self.app.palette
        style = palette.muted if not self.ready else f"bold {palette.accent}"
        line = Text(f"[ {self.label} ]", style=f"{style} reverse" if self.has_focus else style, no_wrap=True, end="")
        strip = Strip(line.render(self.app.console)).apply_style(self.app.console.get_style(line.style))
        return strip.crop_extend(0, self.size.width, None).apply_style(self.visual_style.rich_style)

"""A field on one line that filters a list below it; up and down leave it for the list."""

from __future__ import annotations

from typing import ClassVar, final

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


@final
class FilterLine(Input):
    """Tells with `Input.Changed` at every key; `Left` when it is left by down, up or enter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("down,up,enter", "leave", show=False)]

    @final
    class Left(Message):
        """The text stays; what is filtered is wanted now."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, select_on_focus=False, max_length=400)

    def action_leave(self) -> None:
        # At once: keys that are typed before the message is read are not meant for the field.
        self.screen.set_focus(None)
        self.post_message(self.Left())

"""Asks once how to stop a run: at the next checkpoint, now, or not at all. Ends with the request for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from hrm_console.actions import bindings_of
from hrm_console.widgets.lines import Choice
from hrm_console.words import middle

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

CHOICES: tuple[tuple[str, str, str], ...] = (
    ("stop", "c", "at the next checkpoint   nothing is lost"),
    ("stop-now", "n", "now                      after the step under way"),
    ("kill", "x", "kill                     at once; loses what came after the last checkpoint"),
    ("", "esc", "go on                    do not stop it"),
)


@final
class StopScreen(ModalScreen[str | None]):
    """Ends with "stop", "stop-now", "kill" or None."""

    ROOM = "stop"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.choices = Choice(id="choices")
        self.dialog = Vertical(self.choices, id="dialog")
        self.dialog.border_title = f"stop {middle(run_id, 40)}?"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        palette = self.app.palette
        self.choices.show(
            [
                Text.assemble((f" {key:<4}", palette.key), (words, palette.text), no_wrap=True)
                for _, key, words in CHOICES
            ]
        )

    @on(Choice.Chosen)
    def chosen(self, message: Choice.Chosen) -> None:
        self.dismiss(CHOICES[message.index][0] or None)

    def action_choose(self, request: str) -> None:
        self.dismiss(request)

    def action_back(self) -> None:
        self.dismiss(None)

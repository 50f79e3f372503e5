"""Asks what to call a form that is kept as an experiment of one's own: name, title, hypothesis.

The dialog gives `Saved` or None; recipes.py writes the file in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from hrm_console.actions import bindings_of
from hrm_console.widgets.lines import Rows
from hrm_console.words import wrap
from hrm_core.errors import UserError
from hrm_core.runs.layout import check_name

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp


@final
@dataclass(frozen=True)
class Saved:
    """What was written in the dialog."""

    name: str
    title: str
    hypothesis: str


@final
class SaveScreen(ModalScreen[Saved | None]):
    """The dialog. `name` is the saved experiment that the form began with, else empty."""

    ROOM = "save"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(ROOM)
    app: ConsoleApp

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.fields = (
            Input(name, id="mine-name", compact=True, max_length=40, placeholder="letters, digits, . _ -"),
            Input(id="mine-title", compact=True, max_length=120, placeholder="what it is, in a few words"),
            Input(id="mine-hypothesis", compact=True, max_length=400, placeholder="what you expect, and why"),
        )
        self.words = Rows(id="mine-words", focusable=False)
        rows = [
            Horizontal(Label(label, markup=False), field, classes="field")
            for label, field in zip(("name", "title", "hypothesis"), self.fields, strict=True)
        ]
        self.dialog = Vertical(*rows, self.words, id="dialog")
        self.dialog.border_title, self.dialog.border_subtitle = "save as my experiment", "enter saves, esc leaves"

    def compose(self) -> ComposeResult:
        yield self.dialog

    def on_mount(self) -> None:
        self.fields[0].focus()
        self.check()

    @on(Input.Changed)
    def check(self) -> None:
        """Say what is wrong with the name."""
        width, palette = max(20, self.words.size.width), self.app.palette
        problem = self.problem()
        words = problem or "It is kept with the settings, listed first, and hrm run NAME starts it."
        self.words.show(wrap(words, width, palette.bad if problem and self.fields[0].value else palette.muted))

    def problem(self) -> str:
        """What is wrong with the name, or nothing."""
        try:
            check_name(self.fields[0].value)
        except UserError as error:
            return error.message if self.fields[0].value else "Give it a name."
        return ""

    @on(Input.Submitted)
    def submitted(self) -> None:
        if not self.problem():
            self.dismiss(Saved(*(field.value.strip() for field in self.fields)))

    def on_resize(self) -> None:
        self.call_after_refresh(self.check)

    def action_back(self) -> None:
        self.dismiss(None)

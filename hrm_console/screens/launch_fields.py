"""The text fields of the launch form. The overrides field completes: tab takes a candidate, up and down choose another.

What may be completed comes from overrides.py; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.suggester import SuggestionReady
from textual.widget import Widget
from textual.widgets import Input

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp
    from hrm_console.views.launch.overrides import Candidate


def helped(widget: Widget, words: str) -> None:
    """Give this one widget words of its own for the help, in place of its class's."""
    vars(widget)["HELP"] = words


@final
class OverridesField(Input):
    """The overrides line. `complete` gives the candidates for its last word; none before the recipes are known."""

    HELP: ClassVar[str] = (
        "Settings that this run has differently, such as training.max_steps=500 training.seed=2. Tab takes the marked "
        "suggestion, up and down mark another, enter goes on. The form is checked as you type."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "suggest(-1)", show=False),
        Binding("down", "suggest(1)", show=False),
    ]
    app: ConsoleApp

    @final
    @dataclass
    class Suggested(Message):
        """Other candidates, or another of them is marked."""

    def __init__(self, value: str = "", *, id: str | None = None) -> None:
        self.complete: Callable[[str], tuple[Candidate, ...]] | None = None
        self.candidates: tuple[Candidate, ...] = ()
        self.at = 0
        super().__init__(value, id=id, compact=True, placeholder="a.b=c ...", select_on_focus=False)

    def watch_value(self) -> None:
        """Find the candidates for what is typed."""
        self.candidates = self.complete(self.value) if self.complete is not None else ()
        self.at = 0
        self.call_later(self._tell)  # the cursor follows the value

    def _tell(self) -> None:
        if self.candidates and self.cursor_at_end:
            line = self.candidates[self.at].line
            if line.startswith(self.value):
                self.post_message(SuggestionReady(self.value, line))
        self.post_message(self.Suggested())

    def action_suggest(self, step: int) -> None:
        if self.candidates:
            self.at = (self.at + step) % len(self.candidates)
            self._tell()

    def on_key(self, event: events.Key) -> None:
        """Tab takes the candidate while there is one; without one it goes on to the next field, as ever."""
        if event.key == "tab" and self.candidates and self.cursor_at_end:
            event.stop()
            event.prevent_default()
            self.value = self.candidates[self.at].line
            self.cursor_position = len(self.value)


@final
class NameField(Input):
    """The run's name."""

    HELP: ClassVar[str] = "The run's name, which is its folder's. Left empty, experiment, date and letters make one."

    def __init__(self, value: str = "", *, id: str | None = None) -> None:
        super().__init__(value, id=id, compact=True, placeholder="chosen for you", max_length=64, select_on_focus=False)


@final
class FilterField(Input):
    """What the list of all settings is searched for."""

    HELP: ClassVar[str] = (
        "Shows the settings that have all of these words in name or description. Enter goes to the list."
    )

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, placeholder="words of a name or description", select_on_focus=False)


@final
class ValueField(Input):
    """The value of one setting while it is changed."""

    HELP: ClassVar[str] = "The setting's new value, checked as you type. Enter takes it, esc leaves it as it was."

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, max_length=400, select_on_focus=True)

"""What every screen of the app is: it has a room in the table of actions, hears of news, and can be said as a command.

`Room` is abstract: screens derive from it and give all of its methods. The app tells only the screen in sight; one that
comes back in sight catches up in `on_screen_resume`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.screen import Screen

from hrm_console.screens.frame import keys_line, title_line

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

NOTHING_HIDDEN: frozenset[str] = frozenset()


class Room(Screen[None]):
    """Abstract (by convention: Textual has its own metaclass). ROOM is the name in rooms.py."""

    ROOM: ClassVar[str] = ""
    app: ConsoleApp

    @abstractmethod
    def runs_changed(self) -> None:
        """The app has read the folder of runs, and something about a run changed."""

    @abstractmethod
    def feed_changed(self) -> None:
        """The app has new rows of the followed runs."""

    @abstractmethod
    def shell_words(self) -> tuple[str, ...]:
        """The words after `hrm` that print what this screen shows, without --runs."""

    def title_text(self, name: str, width: int) -> Text:
        """The line above: app, `name`, folder; states and alarms of all runs."""
        stopped = bool(self.app.queue_alarm.stopped)
        return title_line(name, self.app.runs_dir, self.app.runs, self.app.palette, width, queue_stopped=stopped)

    def keys_text(self, width: int, hidden: frozenset[str] = NOTHING_HIDDEN) -> Text:
        """The line below: the keys of this screen as far as they fit, without the actions in `hidden`."""
        return keys_line(self.ROOM, self.app.palette, width, hidden, self.app.keymap)

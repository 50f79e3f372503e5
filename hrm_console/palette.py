"""What the command palette offers: the actions of the screen below it, with their keys, and every other screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.screen import Screen

from hrm_console.actions import actions_of
from hrm_console.rooms import ROOMS

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp


def commands(app: ConsoleApp, screen: Screen[Any]) -> Iterator[SystemCommand]:
    """Rows of the palette: title, sentence, what to do."""
    room = getattr(screen, "ROOM", "")
    for action in actions_of(room, app.keymap):
        if action.id != "palette":
            title = f"{action.word} ({action.shown})"
            yield SystemCommand(title, action.sentence, lambda call=action.call: app.run_on(screen, call))
    for name, entry in ROOMS.items():
        if entry.letter and name != room:
            yield SystemCommand(f"go to {entry.title}", entry.sentence, lambda name=name: app.go(name))

"""What keys do on the device screen."""

from __future__ import annotations

from hrm_console.action import Action


def _device(id: str, keys: str, shown: str, call: str, word: str, sentence: str, footer: bool = False) -> Action:
    return Action(f"device_{id}", keys, shown, call, word, sentence, ("device",), footer=footer)


ACTIONS: tuple[Action, ...] = (
    _device("open", "enter", "enter", "open", "run at work", "Open the run that is at work on the device.", True),
    _device("page_1", "1", "1", "page('now')", "now", "Show the numbers of this moment (small terminals)."),
    _device("page_2", "2", "2", "page('curves')", "curves", "Show the curves of the last five minutes."),
)
